"""A folder that holds one evaluation, whole or interrupted.

`evaluation.json` says whose it is, `rows.jsonl` what the model said, a line an item, written as soon as it is said.
When all is said, `result.json` holds the scores, `table.csv` the same as a table, `worst.png` the worst errors. Rows
call a reader's own pictures by a hash of their content; the files are in `private-names.csv`, not to be passed on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medvlm_lab.doctor import versions
from medvlm_lab.errors import MedVLMError
from medvlm_lab.io.whole import append, write_whole
from medvlm_lab.tasks.result import Result

CLAIM, ROWS, RESULT, TABLE, WORST = "evaluation.json", "rows.jsonl", "result.json", "table.csv", "worst.png"
LIBRARIES = (
    "medvlm-lab", "torch", "transformers", "numpy", "scipy", "scikit-learn", "sacrebleu", "nltk", "rouge-score",
)  # fmt: skip
SAMPLED = 64  # values of each tensor by which weights are told apart


class Journal:
    """The folder `out` of one evaluation; `claim` tells it from every other.

    Raises MedVLMError where the folder holds something else, OSError where it cannot be written to.
    """

    def __init__(self, out: str | Path, claim: dict[str, Any]):
        self.folder, self.claim = Path(out).expanduser(), claim
        self.folder.mkdir(parents=True, exist_ok=True)
        path, wanted = self.folder / CLAIM, json.loads(json.dumps(claim))
        if path.exists():
            found = _json(path)
            if other := [k for k in wanted if found.get(k) != wanted[k]]:
                raise MedVLMError(
                    f"{self.folder} holds another evaluation ({other[0]} is {found.get(other[0])!r}, not "
                    f"{wanted[other[0]]!r}); name another folder with out."
                )
        elif any(self.folder.iterdir()):
            raise MedVLMError(f"{self.folder} is not empty and holds no evaluation; name another folder with out.")
        else:
            write_whole(path, json.dumps(wanted, indent=1, ensure_ascii=False) + "\n")

    def said(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """What was said in an earlier run about the first of `numbers`; a line that was cut off is taken away.

        Raises MedVLMError where the lines are about other items.
        """
        path = self.folder / ROWS
        path.touch()
        whole = path.read_bytes().rpartition(b"\n")[0]
        lines = whole.splitlines(keepends=False)
        try:
            said = [json.loads(line) for line in lines]
            known = [line["item"] for line in said]
        except (ValueError, TypeError, KeyError):
            known = None
        if known is None or known != list(numbers[: len(known)]):
            raise MedVLMError(f"{path} is damaged; delete {self.folder} and evaluate again.")
        with open(path, "r+b") as file:
            file.truncate(len(whole) + bool(whole))
        return said

    def add(self, said: Sequence[dict[str, Any]]) -> None:
        """Appends a line for each item."""
        append(self.folder / ROWS, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in said))

    def finish(self, result: Result, device: str) -> None:
        """Writes the scores, the table and the contact sheet."""
        about = {"task": self.claim["task"], "seed": self.claim["seed"], "device": device}
        about |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions(*LIBRARIES)}
        write_whole(self.folder / TABLE, _table(result))
        picture = io.BytesIO()
        result.worst().savefig(picture, format="png")
        write_whole(self.folder / WORST, picture.getvalue())
        text = json.dumps(json.loads(result.to_json()) | about, indent=1, ensure_ascii=False)
        write_whole(self.folder / RESULT, text + "\n")  # last: where it is, everything is


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}


def _table(result: Result) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["score", "title", "value", "low", "high", "n"])
    for name, score in result.scores.items():
        table.writerow([name, result.titles.get(name, name), *score.to_dict().values()])
    return text.getvalue()


def weights_code(model: Any) -> str | None:
    """A short code that other weights of the same model do not have; None for a model without a `module`."""
    module = getattr(model, "module", None)
    if module is None:
        return None
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        flat = value.flatten()
        digest.update(name.encode() + flat[:: max(1, len(flat) // SAMPLED)].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def data_settings(data: Any) -> dict[str, Any]:
    """What tells a data set from another: its size, and whatever plain values it was made with."""
    plain = {k: v for k, v in getattr(data, "__dict__", {}).items() if isinstance(v, str | int | float)}
    return {"items": len(data) if hasattr(data, "__len__") else data.studies} | dict(sorted(plain.items()))

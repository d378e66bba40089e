"""The executed chapters as a static site (Sphinx, MyST-NB): pictures where widgets were, nothing loaded from elsewhere.

Formulas become MathML, which browsers draw and screen readers read without a script.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medvlm_lab.classroom.build import NOTEBOOKS, Chapter, from_built
from medvlm_lab.classroom.execute import Result
from medvlm_lab.classroom.run import each_chapter
from medvlm_lab.errors import MedVLMError, MissingDataError
from medvlm_lab.io.whole import write_whole

VIEW = "application/vnd.jupyter.widget-view+json"
PICTURE = "image/png"
LIVE = "*A control to use: open this chapter in JupyterLab.*"
INDEX = """# MedVLM Lab

Vision-language models in medical image analysis: build, train, question and break them.

**Not for clinical use.** Simulated images say that they are simulated.

```{{toctree}}
:maxdepth: 1

{chapters}
```

```{{toctree}}
:caption: The models
:maxdepth: 1

{cards}
```
"""
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
CARD = re.compile(r"\.\./medvlm_lab/weights/([\w-]+)/README\.md")  # as chapters link to it
SETTINGS = {
    "project": "MedVLM Lab",
    "extensions": ["myst_nb", __name__],
    "html_theme": "furo",
    "html_title": "MedVLM Lab",
    "html_math_renderer": "mathml",
    "html_copy_source": False,
    "myst_enable_extensions": ["dollarmath"],
    "nb_execution_mode": "off",  # they have been executed
}


def book(out: str | Path, numbers: Sequence[str] = (), root: Path = NOTEBOOKS) -> Path:
    """Writes the built chapters as HTML pages into a folder; its `index.html` is returned.

    Raises:
        MissingDataError: Sphinx or MyST-NB is not installed.
        MedVLMError: Sphinx ended with errors, or chapters are not built or damaged; the site is then without these.
    """
    try:
        import myst_nb  # noqa: F401
        from sphinx.application import Sphinx
    except ImportError as error:
        raise MissingDataError("The book needs Sphinx; install it with: pip install 'medvlm-lab[book]'") from error
    import nbformat

    out = Path(out).expanduser().resolve()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()

        def put(chapter: Chapter) -> Result:
            nbformat.write(still(chapter), source / chapter.notebook.name)
            return Result(chapter.notebook.stem, 0.0)

        pages = each_chapter(put, numbers, root)
        names = [page.chapter for page in pages if page.ok]
        errors = " ".join(page.error for page in pages if not page.ok)
        if not names:
            raise MedVLMError(errors)
        cards = [f"cards/{card.parent.name}" for card in sorted(WEIGHTS.glob("*/README.md"))]
        for card in cards:
            write_whole(source / f"{card}.md", (WEIGHTS / Path(card).name / "README.md").read_bytes())
        write_whole(source / "index.md", INDEX.format(chapters="\n".join(names), cards="\n".join(cards)))
        app = Sphinx(source, None, out, Path(folder) / "trees", "html", SETTINGS, status=None, warning=sys.stderr)
        app.build()
    if app.statuscode:
        raise MedVLMError(f"Sphinx ended with {app.statuscode}; what it printed above says where.")
    if errors:
        raise MedVLMError(f"{errors} The other chapters are in {out / 'index.html'}.")
    return out / "index.html"


def still(chapter: Chapter) -> Any:
    """A chapter's notebook without live parts: of each widget its picture, and on each picture a text in its place."""
    notebook, heading = from_built(chapter), chapter.notebook.stem
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = CARD.sub(r"cards/\1.md", cell.source)
            heading = next((line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), heading)
            continue
        cell.outputs = [output for output in cell.get("outputs", ()) if not _bar(output)]
        for output in cell.outputs:
            data = output.get("data", {})
            if data.pop(VIEW, None) and PICTURE not in data:
                data.clear()
                data["text/markdown"] = LIVE
            if PICTURE in data:
                cell.metadata["mystnb"] = {"image": {"alt": _alternative(output, heading)}}
    return notebook


def _bar(output: Any) -> bool:
    """Whether an output is a progress bar, which has nothing to show when all is done."""
    return VIEW in output.get("data", {}) and "%|" in output["data"].get("text/plain", "")


def _alternative(output: Any, heading: str) -> str:
    """The text for who does not see a picture: its own, or what it stands under."""
    own = output.get("metadata", {}).get(PICTURE, {}).get("alt")
    words = output["data"].get("text/plain", "")
    spoken = words.startswith(("MedicalImage(", "Pictures: ", "Plot of "))
    return " ".join((own or (words if spoken else f"Figure: {heading}")).split())


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx: formulas as MathML."""
    from latex2mathml.converter import convert

    def draw(display: str):
        def visit(writer: Any, node: Any) -> None:
            from docutils.nodes import SkipNode

            writer.body.append(convert(node.astext(), display=display))
            raise SkipNode

        return visit, None

    app.add_html_math_renderer("mathml", draw("inline"), draw("block"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

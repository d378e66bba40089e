"""Images → vectors: in batches, once for each content, resumed where an interrupted run stopped.

On disk all is Parquet, each row a picture with its vector, so that the two cannot come apart:

    shard-1f0c….parquet     while a run is under way: 512 finished pictures each
    embeddings.parquet      when it is done: all, in the order of the pictures; the shards are gone
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medvlm_lab.embed.pictures import Picture, opened, pictures
from medvlm_lab.embed.storage import EMBEDDINGS
from medvlm_lab.embed.vectors import Embeddings, Failure
from medvlm_lab.engine import spread
from medvlm_lab.errors import ImageReadError, MedVLMError, OutOfMemoryError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io.private import Original
from medvlm_lab.io.whole import in_utf8
from medvlm_lab.tasks.embeddings import rows_of
from medvlm_lab.tasks.result import model_name
from medvlm_lab.tasks.studies import needs

SHARD = 512  # pictures: what a kill may cost


def embed(
    model: Any, images: Any, out: str | Path | None = None, batch_size: int = 64,
    patients: Sequence[str] | None = None, progress: bool = True, engine: str = "local",
) -> Embeddings:
    """The vectors of images, with a table of what is known of each.

    Args:
        model: an `ImageTextEncoder`.
        images: a data set, its name, a folder, or a sequence of `MedicalImage`s and paths; see `pictures`.
        out: a folder that keeps the result, and `private-names.csv` with the files' own names. What it already holds by
            content and model is not computed again, also after an interruption. By default nothing is written.
        batch_size: images per call of the model; the next batch is read meanwhile.
        patients: whose each image is, in order of time for each; by default every image is of another patient. They are
            numbered: their names go into `private-names.csv` only.
        progress: show a bar with the rate.
        engine: "local", or "ray": batches are read and encoded by the cluster that is running, a content that is in
            two batches twice; see `medvlm_lab.engine.spread`.

    An image that is missing, damaged or refused by the model is left out and named in `failures` of the result, as is
    a folder inside that may not be read.

    Raises:
        MedVLMError: the model embeds no images or gives numbers that are no directions; `out` is of another model.
        ImageReadError: no image can be embedded.
    """
    from medvlm_lab.progress import tqdm

    needs(model, "encode_images", "embed images")
    if batch_size < 1:
        raise MedVLMError(f"batch_size is {batch_size}; it must be at least 1.")
    images = opened(images)
    found, identity = pictures(images), identify(model)
    if patients is not None and len(patients) != len(found):
        raise MedVLMError(f"There are {len(patients)} patients for {len(found)} images; give one for each image.")
    folder = Path(out).expanduser() if out is not None else None
    known = _known(folder, identity) if folder else {}
    numbered = {name: f"patient-{i + 1}" for i, name in enumerate(dict.fromkeys(map(str, patients or ())))}
    rows, pending = {}, []

    def flush() -> None:
        if folder and pending:
            shard = folder / f"shard-{pending[0]['key'][:16]}.parquet"  # two runs at once do not meet
            Embeddings.from_rows(pending, model_name(model), identity).save(shard)
            pending.clear()

    def load(part: range, seen: Container[str]) -> list[tuple[dict, MedicalImage | None] | Failure]:
        return [_tried(found[i], identity, seen, str(patients[i]) if patients else "", numbered) for i in part]

    def encode(loaded: list, seen: Container[str]) -> list[dict | Failure]:
        """The rows, those of new pictures with their vectors."""
        read = [each for each in loaded if not isinstance(each, Failure)]
        vectors = _vectors(model, {row["key"]: image for row, image in read if row["key"] not in seen})

        def row_of(each: Any) -> dict | Failure:
            if isinstance(each, Failure):
                return each
            vector = vectors.get(each[0]["key"])
            if isinstance(vector, MedVLMError):
                return Failure(each[0]["file"], str(vector), vector.kept)
            return each[0] if vector is None else each[0] | {"vector": vector}

        return [row_of(each) for each in loaded]

    parts = [range(i, min(i + batch_size, len(found))) for i in range(0, len(found), batch_size)]
    if engine == "local":  # the next batch is read while this one is encoded
        ahead = _ahead(partial(load, seen=known), parts)
        encoded = ((number, encode(loaded, known)) for number, loaded in enumerate(ahead))
    else:
        seen = frozenset(known)
        gpu = str(getattr(model, "device", "")).startswith("cuda")
        encoded = spread(lambda part: encode(load(part, seen), seen), parts, engine=engine, gpu=gpu)
    with tqdm(total=len(found), unit="image", desc=model_name(model), disable=not progress) as bar:
        for number, done in encoded:
            for row in done:
                if not isinstance(row, Failure) and row["key"] not in known:
                    known[row["key"]] = row["modality"], row["vector"]
                    pending.append(row)
            rows[number] = done
            if len(pending) >= SHARD:
                flush()
            bar.update(len(done))
    flush()
    ordered = [row for number in range(len(parts)) for row in rows[number]]
    failures = [row for row in ordered if isinstance(row, Failure)]
    failures += [Failure(str(error.file), str(error), error.kept) for error in getattr(images, "refused", ())]
    good = [(row, picture) for row, picture in zip(ordered, found, strict=True) if not isinstance(row, Failure)]
    if not good:
        several = f"None of {len(failures):,} images can be embedded. The first: " if len(failures) > 1 else ""
        raise ImageReadError(several + failures[0].error)
    whole = [row | dict(zip(("modality", "vector"), known[row["key"]], strict=True)) for row, _ in good]
    originals = [Original(row["id"], row["file"], row["patient"], row["given"]) for row in whole]
    left = [picture for _, picture in good]
    result = Embeddings.from_rows(whole, model_name(model), identity, model, left, failures, originals)
    if folder:
        result.save(folder)
        for shard in folder.glob("shard-*.parquet"):
            shard.unlink()
    return result


def identify(model: Any) -> str:
    """A hash of the model's name and weights: those of its `module`, or its own where it is a torch module itself.

    Of a model without weights that can be found, the name alone decides.
    """
    import torch

    digest = hashlib.sha256(model_name(model).encode())
    module = getattr(model, "module", model)
    for name, weight in module.state_dict().items() if isinstance(module, torch.nn.Module) else ():
        digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _tried(picture: Picture, *about: Any) -> tuple[dict[str, Any], MedicalImage | None] | Failure:
    """`_load`, or why it failed: one damaged file does not stop the others."""
    try:
        return _load(picture, *about)
    except OutOfMemoryError:
        raise
    except (MedVLMError, OSError) as error:
        return Failure(str(picture.path or ""), str(error), getattr(error, "kept", "An image cannot be opened."))


def _vectors(model: Any, new: dict[str, MedicalImage]) -> dict[str, Any]:
    """Key → vector, or the error of an image that the model refuses: it is found by asking one by one."""
    if not new:
        return {}
    try:
        encoded = model.encode_images(list(new.values()))
    except OutOfMemoryError:
        raise
    except MedVLMError as error:
        if len(new) == 1:
            return dict.fromkeys(new, error)
        return {key: vector for one in new.items() for key, vector in _vectors(model, dict([one])).items()}
    return dict(zip(new, rows_of(model, encoded, len(new)).numpy(), strict=True))  # NaN is the model's fault: it stops


def _load(
    picture: Picture, identity: str, known: Container[str], patient: str, numbered: Mapping[str, str]
) -> tuple[dict[str, Any], MedicalImage | None]:
    """A picture's row, and the picture itself unless its vector is known."""
    study = picture.study()
    image = None if picture.path is not None else study.image()
    key = hashlib.sha256(identity.encode() + picture.content(image)).hexdigest()
    if image is None and key not in known:
        image = study.image()
    row = {
        "id": in_utf8(study.name), "path": "", "file": str(picture.path or study.file or ""), "kind": "image",
        "modality": image.modality if image else "", "findings": sorted(study.findings),
        "numbers": [(name, float(value)) for name, value in study.values.items()], "report": study.report,
        "patient": numbered.get(patient, in_utf8(study.name)), "given": patient, "key": key,
    }  # fmt: skip
    return row, image


def _ahead(load: Callable, parts: list) -> Iterator[Any]:
    """What `load` makes of each part; the next one is loaded while the caller works on this one."""
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(load, parts[0])
        for part in (*parts[1:], None):
            loaded = waiting.result()
            if part is not None:
                waiting = reader.submit(load, part)
            yield loaded


def _known(folder: Path, identity: str) -> dict[str, tuple[str, np.ndarray]]:
    """Key → (modality, vector) of what the folder holds; MedVLMError where that is of another model."""
    known = {}
    for file in (*folder.glob("shard-*.parquet"), *folder.glob(EMBEDDINGS)):
        held = Embeddings.load(file)
        if held.identity != identity:
            raise MedVLMError(f"{folder} is of {held.model} with other weights; name another folder, or delete it.")
        known |= zip(
            held.table["key"].to_pylist(), zip(held.table["modality"].to_pylist(), held.vectors, strict=True),
            strict=True,
        )  # fmt: skip
    return known

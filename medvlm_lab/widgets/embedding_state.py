"""What the embedding map shows and answers: places, cards, contact sheets, searches. No ipywidgets."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.embed import Embeddings, Projection, project
from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io import read
from medvlm_lab.widgets.vqa_state import DISCLAIMER

if TYPE_CHECKING:
    from jaxtyping import Float32

CARD_PIXELS, SHEET_PIXELS, SHEET = 320, 112, 24  # of a card's picture and of the first pictures of a selection
NEAREST = 8


@dataclass(frozen=True)
class MapState:
    """Vectors and where they lie; `middle` and `half` bring places into [-1, 1] for the browser."""

    embeddings: Embeddings
    projection: Projection
    middle: Float32[np.ndarray, " 2"]
    half: float
    simulated: bool = False  # whether its pictures, as far as looked at, are

    def place(self, coordinates: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 2"]:
        return ((coordinates - self.middle) / self.half).astype("<f4")


def start(embeddings: Embeddings, projection: Projection | None) -> MapState:
    """The state of a new map; raises MedVLMError where the projection is of other vectors, or none can be made."""
    projection = project(embeddings) if projection is None else projection
    if len(projection.coordinates) != len(embeddings):
        raise MedVLMError(
            f"The projection has {len(projection.coordinates)} points for {len(embeddings)} vectors; project these "
            "embeddings anew."
        )
    low, high = projection.coordinates.min(0), projection.coordinates.max(0)
    half = max(float((high - low).max()) / 2, 1e-6)
    return MapState(embeddings, projection, (low + high) / 2, half, _simulated(embeddings))


def _simulated(embeddings: Embeddings) -> bool:
    """Whether the first, the middle or the last image is simulated; reading all would take too long."""
    rows = np.flatnonzero(embeddings.of_kind("image"))
    for row in dict.fromkeys(rows[[0, len(rows) // 2, -1]].tolist() if len(rows) else []):
        try:
            if embeddings.image(row).simulated:
                return True
        except Exception:  # its own card says why
            continue
    return False


def facts(state: MapState) -> dict[str, Any]:
    """What the browser has to know once."""
    kinds = state.embeddings.table["kind"].to_pylist()
    images, texts = kinds.count("image"), kinds.count("text")
    count = f"{images:,} images" + (f" and {texts:,} texts" if texts else "")
    failed = len(state.embeddings.failures)
    left_out = f"; {failed:,} left out, which cannot be read" if failed else ""
    return {
        "title": f"{count} as {state.embeddings.model} sees them{left_out}", "images": images, "texts": texts,
        "quality": str(state.projection), "disclaimer": f"{'Simulated. ' if state.simulated else ''}{DISCLAIMER}",
    }  # fmt: skip


def points(state: MapState) -> list[bytes]:
    """Places (n, 2) as little-endian float32, and 1 for each text, 0 for each image."""
    return [state.place(state.projection.coordinates).tobytes(), state.embeddings.of_kind("text").tobytes()]


def card(state: MapState, row: int) -> dict[str, Any]:
    """What is known of a row, with its picture; `problem` says why there is none."""
    about = state.embeddings.table.slice(row, 1).to_pylist()[0]
    numbers = [f"{name}: {value:.4g}" for name, value in about["numbers"] or ()]
    known = {
        "row": row, "title": about["id"], "kind": about["kind"], "modality": about["modality"],
        "findings": about["findings"] or [], "numbers": numbers, "report": about["report"] or "", "picture": "",
        "simulated": False, "problem": "",
    }  # fmt: skip
    if about["kind"] == "text":
        return known
    try:
        image = state.embeddings.image(row)
        return known | {"picture": _picture(image, CARD_PIXELS), "simulated": image.simulated}
    except Exception as error:  # a widget that dies in a callback says nothing: show it instead
        return known | {"problem": sentence(error, "The picture cannot be shown")}


def chosen(state: MapState, rows: list[int]) -> dict[str, Any]:
    """The side panel: of one row its card, its nearest rows and its patient's path; of several a contact sheet."""
    if not rows:
        return {"reply": "none"}
    if len(rows) > 1:
        return {"reply": "sheet", "count": len(rows), "pictures": sheet(state, rows)}
    return {
        "reply": "card", **card(state, rows[0]), "nearest": _listed(state.embeddings.nearest(rows[0], NEAREST)),
        "path": timeline(state, rows[0]),
    }  # fmt: skip


def sheet(state: MapState, rows: list[int]) -> list[dict[str, Any]]:
    """Small pictures of the first images among `rows`; "" for one that cannot be read."""
    images, ids = state.embeddings.of_kind("image"), state.embeddings.table["id"]
    shown = []
    for row in [row for row in rows if images[row]][:SHEET]:
        try:
            image = state.embeddings.image(row)
            picture, simulated = _picture(image, SHEET_PIXELS), image.simulated
        except Exception:  # its own card says why
            picture, simulated = "", False
        title = f"{ids[row].as_py()}{', simulated' if simulated else ''}"
        shown.append({"row": row, "title": title, "picture": picture, "simulated": simulated})
    return shown


def timeline(state: MapState, row: int) -> list[int]:
    """The images of a row's patient in the table's order; empty where it is the only one."""
    patients, images = state.embeddings.table["patient"].to_pylist(), state.embeddings.of_kind("image")
    own = [i for i, patient in enumerate(patients) if patient and patient == patients[row] and images[i]]
    return own if len(own) > 1 else []


def search(state: MapState, query: str | Path | MedicalImage) -> dict[str, Any]:
    """Where a text or an image lies among the points, and the images nearest to it. Raises MedVLMError."""
    if isinstance(query, Path):
        query = read(query)
    vector = state.embeddings.vector(query)
    label = query if isinstance(query, str) else query.name
    place = state.place(state.projection.transform(vector))[0]
    return {
        "reply": "found", "label": label, "place": place.tolist(), "text": isinstance(query, str),
        "nearest": _listed(state.embeddings.nearest(vector, NEAREST, "image")),
    }  # fmt: skip


def sentence(error: Exception, what: str) -> str:
    """What the reader is told: our own errors speak for themselves, of any other `what` went wrong."""
    return error.kept if isinstance(error, MedVLMError) else f"{what} ({type(error).__name__}: {error}); try another."


def _listed(neighbours: list) -> list[dict[str, Any]]:
    return [{"row": n.row, "title": n.id, "kind": n.kind, "cosine": round(n.cosine, 3)} for n in neighbours]


def _picture(image: MedicalImage, pixels: int) -> str:
    """A data address of the middle frame, on a page's scale."""
    shown, buffer = image.pil(image.reading_frame), io.BytesIO()
    shown.thumbnail((pixels, pixels))
    shown.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

"""What findings look like: lesions painted onto a finished brain."""

from __future__ import annotations

import torch

from medvlm_lab.phantoms import brain_findings as where
from medvlm_lab.phantoms.brain_deep import Deep
from medvlm_lab.phantoms.brain_film import Film
from medvlm_lab.phantoms.brain_geometry import SIGN
from medvlm_lab.phantoms.plane_shapes import cover


def paint_lesions(film: Film, deep: Deep) -> None:
    """Diffuse changes first, then what has an outline."""
    head = film.head
    rows, found = head.rows("white matter hyperintensities")
    if found:
        film.on(rows, where.spots(head, deep, rows, found), "gliosis", 0.9, soft_mm=1.0)
    if bool((deep.water > 0).any()):  # water pressed through the ventricles' walls
        halo = cover(deep.lateral + 3.0, 4.0) * (1 - cover(deep.lateral, film.pixel_mm))
        film.blend(halo * (deep.water * 1.4 - 0.3).clamp(0, 1), "oedema", 0.6)
    for side in SIGN:
        for kind, paint in PAINT.items():
            rows, found = head.rows(kind, side)
            if found:
                paint(film, deep, rows, found, side)


def _oedema(film: Film, deep: Deep, rows, found, side: str) -> None:
    film.on(rows, where.oedema(film.head, deep, rows, found, side), "oedema", 0.92, soft_mm=2.0)


def _infarct(film: Film, deep: Deep, rows, found, side: str) -> None:
    depth = where.infarct(film.head, deep, rows, found, side)
    texture = film.head.signal("infarct")[rows] * (1 + 0.05 * film.head.fine[rows])
    grey = film.head.signal("grey")[rows]
    # swollen grey matter stays a little apart from white
    ribbon = cover(-deep.cortex.white[rows], film.pixel_mm[rows] + 0.8)
    film.on(rows, depth, texture + 0.25 * ribbon * (grey - texture), 0.93, soft_mm=1.2)


def _tumour(film: Film, deep: Deep, rows, found, side: str) -> None:
    """Viable tissue, a dead core, and a rim that takes up contrast, thick and uneven."""
    head = film.head
    depth = where.ball(head, rows, found)
    r = head.column([f.measurement / 2 for f in found])
    fine, coarse = head.fine[rows], head.coarse[rows]
    film.on(rows, depth + 2.5 + 1.5 * coarse, "oedema", 0.5, soft_mm=3.0)
    film.on(rows, depth, "tumour", soft_mm=0.6)
    rough = (0.5 + 0.3 * fine + 0.2 * coarse).clamp(0, 1) * cover(depth, film.pixel_mm[rows])
    film.blend_on(rows, rough, "grey", 0.45)
    rim = torch.minimum(depth, 2.4 + 0.10 * r + 1.2 * fine - depth + 0.8)
    film.on(rows, rim, "tumour rim", 0.95, soft_mm=0.8)
    core = depth - (2.6 + 0.13 * r) - 1.0 * fine - 20 * (r < 7.5)
    film.on(rows, core, "necrosis", soft_mm=1.0)


def _meningioma(film: Film, deep: Deep, rows, found, side: str) -> None:
    """Even tissue on the dura, a cleft of fluid around it, a tail of thick dura beside it."""
    head = film.head
    depth = where.ball(head, rows, found)
    r = head.column([f.measurement / 2 for f in found])
    inside = head.vault[rows]
    film.on(rows, torch.minimum(depth + 1.3, inside), "fluid", 0.8)
    tail = torch.minimum(depth + 0.9 * r, 1.8 - (inside - 0.6).abs())
    film.on(rows, tail, "meningioma", 0.9, soft_mm=0.5)
    film.on(rows, depth, head.signal("meningioma")[rows] * (1 + 0.03 * head.fine[rows]), soft_mm=0.3)


def _haemorrhage(film: Film, deep: Deep, rows, found, side: str) -> None:
    """A clot some weeks old: bright in every sequence, a dark rim of iron, a little oedema."""
    head = film.head
    depth = where.ball(head, rows, found)
    film.on(rows, depth + 5.0 + 1.5 * head.coarse[rows], "oedema", 0.75, soft_mm=3.0)
    film.on(rows, depth, "haemosiderin", soft_mm=0.5)
    blood = head.signal("clot")[rows] * (1 + 0.06 * head.fine[rows])
    film.on(rows, depth - 1.9 - 0.5 * head.fine[rows], blood, soft_mm=1.0)


def _lacune(film: Film, deep: Deep, rows, found, side: str) -> None:
    """A small hole full of fluid in a shell of scar."""
    depth = where.ball(film.head, rows, found)
    film.on(rows, depth, "gliosis", soft_mm=0.4)
    film.on(rows, depth - 1.1, "cavity", soft_mm=0.5)


def _subdural(film: Film, deep: Deep, rows, found, side: str) -> None:
    depth = where.subdural(film.head, rows, found, side)
    film.on(rows, depth + 1.0, "dura", 0.8)
    film.on(rows, depth, film.head.signal("subdural")[rows] * (1 + 0.05 * film.head.coarse[rows]))


PAINT = {
    "vasogenic oedema": _oedema, "cerebral infarct": _infarct, "lacunar infarct": _lacune,
    "subdural haematoma": _subdural, "meningioma": _meningioma, "intracerebral haemorrhage": _haemorrhage,
    "brain tumour": _tumour,
}

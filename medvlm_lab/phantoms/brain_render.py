"""The signal of a slice as it truly is, painted from the outside to the inside: no scanner yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.brain_cortex import Cortex
from medvlm_lab.phantoms.brain_deep import SHEATH_MM, Deep
from medvlm_lab.phantoms.brain_film import Film
from medvlm_lab.phantoms.brain_lesions import paint_lesions
from medvlm_lab.phantoms.brain_shapes import ellipsoid, rod, step
from medvlm_lab.phantoms.brain_skull import hemisphere_veins, paint_face, paint_lining, paint_scalp, paint_skull
from medvlm_lab.phantoms.plane_shapes import cover, line

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medvlm_lab.phantoms.brain_geometry import Head


def signal(head: Head) -> Float[Tensor, "n h w"]:
    """The whole slice."""
    film, cortex = Film(head), Cortex(head)
    deep = Deep(head, cortex)
    paint_scalp(film)
    paint_skull(film)
    paint_face(film)
    paint_lining(film)
    _cerebrum(film, cortex)
    _nuclei(film, deep)
    _hind(film, deep)
    hemisphere_veins(film, cortex.x)
    _arteries(film)
    paint_lesions(film, deep)
    return film.signal * (1 + 0.025 * head.coarse + 0.025 * head.fine)


def _cerebrum(film: Film, cortex: Cortex) -> None:
    film.put(cortex.surface, "grey", soft_mm=1.0)
    film.put(torch.minimum(cortex.white, cortex.surface), "white", soft_mm=2.2)


def _nuclei(film: Film, deep: Deep) -> None:
    head, ax, y, z = film.head, deep.ax, deep.y, deep.z
    hypothalamus = ellipsoid(ax, y, z, (0.0, -4.0, -7.0), (9.0, 13.0, 8.0))
    film.put(hypothalamus, "deep grey", 0.8, soft_mm=2.0)
    film.put(deep.lateral + SHEATH_MM, "white", soft_mm=1.5)
    film.put(deep.callosum, "callosum", soft_mm=0.6)
    film.put(deep.putamen, "deep grey", soft_mm=1.0)
    film.put(deep.pallidum, "pallidum", soft_mm=1.0)
    film.put(deep.caudate, "deep grey", soft_mm=0.8)
    film.put(deep.thalamus, "deep grey", 0.85, soft_mm=1.4)
    film.put(deep.ventricles, "fluid", soft_mm=0.4)
    film.put(deep.fornix, "white", soft_mm=0.5)
    plexus = rod(ax, y, z, (21.0, -36.0, 12.0), (25.5, -44.0, 6.0), 2.6)
    film.put(torch.minimum(plexus + 0.8 * head.fine, deep.lateral), "choroid", 0.8)


def _hind(film: Film, deep: Deep) -> None:
    film.put(deep.cerebellum, "grey", soft_mm=0.5)
    film.put(deep.arbor, "white", 0.75, soft_mm=0.8)
    sulci = cover(0.55 - deep.folia, film.pixel_mm + 0.3) * cover(deep.cerebellum, film.pixel_mm)
    film.blend(sulci * cover(9.0 - deep.cerebellum, 3.0), "fluid", 0.55)
    film.put(deep.stem + 1.6, "fluid", 0.8 * step(-deep.z, -8.0, 2.0), soft_mm=0.6)
    film.put(deep.stem, "white", soft_mm=0.6)
    film.put(deep.stem - 4.0, "deep grey", 0.45, soft_mm=3.0)
    film.put(deep.fourth, "fluid", soft_mm=0.4)
    tent = line(deep.cortex.tentorium, 1.2, film.pixel_mm) * step(-deep.y, 30.0, 40.0)
    film.blend(tent * cover(film.head.vault, film.pixel_mm), "dura", 0.4)


def _arteries(film: Film) -> None:
    """Flow voids: carotids, basilar, middle cerebral arteries."""
    x, y, z = film.head.brain
    ax = x.abs()
    carotid = rod(ax, y, z, (11.0, 2.0, -34.0), (11.0, 0.0, -14.0), 2.3)
    basilar = rod(ax, y, z, (0.0, -11.0, -42.0), (0.0, -9.0, -14.0), 1.7)
    middle = rod(ax, y, z, (12.0, 0.0, -14.0), (34.0, 4.0, -8.0), 1.6, 1.3)
    film.put(torch.maximum(torch.maximum(carotid, basilar), middle), "flow")

"""What surrounds the brain: scalp, skull with its marrow, face, eyes, sinuses, neck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.brain_film import Film
from medvlm_lab.phantoms.brain_shapes import beyond, ellipsoid, length, rod, step
from medvlm_lab.phantoms.plane_shapes import cover, line, meet

if TYPE_CHECKING:
    from torch import Tensor


def paint_scalp(film: Film) -> None:
    """Skin, fat, muscles, and the soft parts of the face."""
    head = film.head
    z, p = head.z, head.p
    ax, skin = head.x.abs(), head.skin
    film.put(skin, "skin", soft_mm=0.6)
    fat = 1.9 + 1.0 * step(-z, 20.0, 60.0)
    film.put(skin - fat, head.signal("fat") * (1 + 0.06 * head.fine), soft_mm=0.4)
    outer = head.vault + 9.0  # outer surface of the skull
    deep = skin - fat - (3.0 + 3.5 * p["scalp_fat"]) - 3.0 * step(-z, 30.0, 70.0)
    # temporal muscle at the sides, neck muscles behind, a face of muscle and fat
    side = step(-z, -32.0, 4.0) * step(ax, 40.0, 58.0)
    low = step(-z, 26.0, 44.0)
    marbled = head.fields[0] + 0.25 * head.fine
    muscle = cover(deep, film.pixel_mm + 1.0) * (side + low).clamp(max=1)
    film.blend(muscle, "muscle")
    planes = (1 - 3.4 * marbled.abs()).clamp(0, 1) * low * cover(deep, film.pixel_mm)
    film.blend(planes, "fat", 0.55)
    galea = line(skin - fat - 2.6 - 3.0 * p["scalp_fat"], 1.0, film.pixel_mm) * (1 - low) * (1 - side)
    film.blend(galea * (outer < 0), "muscle", 0.5)


def paint_skull(film: Film) -> None:
    """Two dark plates with marrow between; thick and uneven at the base."""
    head = film.head
    vault, z, ax, y = head.vault, head.z, head.x.abs(), head.y
    base = step(-z, 12.0, 34.0)
    thick = 7.0 + 1.2 * head.coarse + 3.0 * base + 1.6 * step(-y, 60.0, 100.0)
    bone = meet(vault + thick, head.skin - 4.0, 3.0)
    film.put(bone, "bone", soft_mm=0.5)
    inner = torch.minimum(vault + thick - 1.7, -vault - 1.9)
    # the temporal squama is too thin for marrow
    thin = step(ax, 50.0, 62.0) * step(-z, -12.0, 4.0) * step(y, -45.0, -30.0)
    patchy = (0.75 + 0.35 * head.fine).clamp(0, 1)
    film.blend(cover(meet(inner, head.skin - 6.0), film.pixel_mm + 0.8) * (1 - thin) * patchy, "marrow")
    clivus = rod(ax, y, z, (0.0, 6.0, -24.0), (0.0, -14.0, -50.0), 6.0)
    film.put(clivus, "marrow", soft_mm=1.0)
    dens(film)


def dens(film: Film) -> None:
    """The upper vertebrae in front of the cord."""
    head = film.head
    ax, y, z = head.x.abs(), head.y, head.z
    tooth = rod(ax, y, z, (0.0, -20.0, -70.0), (0.0, -26.0, -102.0), 5.0, 8.0)
    film.put(tooth + 1.4, "bone")
    film.put(tooth, "marrow", soft_mm=0.8)
    arch = rod(ax, y, z, (26.0, -28.0, -72.0), (14.0, -30.0, -84.0), 8.0)
    film.put(arch + 1.2, "bone")
    film.put(arch, "marrow", soft_mm=0.8)
    spine = rod(ax, y, z, (0.0, -64.0, -72.0), (0.0, -70.0, -76.0), 5.0)
    film.put(spine + 1.2, "bone")
    film.put(spine, "marrow", soft_mm=0.8)


def paint_face(film: Film) -> None:
    """Sinuses, nose, mouth and throat, then the eyes."""
    head = film.head
    y, z, size = head.y, head.z, head.p["sinuses"]
    # a sagittal slice is thicker than the septum of the nose
    ax = torch.where(head.plane == 2, head.x.abs().clamp(min=6.0), head.x.abs())
    frontal = ellipsoid(ax, y, z, (10.0, 74.5, -6.0), (13.0 * size, 4.2, 12.0 * size))
    frontal = meet(frontal, head.skin - 8.0, 2.0)
    ethmoid = meet(ellipsoid(ax, y, z, (6.5, 42.0, -30.0), (9.0, 24.0, 12.0)), ax - 1.0)
    sphenoid = ellipsoid(ax, y, z, (5.0, 12.0, -34.0), (12.0 * size + 3, 12.0, 9.0))
    maxillary = ellipsoid(ax, y, z, (28.0, 44.0, -60.0), (13.0, 15.0, 15.0))
    cavity = meet(ellipsoid(ax, y, z, (0.0, 46.0, -58.0), (15.0, 36.0, 19.0)), ax - 1.2)
    throat = rod(ax, y, z, (0.0, 4.0, -56.0), (0.0, -4.0, -130.0), 8.0, 6.0)
    teeth = ellipsoid(ax, y, z, (0.0, 52.0, -92.0), (24.0, 24.0, 9.0))
    tongue = ellipsoid(ax, y, z, (0.0, 34.0, -94.0), (22.0, 30.0, 16.0))
    for air in (frontal, ethmoid, sphenoid, maxillary, cavity):
        film.put(air + 1.8, "bone", soft_mm=0.6)
    film.put(teeth, "bone", 0.8)
    film.put(tongue, "muscle", soft_mm=1.0)
    for air in (frontal, ethmoid, sphenoid, maxillary, cavity):
        film.put(air + 0.9, "mucosa", soft_mm=0.4)
        film.put(air, "air", soft_mm=0.4)
    cells = (head.fine.abs() * 5 - 0.6).clamp(0, 1)
    film.blend(cover(ethmoid, film.pixel_mm) * (1 - cells), "mucosa", 0.8)
    turbinates = ellipsoid(ax, y, z, (8.5, 40.0, -64.0), (4.2, 24.0, 6.5))
    turbinates = torch.maximum(turbinates, ellipsoid(ax, y, z, (7.5, 38.0, -50.0), (3.2, 18.0, 4.5)))
    film.put(turbinates, "mucosa", soft_mm=0.8)
    film.put(throat + 1.5, "mucosa")
    film.put(throat, "air", soft_mm=0.5)
    mastoid = ellipsoid(ax, y, z, (56.0, -36.0, -38.0), (12.0, 16.0, 18.0))
    mastoid = torch.minimum(mastoid, -head.vault - 2.0)
    film.put(mastoid, "bone", 0.9, soft_mm=2.0)
    film.blend(cover(mastoid, film.pixel_mm) * (head.fine * 1.5 - 0.6).clamp(0, 1), "marrow")
    petrous = rod(ax, y, z, (50.0, -34.0, -34.0), (14.0, -8.0, -32.0), 8.0, 4.0)
    film.put(petrous, "bone", 0.9, soft_mm=1.0)
    canal = rod(ax, y, z, (26.0, -22.0, -33.0), (12.0, -26.0, -33.0), 1.6)
    film.put(canal, "fluid", 0.8)
    paint_eyes(film)


def paint_eyes(film: Film) -> None:
    """Orbital fat, muscles, optic nerve, globe with its lens."""
    head = film.head
    ax, y, z = head.x.abs(), head.y, head.z
    apex = (11.0, 18.0, -24.0)
    cone = rod(ax, y, z, apex, (32.0, 56.0, -28.0), 5.0, 18.5)
    cone = meet(cone, 74.0 - 0.35 * ax - y, 3.0)
    film.put(cone + 1.2, "bone", soft_mm=0.5)
    film.put(cone, "fat", soft_mm=0.6)
    for dx, dz in ((-12.5, 0.0), (12.0, 0.0), (0.0, 12.0), (0.0, -12.0)):
        film.put(rod(ax, y, z, apex, (32.0 + dx, 54.0, -28.0 + dz), 1.6, 2.4), "muscle", soft_mm=0.4)
    film.put(rod(ax, y, z, apex, (32.0, 48.0, -28.0), 3.2), "fluid", 0.6)
    film.put(rod(ax, y, z, apex, (32.0, 48.0, -28.0), 2.0), "white")
    globe = ellipsoid(ax, y, z, (32.5, 59.0, -28.0), (12.2, 12.2, 12.2))
    film.put(globe + 1.0, "dura")
    film.put(globe, "vitreous")
    film.put(ellipsoid(ax, y, z, (32.5, 67.0, -28.0), (5.0, 2.6, 5.0)), "lens")


def paint_lining(film: Film) -> None:
    """Dura and the fluid inside it."""
    head = film.head
    film.put(head.vault + 0.9, "dura")
    film.put(head.vault, "fluid")


def hemisphere_veins(film: Film, midline: Tensor) -> None:
    """The superior sagittal sinus under the vault, and the falx that hangs from it."""
    head = film.head
    x, y, z, vault = head.x, head.y, head.z, head.vault
    over = step(z + 0.25 * y.abs(), -4.0, 12.0)
    falx = line(midline, 1.1, film.pixel_mm) * over
    reach = torch.minimum(vault, 34.0 + 0.2 * beyond(-y) - vault)
    film.blend(falx * (head.plane < 2) * cover(reach, film.pixel_mm), "dura", 0.9)
    wide = 4.6 - 0.8 * x.abs()
    sinus = torch.minimum(wide - beyond(vault), vault + 1.2) - 20 * (1 - over)
    film.put(sinus, "vein", soft_mm=0.4)
    ax = x.abs()
    transverse = length(z + 20.0 + 0.03 * (ax - 30.0), vault - 2.0)
    film.put(3.6 - transverse - 20 * (1 - step(-y, 52.0, 60.0)), "vein", soft_mm=0.4)

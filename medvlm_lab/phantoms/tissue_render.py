"""Stain maps of one slide: how much haematoxylin, eosin and pigment each point of the section holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from medvlm_lab.phantoms.tissue_cells import MITOSIS, Cells, joined
from medvlm_lab.phantoms.tissue_fields import Depths, View, noise
from medvlm_lab.phantoms.tissue_paint import cover, filled, paint
from medvlm_lab.phantoms.tissue_slide import Slide
from medvlm_lab.phantoms.tissue_stroma import FAT_UM, Stroma

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Section:
    """The parts of one slide at the pixels of one view; each is a picture (h, w)."""

    def __init__(self, slide: Slide, view: View):
        self.slide, self.view, self.scene = slide, view, slide.scene
        self.stroma = Stroma(slide)
        d = self.depth = slide.depths(view)
        self.x, self.y = (k.expand_as(d.u) for k in (view.x, view.y))
        px = view.pixel_um
        self.gland = (d.gland / px + 0.5).clamp(0, 1)
        self.lumen = (d.lumen / px + 0.5).clamp(0, 1)
        if len(slide.holes):
            self.lumen = torch.maximum(self.lumen, filled(view, slide.holes) * (d.solid > 4))
        if len(self.stroma.vessels):
            self.vessel = filled(view, self.stroma.vessels)
        else:
            self.vessel = torch.zeros_like(self.gland)
        self.dead = torch.zeros_like(self.gland)
        if self.scene.necrotic:
            self.dead = ((slide.dying(d) - slide.necrosis_um) / max(px, 1.5) + 0.5).clamp(0, 1) * self.gland
        self.lumen = self.lumen * (1 - self.dead)
        self.fat_inside, self.fat = self._fat(d)

    def texture(self, cell_um: float, purpose: int, stretch: float = 1.0) -> Tensor:
        """Noise of that grain; along fibres it is `stretch` times as long. Grain finer than a pixel fades."""
        a, b = self.slide.away
        u, v = self.x, self.y
        if stretch > 1:
            u, v = self.depth.flow, u * np.cos(a) + v * np.sin(a)
        fade, step = min(1.0, (cell_um / self.view.pixel_um) ** 1.5), 4 if cell_um > 9 * self.view.pixel_um else 1
        u, v = u[::step, ::step], v[::step, ::step]
        coarse = cell_um * stretch > 10 * self.view.pixel_um and step == 1
        grain = fade * noise(u / cell_um + a + 11 * purpose, v / (cell_um * stretch) + b + 17 * purpose, coarse)
        if step == 1:
            return grain
        return F.interpolate(grain[None, None], self.depth.u.shape, mode="bilinear", align_corners=True)[0, 0]

    def _fat(self, d: Depths) -> tuple[Tensor, Tensor]:
        """(inside of fat cells, the whole area of fat): Voronoi cells, their walls thin."""
        x, y, there = self.stroma.fat
        zero = torch.zeros_like(d.u)
        if not there.any():
            return zero, zero
        k = x.shape[0] // 2
        vx, vy = self.view.x, self.view.y
        row = (vy / FAT_UM).round().long() + k  # (h, 1)
        fx, fy = (torch.from_numpy(m.astype(np.float32)).to(d.u.device) for m in (x, y))
        flag = torch.from_numpy(there).to(d.u.device)
        first, second, fat = zero + 1e9, zero + 1e9, torch.zeros_like(zero, dtype=torch.bool)
        for di in (-1, 0, 1):
            i = (row + di).clamp(0, x.shape[0] - 1)
            column = (vx / FAT_UM - 0.5 * ((i - k) % 2)).round().long() + k
            for dj in (-1, 0, 1):
                j = (column + dj).clamp(0, x.shape[1] - 1)
                far = ((fx[i, j] - vx) ** 2 + (fy[i, j] - vy) ** 2).sqrt()
                nearer = far < first
                second = torch.where(nearer, first, torch.minimum(second, far))
                fat = torch.where(nearer, flag[i, j], fat)
                first = torch.where(nearer, far, first)
        # walls meet in rounded corners
        wall = torch.minimum((second - first) / 2 - 0.9, 0.60 * FAT_UM - first + self.texture(30, 18))
        return fat * ((wall + 0.3 * self.texture(14, 9)) / self.view.pixel_um + 0.5).clamp(0, 1), fat.float()

    def stains(self) -> Float[Tensor, "3 h w"]:
        """Concentrations of haematoxylin, eosin and residual."""
        blue, pink = self._between()
        b, p = self._cytoplasm()
        blue, pink = blue + (b - blue) * self.gland, pink + (p - pink) * self.gland
        if self.scene.diagnosis < 3:  # a membrane around every gland that does not invade
            rim = torch.exp(-(((self.depth.gland + 0.8) / 1.3) ** 2))
            pink, blue = pink + 0.22 * rim, blue + 0.06 * rim
        blue, pink = self._open(blue, pink)
        blue, pink = self._necrosis(blue, pink)
        blue, pink = self._nuclei(blue, pink)
        brown = 0.22 * pink + 0.05 * blue
        if len(self.stroma.red):
            red = filled(self.view, self.stroma.red)
            pink, brown = torch.maximum(pink, 0.95 * red), torch.maximum(brown, 0.55 * red)
        blue, pink, brown = self._calcium(blue, pink, brown)
        thick = 1 + 0.06 * self.texture(110, 21)
        stain = torch.stack([blue, pink, brown]) * thick
        if self.scene.fold:
            d = self.depth
            band = d.u * np.cos(self.slide.away[1]) + d.v * np.sin(self.slide.away[1]) - self.scene.field_um * 0.22
            stain = stain * (1 + self.scene.fold * torch.exp(-((band / (0.03 * self.scene.field_um)) ** 4)))
        return stain

    def _between(self) -> tuple[Tensor, Tensor]:
        """Collagen in bundles with clefts between them; loose in lobules, pale and young around a cancer."""
        scene, d = self.scene, self.depth
        bundle, fibre, patch = self.texture(5.0, 1, 6.0), self.texture(1.5, 2, 9.0), self.texture(60, 3)
        weave = 0.6 * bundle + 0.4 * fibre + 0.2 * self.texture(1.6, 8)
        young = scene.desmoplastic
        if scene.organ and scene.diagnosis < 3:
            grain = self.texture(3.2, 4)
            pink = 0.33 + 0.07 * weave + 0.06 * grain + 0.03 * patch
            blue = 0.13 + 0.04 * grain + 0.03 * weave
            cleft = ((self.texture(7, 5) + 0.4 * grain - 0.7) / 0.8).clamp(0, 1) * 0.7
        else:
            pink = (0.46 - 0.09 * young) * (1 + 0.24 * weave + 0.12 * patch)
            blue = (0.07 + 0.10 * young) * (1 + 0.4 * fibre) + 0.03 * young * self.texture(25, 6)
            cleft = ((weave - 0.72 + 0.4 * patch) / 0.6).clamp(0, 1) * (0.85 - 0.3 * young)
            loose = self.stroma.loose(self.view.x, self.view.y)
            if not isinstance(loose, float):
                pink, blue = pink * (1 - 0.38 * loose), blue + 0.05 * loose
        if scene.diagnosis == 3:  # shrinkage frees nests from their stroma
            gap = torch.exp(-(((d.gland + 1.7) / 1.2) ** 2)) * ((self.texture(28, 7) - 0.1) * 1.4).clamp(0, 1)
            cleft = torch.maximum(cleft, gap)
        pink, blue = pink * (1 - cleft), blue * (1 - cleft)
        empty = torch.maximum(self.fat_inside, self.vessel)
        return blue * (1 - empty), pink.clamp(min=0) * (1 - empty)

    def _cytoplasm(self) -> tuple[Tensor, Tensor]:
        scene = self.scene
        grain, cell = self.texture(1.7, 10), self.texture(9.0, 11)
        tumour = scene.diagnosis >= 2
        pink = (0.42 if tumour else 0.34) + 0.05 * grain + 0.06 * cell
        blue = (0.24 if tumour else 0.15) + 0.03 * grain + 0.04 * cell
        return blue, pink

    def _open(self, blue: Tensor, pink: Tensor) -> tuple[Tensor, Tensor]:
        """Lumens are empty but for a little secretion; a brush border or a pink seam lines them; mucin is pale."""
        if len(self.slide.mucin):
            droplets = self.slide.mucin
            dark = torch.from_numpy(droplets.dark).float().to(blue.device)
            here = paint(self.view, droplets, lambda k, q, u, v, edge: cover(q, edge) * dark[k][:, None, None].sqrt())
            here = here * self.gland * (1 - self.lumen)
            blue, pink = blue + (0.11 - blue) * here, pink + (0.03 - pink) * here
        seam = torch.exp(-(((self.depth.lumen + 1.0) / 1.0) ** 2)) * self.gland
        pink = pink + 0.16 * seam
        secretion = (self.texture(22, 12) - 0.6).clamp(0, 1) * (1 + 0.3 * self.texture(2.5, 13))
        empty = self.lumen
        blue = blue * (1 - empty) + empty * secretion * (0.10 if self.scene.organ else 0.02)
        pink = pink * (1 - empty) + empty * secretion * (0.06 if self.scene.organ else 0.16)
        return blue, pink

    def _necrosis(self, blue: Tensor, pink: Tensor) -> tuple[Tensor, Tensor]:
        if not self.scene.necrotic:
            return blue, pink
        grain, clump, ghost = self.texture(1.6, 14), self.texture(4.5, 15), self.texture(11, 16)
        hole = ((ghost - 1.2) / 0.5).clamp(0, 1)
        dead_pink = (0.56 + 0.10 * grain + 0.10 * clump) * (1 - 0.7 * hole)
        dead_blue = (0.10 + 0.05 * grain + 0.07 * clump.clamp(min=0)) * (1 - 0.7 * hole)
        return blue + (dead_blue - blue) * self.dead, pink + (dead_pink - pink) * self.dead

    def _nuclei(self, blue: Tensor, pink: Tensor) -> tuple[Tensor, Tensor]:
        """Chromatin in clumps, denser at the membrane; mitoses without membrane, in a cleared cell."""
        slide, stroma, view = self.slide, self.stroma, self.view
        dividing = slide.epithelium.of(MITOSIS)
        if len(dividing):
            room = Cells(**{**vars(dividing), "a": dividing.a * 1.55, "b": dividing.a * 1.5})
            room.irregular = room.irregular * 0
            clear = paint(view, room, lambda k, q, u, v, edge: cover(q, edge)) * 0.85
            blue, pink = blue + (0.06 - blue) * clear, pink + (0.26 - pink) * clear
        chromatin = self.texture(1.1, 20)
        cells = joined(stroma.resident, stroma.lining, slide.lining, stroma.debris, slide.epithelium, stroma.infiltrate)
        dark, pale, kind = (
            torch.from_numpy(k).float().to(blue.device) for k in (cells.dark, cells.vesicular, cells.kind)
        )

        def value(k, q, u, v, edge):
            d, p, m = (t[k][:, None, None] for t in (dark, pale, kind == MITOSIS))
            membrane = torch.exp(-(((q - 0.86) / 0.13) ** 2))
            inside = 0.86 - 0.42 * p + (0.10 + 0.30 * p) * membrane
            nucleolus = 0.75 * p * torch.exp(-(((u - 0.25) ** 2 + (v + 0.1) ** 2) / 0.05))
            plates = torch.where(p > 0.5, torch.exp(-(((v.abs() - 0.62) / 0.26) ** 4)), 1.0)  # anaphase: two sets apart
            return cover(q, edge) * d * torch.where(m, plates, inside + nucleolus)

        painted = paint(view, cells, value)
        there = (painted * 3).clamp(0, 1)
        amount = painted * (1 + 0.2 * chromatin.clamp(-2, 2))
        blue = blue * (1 - there) + 1.32 * amount
        pink = pink * (1 - 0.55 * there)
        return blue, pink

    def _calcium(self, blue: Tensor, pink: Tensor, brown: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cells = self.stroma.calcium
        if not len(cells):
            return blue, pink, brown
        rings = lambda k, q, u, v, edge: cover(q, edge) * (0.82 + 0.18 * torch.sin(q * 16) - 0.2 * (1 - q))  # noqa: E731
        stone = paint(self.view, cells, rings)
        there = (stone * 4).clamp(0, 1)
        stone = stone * (1 + 0.14 * self.texture(1.6, 22))
        return blue * (1 - there) + 1.9 * stone, pink * (1 - there) + 0.5 * stone, brown + 0.25 * stone



"""Depth inside each solid organ of an abdominal slice. Renderer and masks cut from the same depths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.abdomen_geometry import SIGN, Abdomen
from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.plane_shapes import capsule, circle, ellipse, join, meet

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Depth = Float[Tensor, "n h w"]

GONE = -999.0


@dataclass(frozen=True)
class Kidney:
    """One kidney: its outline, and coordinates along its hilum (u) and across (v) for what lies inside."""

    depth: Tensor
    sinus: Tensor
    u: Tensor
    v: Tensor
    cx: Tensor
    cy: Tensor
    radius: Tensor
    open: Tensor  # 1 at the hilum's level, 0 at the poles
    direction: tuple[Tensor, Tensor]


class Organs:
    """Organs of a batch, worked out once and shared."""

    def __init__(self, body: Abdomen):
        self.body = body
        self.fluid_gap = 0.2 + 26.0 * body.amount("ascites")  # mm between wall and liver

    @cached_property
    def kidneys(self) -> dict[str, Kidney]:
        return {side: self._kidney(side) for side in SIGN}

    def _kidney(self, side: str) -> Kidney:
        body, sign = self.body, SIGN[side]
        z, p = body.z, body.p
        middle = 0.62 if side == "right" else 0.50
        scale = (1 - ((z - middle) / 0.80).square()).clamp(min=0.3).sqrt()
        opening = (1 - ((z - middle) / 0.42).square()).clamp(0, 1)
        swollen = 1 + 0.14 * body.amount("hydronephrosis", side)
        across = 0.5 * p["kidney_mm"] * scale * swollen
        r = across * 1.12
        cx = sign * (0.36 * body.ca + 0.30 * p["kidney_mm"] + 2 * body.drift(131) + 7 * p["visceral_fat"])
        cy = body.spine_y + 3.0 + 4 * body.drift(132) - 2 * (side == "right")
        turn = 0.50 + 0.18 * body.drift(133 + (side == "left"))  # the hilum looks forwards and inwards
        c, s = -sign * torch.cos(turn), -torch.sin(turn)
        x, y = 0.5 * (body.x + body.wx), 0.5 * (body.y + body.wy)
        dx, dy = x - cx, y - cy
        u, v = dx * c + dy * s, dy * c - dx * s
        outer = ellipse(u, v, 0.0, 0.0, across * 0.98, r)
        notch = ellipse(u, v, across * 1.05, 0.0, across * 0.80, r * 0.34)
        depth = meet(outer, -notch + 40 * (1 - opening), 9.0)
        sinus = ellipse(u, v, 0.38 * across, 0.0, 0.50 * across, 0.40 * r)
        return Kidney(depth, sinus - 45 * (1 - opening), u, v, cx, cy, 0.5 * (across + r), opening, (c, s))

    @cached_property
    def spleen(self) -> Depth:
        """A crescent along the wall, exactly `spleen_mm` from tip to tip."""
        body, long = self.body, self.body.p["spleen_mm"]
        thick = (0.10 * long + 11.0 + 2.5 * body.drift(141)).clamp(max=0.20 * long + 3)
        bow = 0.05 * long + 0.0007 * long * long
        # a longer spleen reaches further forwards
        angle = 0.40 - 0.0042 * (long - 90.0) + 0.07 * body.drift(142)
        cos, sin = angle.cos(), angle.sin()
        u0, v0 = cos.square(), sin.square()
        keep = 1 / (u0 * u0 + v0 * v0 + 1.6 * u0 * v0).sqrt().sqrt()
        px, py = body.ca * cos * keep, body.cb * sin * keep
        nx, ny = cos / body.ca, sin / body.cb
        norm = (nx * nx + ny * ny).sqrt()
        nx, ny = nx / norm, ny / norm
        inset = bow + thick + 1.5 + 0.45 * self.fluid_gap + 0.08 * (long - 105).clamp(min=0)
        dx, dy = body.x - (px - nx * inset), body.y - (py - ny * inset)
        u, v = dy * nx - dx * ny, dx * nx + dy * ny
        w = u * 2 / long
        across = v - bow * (1 - w * w)
        # the inner face is lobed; neither the tips nor the face on the wall are
        lobes = (-across / thick).clamp(0, 1) * (1 - w * w).clamp(min=0)
        return ellipse(u, across, 0.0, 0.0, 0.5 * long, thick) + 6.0 * lobes * (body.noise(15, 143) - 0.3)

    @cached_property
    def gallbladder(self) -> Depth:
        body = self.body
        cx, cy = -0.37 * body.ca + 3 * body.drift(145), -0.34 * body.cb + 3 * body.drift(146)
        there = torch.minimum((body.z - 0.40) * 40, (0.99 - body.z) * 40).clamp(-40, 0)
        size = 1 + 0.12 * body.drift(147)
        return ellipse(body.wx, body.wy, cx, cy, 12.5 * size, 20.0 * size, 0.9, 0.44) + there

    @cached_property
    def liver(self) -> Depth:
        body, z = self.body, self.body.z
        x, y, ca, cb = body.wx, body.wy, body.ca, body.cb
        shrunk = body.amount("cirrhosis")
        size = body.p["liver_size"] * (1 - 0.10 * shrunk)
        rx, ry = ca * (0.60 - 0.26 * z * z) * size, cb * (0.98 - 0.28 * z * z) * size
        right = ellipse(x, y, -ca * (0.47 + 0.20 * z * z), -cb * (0.02 + 0.10 * z), rx, ry)
        reach = ca * (0.64 - 0.62 * z) * (1 + 0.10 * shrunk)
        left = ellipse(x, y, -0.05 * ca, -0.58 * cb, reach.clamp(min=1.0), cb * (0.34 - 0.20 * z), 0.985, -0.17)
        left = left - 60 * (z - 0.72).clamp(min=0)
        caudate = ellipse(x, y, -0.20 * ca, 0.03 * cb, 17.0 + 8 * shrunk, 15.0 + 6 * shrunk) - 70 * (z - 0.30).clamp(
            min=0
        )
        liver = join(join(right, left, 26.0), caudate, 8.0)
        # what presses into the liver's under surface
        kidney = self.kidneys["right"]
        # more fat towards the hilum and behind than where liver and kidney touch
        loose = (0.5 + 0.45 * kidney.u / kidney.radius).clamp(0.1, 1.2)
        fossa = kidney.depth + 1.0 + (2.0 + 10.0 * body.p["visceral_fat"]) * loose + 1.5 * body.noise(18, 154)
        liver = meet(liver, -fossa, 6.0)
        spine = ellipse(x, y, 6.0, body.spine_y - 6.0, 34.0, 30.0)
        liver = meet(liver, -spine, 8.0)
        liver = meet(liver, -self.porta, 5.0)
        liver = meet(liver, 2.0 - self.gallbladder, 5.0)
        liver = meet(liver, -self.fissure, 4.0)
        surface = (0.8 + 5.2 * shrunk) * body.noise(34, 151) * (0.4 + shrunk)
        # the wall cuts the liver off smoothly; a sick one keeps its knobs under the fluid
        inside = body.cavity - self.fluid_gap
        return meet(liver + surface, inside + surface * (shrunk > 0), 3.0)

    @cached_property
    def porta(self) -> Depth:
        """The fatty cleft where vessels and bile ducts enter."""
        body = self.body
        return capsule(
            body.wx,
            body.wy,
            -0.06 * body.ca,
            -0.20 * body.cb,
            -0.30 * body.ca,
            -0.10 * body.cb,
            8.0,
            3.0 + 2 * body.p["visceral_fat"],
        )

    @cached_property
    def fissure(self) -> Depth:
        """The cleft of the falciform ligament between right and left lobe."""
        body = self.body
        fx = (-0.16 + 0.05 * body.drift(152)) * body.ca
        bent = body.wx + 3.0 * body.noise(14, 156)
        cleft = capsule(bent, body.wy, fx + 5, -0.70 * body.cb, fx - 2, -0.34 * body.cb, 0.3, 3.0)
        return cleft - 30 * (0.12 - body.z).clamp(min=0)

    @cached_property
    def pancreas(self) -> Depth:
        """Head beside the duodenum, neck in front of the vessels, body and tail towards the spleen: by level."""
        body, z, ca, cb = self.body, self.body.z, self.body.ca, self.body.cb
        x, y = body.wx, body.wy
        tail_fades, head_fades = 45 * (z - 0.50).clamp(min=0), 45 * (0.36 - z).clamp(min=0)
        head = ellipse(x, y, -0.17 * ca, -0.14 * cb, 15.0, 17.0) - head_fades - 60 * (z - 0.82).clamp(min=0)
        neck = capsule(x, y, -0.14 * ca, -0.22 * cb, 0.08 * ca, -0.31 * cb, 11.0, 8.0)
        middle = capsule(x, y, 0.08 * ca, -0.31 * cb, 0.30 * ca, -0.18 * cb, 8.5, 9.5) - tail_fades
        tail = capsule(x, y, 0.30 * ca, -0.18 * cb, 0.54 * ca, 0.06 * cb, 9.5, 7.5) - tail_fades
        neck = neck - 40 * (z - 0.60).clamp(min=0)
        whole = join(join(head, neck, 8.0), join(middle, tail, 8.0), 8.0)
        early = 60 * (0.16 - z).clamp(min=0)
        return whole - early - 1.0 - 2.4 * body.noise(46, 153) - 1.5 * body.p["visceral_fat"]

    @cached_property
    def adrenals(self) -> Depth:
        """Thin inverted V in front of each upper pole."""
        body, y0 = self.body, self.body.spine_y
        x, y = body.wx, body.wy
        low = 40 * (body.z - 0.22).clamp(min=0)
        right = join(
            capsule(x, y, -27.0, y0 - 27.0, -38.0, y0 - 5.0, 2.3, 1.8),
            capsule(x, y, -27.0, y0 - 27.0, -30.0, y0 - 6.0, 2.3, 1.7),
            2.0,
        )
        left = join(
            capsule(x, y, 37.0, y0 - 33.0, 50.0, y0 - 14.0, 2.6, 2.0),
            capsule(x, y, 37.0, y0 - 33.0, 33.0, y0 - 12.0, 2.6, 2.0),
            2.0,
        )
        return join(right, left) - low

    @cached_property
    def aorta(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centre and radius, mm: in front of the spine, a little to the left."""
        r = self.body.p["aorta_mm"] / 2
        return 7.0 + 0.12 * r, self.body.spine_y - 19.0 - r, r

    @cached_property
    def aorta_depth(self) -> Depth:
        return circle(self.body.x, self.body.y, *self.aorta)

    @cached_property
    def cava(self) -> Depth:
        body = self.body
        wide = 13.0 + 2 * body.drift(155)
        pushed = (self.aorta[2] - 15).clamp(min=0) * 0.8
        return ellipse(body.wx, body.wy, -21.0 - pushed, body.spine_y - 26.0, wide, 9.0, 0.95, 0.31)

    def scatter(self, purpose: int, count: int) -> Float[Tensor, "count n 1 1 2"]:
        """Points in [-1, 1]^2 of each patient's own."""
        raw = hashed(self.body.patients, purpose, 2 * count) % 2001
        points = torch.from_numpy(raw).to(self.body.device).float() * 0.001 - 1
        return points.reshape(-1, count, 1, 1, 2).transpose(0, 1)

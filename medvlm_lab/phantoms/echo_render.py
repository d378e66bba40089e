"""How strongly each tissue of the heart sends ultrasound back, and the cine that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.echo_anatomy import ATRIAL_WALL, RV_WALL, TRICUSPID_MM, Heart, Layout
from medvlm_lab.phantoms.echo_cycle import FRAMES
from medvlm_lab.phantoms.echo_lines import Lines, distance
from medvlm_lab.phantoms.echo_probe import Probe

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medvlm_lab.phantoms.echo_scene import EchoScene

# amplitude of the echo: 1 is the brightest, blood a hundredth
BLOOD, MUSCLE, THIN, FAT, AROUND = 0.0035, 0.13, 0.075, 0.05, 0.022
LEAFLET_MM, LEAD_MM, CLIP_MM, STENT_MM = 0.6, 0.6, 2.0, 1.2  # half thickness


def soft(mm: Tensor, width: float = 1.4) -> Tensor:
    """0 outside, 1 inside, over a border of `width`."""
    return (mm * (1 / width)).add_(0.5).clamp_(0, 1)


def paint(amount: Tensor, value: Tensor | float, cover: Tensor) -> Tensor:
    """`amount` with `value` over it as far as `cover` reaches."""
    return amount + (value - amount) * cover


def cine(scene: EchoScene, size: int, device: torch.device) -> Float[Tensor, "f h w"]:
    """Grey values from 0 to 1."""
    layout = Layout(scene)
    probe = Probe(scene, layout.depth_mm, size, device)
    heart = Heart(layout, probe.x, probe.y)
    echo, mirror = tissue(heart, probe), torch.zeros(FRAMES, probe.rows, probe.beams, device=device)
    shade = add_lines(layout, probe, mirror)
    u, d = tissue_place(heart)
    one, two = probe.speckle(u, d)
    through = transmission(probe) * shade
    # rough at the scale of the wave, and here and there seen from the side
    mirror = mirror * (0.75 + 0.3 * one) * (0.85 + 0.75 * probe.patches(u, d, 8.0, 77)).clamp(0.3, 1.3)
    envelope = probe.receive((one * echo + mirror) * through, (two * (echo + 0.3 * mirror)) * through)
    envelope = envelope + clutter(probe)
    picture = probe.scan_convert(probe.compress(envelope), layout.fov_mm, size)
    return picture.mul_(255).round_().mul_(1 / 255)


def tissue_place(heart: Heart) -> tuple[Tensor, Tensor]:
    """Where each point's tissue lies at full ventricle: what carries the speckle along."""
    lay, v = heart.layout, heart.ventricles
    full, low = lay.length, heart.d - heart.length
    # between the moving valve plane and the resting roof of the atria, tissue is stretched evenly
    atrial = full + low * ((lay.bottom - full) / (lay.bottom - heart.length))
    below = torch.where(heart.d < lay.bottom, atrial, heart.d)
    along = torch.where(heart.d < 0, heart.d, torch.where(low < 0, v["along"], below))
    return v["place"], along


def tissue(heart: Heart, probe: Probe) -> Float[Tensor, "f R B"]:
    """Echogenicity of what scatters, painted from the outside in."""
    lay, v, a = heart.layout, heart.ventricles, heart.atria
    low = heart.d - heart.length
    outside, fluid = heart.pericardium
    x, y = probe.x[None], probe.y[None]
    around = AROUND * (0.9 + 1.3 * probe.patches(x, y, 22.0, 71))
    behind = soft(y - (lay.apex[1] + lay.bottom - 6), 14.0)  # lung and spine behind the atria
    streak = probe.patches(x, y * 4.0, 30.0, 72).clamp(min=0)
    around = around.clamp(min=0.004) * (1 + behind * (1.0 + 3.0 * streak))
    right = soft(heart.u - 0.4 * lay.half, 30.0)
    around = around * (0.45 + 1.3 * right)
    line = 1 - (outside.abs() - 0.6).clamp(min=0) * 0.5
    bright = (0.12 + 0.55 * right * soft(heart.d - 0.3 * lay.length, 40.0) + 0.35 * behind)
    bright = bright * (0.6 + 0.6 * probe.patches(x, y, 18.0, 73)).clamp(min=0.1)
    around = torch.maximum(around, bright * line.clamp(min=0) + 0.5 * bright * torch.exp(-outside.clamp(min=0) * 0.16))
    inner = soft(-outside)
    echo = paint(around, FAT, inner)
    echo = paint(echo, BLOOD, inner * soft(fluid - 1.2)) + 0 * low  # (f, R, B)
    upper, lower = soft(-low + 1.5, 3.0), soft(low + 3.0, 3.0)
    # walls along the beam send less back than walls across it
    patch = probe.patches(v["place"], v["along"], 11.0, 74)
    lost = probe.patches(x, y * 0.3, 15.0, 75)
    weak = (1 - lay.scene.dropout * (0.6 + 1.5 * lost).clamp(0, 1.25)).clamp(min=0.1)
    septal = soft(-heart.u - 0.2 * lay.half, 25.0) * soft(heart.d - 0.15 * lay.length, 30.0)
    fine = probe.patches(v["place"], v["along"] * 0.6, 4.5, 76)
    muscle = MUSCLE * (1 + 0.6 * patch + 0.5 * fine).clamp(min=0.12)
    muscle = muscle * (0.35 + 1.1 * septal + 0.3 * right) * torch.maximum(weak, 0.8 * septal)
    thin = THIN * (1 + 0.5 * patch) * weak
    echo = paint(echo, thin, soft(RV_WALL - v["rv"]) * upper * soft(v["epi"]))
    wall = torch.minimum(a["la"], a["ra"])
    echo = paint(echo, 1.5 * thin, soft(ATRIAL_WALL - wall) * lower * soft(v["epi"] + 2.0))
    echo = paint(echo, 1.6 * thin, soft(2.4 - a["root"]) * soft(low + 4))
    echo = paint(echo, BLOOD, soft(-v["rv"]) * soft(-low - TRICUSPID_MM) * soft(v["epi"]))
    right_atrium = soft(-a["ra"]) * soft(low + TRICUSPID_MM) * soft(a["la"] - ATRIAL_WALL) * soft(a["root"] - 2.0)
    echo = paint(echo, BLOOD, right_atrium)
    echo = paint(echo, muscle, soft(-v["epi"]) * soft(-low + 1.0, 3.0))
    groove = soft(6.5 - ((heart.u - lay.hinge + 4) ** 2 + low * low * 0.7).sqrt(), 6.0)  # the fibrous crux
    echo = torch.maximum(echo, 0.42 * groove)
    echo = paint(echo, BLOOD, soft(-a["root"]) * soft(low + 6))
    echo = paint(echo, BLOOD, soft(-a["la"]) * soft(low))
    echo = paint(echo, BLOOD, soft(-v["endo"]) * soft(-low))
    return papillary(heart, echo)


def papillary(heart: Heart, echo: Tensor) -> Tensor:
    """The anterolateral papillary muscle along the free wall."""
    v = heart.ventricles
    s = v["s"]
    wide = 0.11 * heart.half * (1 - ((s - 0.46) * 5.5) ** 2).clamp(min=0)
    return paint(echo, 0.6 * MUSCLE, soft(v["endo"] + wide + 0.6) * soft(-v["endo"]) * (heart.u > 0) * soft(wide))


def add_lines(layout: Layout, probe: Probe, mirror: Tensor) -> Tensor | float:
    """Adds what reflects like a mirror to `mirror`, and returns what passes through it."""
    lines, scene = Lines(layout), layout.scene
    for points in (*lines.mitral().values(), *lines.aortic().values()):
        _add(lines, points, probe, mirror, LEAFLET_MM, 0.24)
    for points in lines.tricuspid().values():
        _add(lines, points, probe, mirror, LEAFLET_MM, 0.12)
    metal = []
    if scene.find("pacemaker lead"):
        metal.append((lines.lead(), LEAD_MM, 0.5))
    if scene.find("MitraClip"):
        metal.append((lines.clip(), CLIP_MM, 1.6))
    if scene.find("TAVR valve"):
        metal += [(side, STENT_MM, 1.3) for side in lines.stent()]
    if not metal:
        return 1.0
    solid = torch.zeros_like(mirror)
    for points, thick, bright in metal:
        _add(lines, points, probe, mirror, thick, bright)
        _add(lines, points, probe, solid, thick, bright)
    behind = solid.cumsum(1) - solid  # (f, R, B)
    return torch.exp(-0.045 * probe.step * behind)


def _add(lines: Lines, points, probe: Probe, onto: Tensor, thick: float, bright: float) -> None:
    rows, columns, mm = distance(lines.place(points), probe.x, probe.y)
    drawn = bright * soft(thick - mm, 1.0)
    onto[:, rows, columns] = torch.maximum(onto[:, rows, columns], drawn)


def transmission(probe: Probe) -> Float[Tensor, "1 R B"]:
    """What time-gain compensation leaves of attenuation, and the shadows of ribs and lung from the edges inwards."""
    scene = probe.scene
    deep = probe.radius * (1 / probe.depth_mm)
    tgc = torch.exp(-0.9 * (deep - 0.62).clamp(min=0)) * (0.8 + 0.35 * deep)
    edge = probe.angle * (1 / probe.half)  # (1, B), -1 the picture's left
    beams = 0.16 * probe.patches(edge * 60, edge * 0 + 7.0, 7.0, 81)
    side = 1 if scene.seed % 3 else -1
    dark = scene.shadow * ((edge * side - (0.55 + beams)) * 2.6).clamp(0, 1)
    other = scene.shadow * ((-edge * side - (0.75 + beams)) * 2.6).clamp(0, 1)
    return (tgc * (1 + 1.2 * beams) * torch.exp(-3.2 * (dark + 0.8 * other)))[None]


def clutter(probe: Probe) -> Tensor:
    """Reverberation near the probe, haze of side lobes, and noise that compensation lifts in the depth."""
    scene, r = probe.scene, probe.radius[None]
    near = (0.05 + 0.20 * scene.haze) * torch.exp(-(r - 4.0) * (1 / (8.0 + 10.0 * scene.haze)))
    near = near + 0.16 * torch.exp(-(((r - 5.5) * 0.55) ** 2))
    rings = 0.7 + 0.3 * torch.cos(r * 1.9)
    one, two = (probe.still_noise(p, 1) for p in (91, 94))
    fixed = probe.receive(one, two) * near * rings + near * 0.3
    fixed = fixed + 0.02 * scene.haze * torch.exp(-r * 0.012) * probe.receive(two, one)
    noise = (0.0016 + 0.009 * scene.noise) * (0.25 + (r * (1 / probe.depth_mm)) ** 2 * 1.2)
    white = probe.still_noise(95, FRAMES).abs()
    return fixed + noise * white

"""From stain in the section to light on the camera: Beer–Lambert absorption, lens, lamp and sensor.

Optical density is the sum over stains of concentration times stain vector, and the light that passes is exp(−density).
Vectors of haematoxylin and eosin: Ruifrok and Johnston, Quantification of histochemical staining by color
deconvolution, 2001.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from medvlm_lab.phantoms.histology_scene import HistologyScene
from medvlm_lab.phantoms.noise import white

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

HAEMATOXYLIN = (0.650, 0.704, 0.286)
EOSIN = (0.072, 0.990, 0.105)
RESIDUAL = (0.268, 0.570, 0.776)  # brownish: red cells, pigment, calcium
LAMP = (0.965, 0.958, 0.968)  # white light through an empty slide
SHIFT = ((-0.13, 0.04, 0.06), (-0.06, -0.08, 0.20))  # of both vectors, from violet towards red


def vectors(scene: HistologyScene) -> Float[np.ndarray, "3 3"]:
    """Unit stain vectors (stain, colour) as this laboratory's chemistry has them."""
    both = np.array([HAEMATOXYLIN, EOSIN]) + scene.hue * np.array(SHIFT)
    stains = np.vstack([np.maximum(both, 0.01), RESIDUAL])
    return stains / np.linalg.norm(stains, axis=1, keepdims=True)


def transmit(stain: Float[Tensor, "3 h w"], scene: HistologyScene) -> Float[Tensor, "3 h w"]:
    """Light that passes concentrations of haematoxylin, eosin and residual, 0 to 1 per colour."""
    strength = np.array([scene.haematoxylin, scene.eosin, 1.0])[:, None] * vectors(scene)
    mix = torch.from_numpy(strength.astype(np.float32)).to(stain.device)
    density = sum(stain[k][None] * mix[k][:, None, None] for k in range(3))
    return torch.exp(-density)


def photograph(light: Float[Tensor, "3 h w"], scene: HistologyScene, size: int) -> Float[Tensor, "3 h w"]:
    """The picture that the camera takes at `size` pixels: whole grey levels from 0 to 1."""
    light = _lens(light, scene.blur_um / (scene.field_um / light.shape[-1]))
    if light.shape[-1] != size:
        k = light.shape[-1] // size
        light = light.view(3, size, k, size, k).mean((2, 4))
    at = (torch.arange(size, device=light.device) + 0.5) / size * 2 - 1
    fall = 1 - 0.5 * scene.vignette * ((at - 0.15) ** 2 + (at[:, None] + 0.1) ** 2)
    lamp = torch.tensor(LAMP, device=light.device)[:, None, None]
    seeds = np.array([scene.seed])
    grain = torch.cat([white(seeds, size, light.device, 20 + k) for k in range(3)])
    picture = light * lamp * fall + scene.noise * (0.35 + 0.65 * light) * (0.6 * grain + 0.5 * grain[1])
    return (picture.clamp(0, 1) * 255).round() / 255


def _lens(light: Tensor, sigma: float) -> Tensor:
    """Gaussian blur over `sigma` pixels."""
    if sigma < 0.3:
        return light
    reach = max(1, int(np.ceil(2.5 * sigma)))
    at = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (at / sigma) ** 2)
    kernel = torch.from_numpy((kernel / kernel.sum()).astype(np.float32)).to(light.device)
    padded = F.pad(light[:, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]

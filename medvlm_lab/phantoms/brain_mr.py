"""Simulated MR slices of the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms.base import Phantom, check_size
from medvlm_lab.phantoms.brain_geometry import Head
from medvlm_lab.phantoms.brain_render import signal
from medvlm_lab.phantoms.brain_scanner import scan
from medvlm_lab.phantoms.brain_scene import BrainScene
CHUNK = 16
def truth(scenes, size=224, device=None):
    with torch.no_grad():
        return torch.cat([signal(Head(scenes[i:i+4], size, torch.device("cpu"))) for i in range(0,len(scenes),4)])
def render(scenes, size=224):
    out=[]
    with torch.no_grad():
        for i in range(0,len(scenes),4):
            h=Head(scenes[i:i+4], size, torch.device("cpu")); p=h.p
            sig=signal(h)
            out.append(scan(sig, h.signal("white")/p["snr"], h.column([float(s.matrix) for s in h.scenes])*(p["fov_mm"]/220), p["coil"],p["motion"],h.seeds))
    return torch.cat(out)

"""Every block runs in every float type, with and without gradients, on the accelerator where there is one."""

import subprocess
import sys

import pytest
import torch

from medvlm_lab.nn.clip_text import CLIPText
from medvlm_lab.nn.connector import Projector, ScalingFreeConnector, cut_tiles
from medvlm_lab.nn.convnext import ConvNeXt
from medvlm_lab.nn.gated_cross_attention import GatedCrossAttention
from medvlm_lab.nn.llama import Llama, LlamaConfig
from medvlm_lab.nn.lora import add_lora
from medvlm_lab.nn.qformer import QFormer
from medvlm_lab.nn.resampler import PerceiverResampler

SEES = torch.tensor([[True, False, False], [True, True, False], [True, True, True]]).expand(2, 3, 3)
TILES = torch.tensor([[True, True, False, False], [True, True, True, False]])[..., None].expand(2, 4, 3)
IDS, KEEP = torch.tensor([[7, 3, 9], [5, 9, 0]]), torch.tensor([[True, True, True], [True, True, False]])


def lora():
    model = Llama(LlamaConfig(10, 16, 1, 2, 1, 16))
    add_lora(model, ("q_proj",), rank=2, alpha=2)
    return model


BLOCKS = {
    "qformer": (lambda: QFormer(16, 2, 2, 16, 8, 4, 10), (torch.rand(2, 3, 8), IDS, KEEP, KEEP)),
    "resampler": (lambda: PerceiverResampler(16, 1, 2, 8, 4), (torch.rand(2, 3, 16), KEEP)),
    "gated": (
        lambda: GatedCrossAttention(16, 2, 16, 8),
        (torch.rand(2, 3, 16), torch.rand(2, 3, 8), SEES),
    ),
    "convnext": (lambda: ConvNeXt(8, (1, 1), (8, 16)), (torch.rand(2, 3, 32, 32),)),
    "clip_text": (lambda: CLIPText(8, 10, 3, 16, 1, 2, eot=9, quick_gelu=True), (IDS,)),
    "llama": (lambda: Llama(LlamaConfig(10, 16, 2, 4, 2, 16)), (IDS, KEEP)),
    "lora": (lora, (IDS, KEEP)),
    "projector": (lambda: Projector(8, 16), (torch.rand(2, 3, 8),)),
    "connector": (
        lambda: ScalingFreeConnector(8, 16, 1, 2),
        (torch.rand(2, 3, 8), torch.rand(2, 4, 3, 8), TILES),
    ),
}
IMAGE = torch.rand(3, 30, 50)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", BLOCKS)
def test_runs_and_learns(name, dtype, device):
    torch.manual_seed(0)
    build, inputs = BLOCKS[name]
    model = build()

    def run(dtype, device):
        model.to(device, dtype)
        out = model(*(x.to(device, dtype) if x.is_floating_point() else x.to(device) for x in inputs))
        return out[0] if isinstance(out, tuple) else out

    exact = run(torch.float64, "cpu").detach()
    out = run(dtype, device)
    assert out.dtype == dtype and out.device.type == device
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 0.15}[dtype]
    torch.testing.assert_close(out.detach().cpu().double(), exact, rtol=tolerance, atol=tolerance)
    out.float().square().sum().backward()
    used = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert used and all(g.isfinite().all() for g in used)
    with torch.inference_mode():
        again = run(dtype, device)
    torch.testing.assert_close(again.double(), out.detach().double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("device", DEVICES)
def test_tiles_are_cut_where_the_image_lies(device):
    for part, on_cpu in zip(cut_tiles(IMAGE.to(device), 8, 4), cut_tiles(IMAGE, 8, 4), strict=True):
        assert part.device.type == device
        torch.testing.assert_close(part.cpu(), on_cpu, rtol=1e-4, atol=1e-4)


def test_every_block_trains_all_that_it_has():
    """No parameter is left without a gradient, except those of text when there is none."""
    for name, (build, inputs) in BLOCKS.items():
        model = build()
        out = model(*inputs)
        sum(o.square().sum() for o in (out if isinstance(out, tuple) else (out,))).backward()
        idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert not idle, (name, idle)


def test_blocks_import_no_library_of_models():
    code = (
        "import pkgutil, sys, importlib, medvlm_lab.nn as nn\n"
        "for m in pkgutil.iter_modules(nn.__path__): importlib.import_module('medvlm_lab.nn.' + m.name)\n"
        "assert not {'transformers', 'open_clip', 'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

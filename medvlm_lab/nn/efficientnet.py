"""The convolutional stem of a hybrid ViT: EfficientNet-lite0 (Tan and Le 2019; lite: ReLU6, no squeeze-excitation)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# (repeats, kernel, stride, expansion, channels) of each stage
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
CHANNELS, STRIDE = 320, 32


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's "same" padding (the odd pixel goes right and below), then batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        (h, w), pads = x.shape[-2:], []
        for size in (w, h):
            need = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
            pads += [need // 2, need - need // 2]
        return self.norm(self.conv(F.pad(x, pads) if any(pads) else x))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shape allows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expand = ConvNorm(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """RGB in [0, 1] → a grid of 320 features, one per 32 × 32 pixels."""

    def __init__(self):
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for i in range(repeats):
                blocks.append(InvertedResidual(channels, outputs, kernel, stride if i == 0 else 1, expansion))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 320 i j"]:
        x = (x * 255 - 127) / 128  # the normalisation that the ImageNet weights were trained with
        return self.blocks(F.relu6(self.stem(x)))

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Copies ImageNet weights from a state dict that lists the same layers in the same order."""
        own = self.state_dict()
        theirs = [v for k, v in state.items() if not k.endswith("num_batches_tracked")]
        keys = [k for k in own if not k.endswith("num_batches_tracked")]
        for key, value in zip(keys, theirs, strict=False):
            if own[key].shape != value.shape:
                raise ValueError(f"{key}: {tuple(own[key].shape)} expected, {tuple(value.shape)} found")
            own[key] = value
        self.load_state_dict(own)

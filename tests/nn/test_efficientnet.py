"""The convolutional stem equals timm's EfficientNet-lite0 on shared weights."""

import pytest
import timm
import torch

from medvlm_lab.nn.efficientnet import EfficientNetLite0


@pytest.mark.parametrize("size", [(64, 64), (96, 65)])
def test_equals_timm_in_float64(size):
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=False, pretrained=False).double().eval()
    with torch.no_grad():
        for name, value in theirs.state_dict().items():
            if "running_var" in name:
                value.uniform_(0.5, 2.0)
            elif "running_mean" in name:
                value.normal_(std=0.1)
    ours = EfficientNetLite0().double().eval()
    kept = {k: v for k, v in theirs.state_dict().items() if k.startswith(("conv_stem", "bn1", "blocks"))}
    ours.load_imagenet(kept)
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    with torch.inference_mode():
        y = (x * 255 - 127) / 128
        expected = theirs.blocks(theirs.bn1(theirs.conv_stem(y)))
        torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected"):
        EfficientNetLite0().load_imagenet({"a": torch.zeros(3)})

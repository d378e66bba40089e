"""A fetched pickle of weights, written once as safetensors: the one place where a published pickle is opened."""

from __future__ import annotations

from pathlib import Path

from medvlm_lab.errors import CheckpointError
from medvlm_lab.io.whole import whole
from medvlm_lab.models.hub_memory import ran_out


def to_safetensors(pickle: Path) -> Path:
    """Writes the tensors of `pickle` beside it, atomically, under the name that their library looks for.

    `weights_only` builds tensors and plain containers, and refuses whatever would run code. As training scripts leave
    it, the state dict may lie under "state_dict", and its keys may begin with "module.".

    Raises CheckpointError for a file that is damaged or holds anything but tensors.
    """
    import torch
    from safetensors.torch import save_file
    from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

    try:
        found = torch.load(pickle, map_location="cpu", weights_only=True)
        found = found.get("state_dict", found)
        consume_prefix_in_state_dict_if_present(found, "module.")
        # clones, since safetensors takes no tensors that share memory
        state = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in found.items()}
    except Exception as error:  # what is no dictionary of tensors raises whatever it lacks
        if ran_out(error):
            raise
        raise CheckpointError(
            f"{pickle} is damaged or holds more than tensors; no code of it was run, and it was not converted: delete "
            "it and fetch it again, or name a folder that holds safetensors."
        ) from error
    # open_clip_pytorch_model.bin → open_clip_model.safetensors, pytorch_model.bin → model.safetensors
    out = pickle.with_name(pickle.name.replace("pytorch_", "")).with_suffix(".safetensors")
    with whole(out) as part:
        save_file(state, part, metadata={"format": "pt"})
    return out

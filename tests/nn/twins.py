"""What each proof of equality needs: the same random weights in both models, and a library that computes in float64."""

import re

import torch

# transformers' names of a Q-Former's weights → ours
QFORMER = (
    (r"^embeddings\.word_embeddings", "token_embedding"),
    (r"^embeddings\.position_embeddings", "position_embedding"),
    (r"^(embeddings\.)?layernorm", "norm"),
    (r"^encoder\.layer", "layers"),
    (r"crossattention\.output\.LayerNorm", "cross_norm"),
    (r"attention\.output\.LayerNorm", "norm"),
    (r"crossattention", "cross_attention"),
    (r"attention\.(attention\.)?(query|key|value)\.", lambda m: f"attention.{m[2][0]}_proj."),
    (r"attention\.output\.dense", "attention.out_proj"),
    (r"intermediate_query\.dense", "query_mlp.0"),
    (r"output_query\.dense", "query_mlp.3"),
    (r"output_query\.LayerNorm", "query_norm"),
    (r"intermediate\.dense", "text_mlp.0"),
    (r"\.output\.dense", ".text_mlp.3"),
    (r"\.output\.LayerNorm", ".text_norm"),
)


def randomise(module, std=0.3):
    """Gives every parameter a random value, so that a norm, bias or scale in the wrong place shows."""
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=std)
            if p.ndim == 1:
                p.add_(0.5)
    return module


def share(ours, theirs, *renames):
    """Loads `theirs`' weights into `ours`, in float64; `renames` are (pattern, replacement), applied to each name."""
    state = {}
    for name, value in (theirs if isinstance(theirs, dict) else theirs.state_dict()).items():
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        state[name] = value
    ours.double().load_state_dict(state)
    return ours.eval()


class Torch64:
    """The torch module with float64 in the place of float32: transformers' norms and rotary angles are cast to it."""

    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def assert_equal(ours, theirs, inputs=()):
    """Outputs equal to 1e-9 and, for the `inputs` that need one, gradients of a random projection of them too."""
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    if inputs:
        direction = torch.randn_like(ours)
        mine = torch.autograd.grad((ours * direction).sum(), inputs)
        other = torch.autograd.grad((theirs * direction).sum(), inputs)
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8)


def rand(*shape, grad=False):
    """Normal random numbers in float64."""
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


def random_padding(n, t):
    """A mask of real tokens, at least one in a row, padding to the right."""
    return torch.arange(t) < torch.randint(1, t + 1, (n, 1))

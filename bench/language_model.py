"""The decoder against transformers' LLaMA of the same size and weights, in one process: writing, and a training step.

    python bench/language_model.py [threads] [device]    # 2 and cpu; "cuda" for a GPU

Exits 1 above 0.5 of its time for writing, 1.0 for a training step. The share of the peak is of what a product of two
large float32 matrices reaches on the same device, with two operations per parameter and token, thrice that in training.
"""

from __future__ import annotations

import re
import sys
from time import perf_counter

import torch
from torch.nn import functional as F
from transformers import LlamaConfig as TheirConfig
from transformers import LlamaForCausalLM

import medvlm_lab as lab
from medvlm_lab.nn.llama import Llama, LlamaConfig

VOCABULARY, WIDTH, DEPTH, HEADS, KV_HEADS, HIDDEN = 1500, 192, 4, 4, 2, 512
PROMPT, WRITTEN, ROUNDS, SIDE = 32, 64, 7, 2048
NAMES = (
    (r"^model\.", ""), (r"embed_tokens", "embedding"), (r"lm_head", "head"), (r"self_attn", "attention"),
    (r"o_proj", "out_proj"), (r"input_layernorm", "norm1"), (r"post_attention_layernorm", "norm2"),
)  # fmt: skip


def twins() -> tuple[Llama, LlamaForCausalLM]:
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(
        TheirConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=HIDDEN, num_hidden_layers=DEPTH,
            num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, tie_word_embeddings=True, rms_norm_eps=1e-5,
            rope_theta=10000.0, bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )
    )  # fmt: skip
    ours = Llama(LlamaConfig(VOCABULARY, WIDTH, DEPTH, HEADS, KV_HEADS, HIDDEN, theta=10000.0, eps=1e-5, tied=True))
    state = {}
    for name, value in theirs.state_dict().items():
        for pattern, to in NAMES:
            name = re.sub(pattern, to, name)
        state[name] = value
    ours.load_state_dict({k: v for k, v in state.items() if not k.startswith("head")})
    return ours, theirs


def seconds(device: torch.device, *runs) -> list[float]:
    """The runs in turns, the best time of each."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for k, run in enumerate(runs):
            wait()
            started = perf_counter()
            run()
            wait()
            best[k] = min(best[k], perf_counter() - started)
    return best


def peak(device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product."""
    a, b = torch.randn(2, SIDE, SIDE, device=device)
    return 2 * SIDE**3 / seconds(device, lambda: a @ b)[0]


def main(threads: int = 2, name: str = "cpu") -> int:
    torch.set_num_threads(threads)
    device = lab.device(name)
    ours, theirs = (model.to(device) for model in twins())
    fastest, parameters = peak(device), sum(p.numel() for p in ours.parameters())

    def compare(title: str, mine, other, tokens: int, operations: int) -> float:
        """Prints tokens per second and the share of the peak; returns the ratio of the times."""
        best = seconds(device, mine, other)
        rates, share = [tokens / spent for spent in best], operations * parameters * tokens / best[0] / fastest
        print(f"{title}: {rates[0]:,.0f} tokens/s ({share:.1%} of the peak), transformers {rates[1]:,.0f}; "
              f"time {best[0] / best[1]:.2f} of theirs")  # fmt: skip
        return best[0] / best[1]

    generator = torch.Generator().manual_seed(1)
    worst = 0.0
    for n in (1, 8):
        ids = torch.randint(1, VOCABULARY, (n, PROMPT), generator=generator).to(device)
        options = {"max_new_tokens": WRITTEN, "do_sample": False, "attention_mask": torch.ones_like(ids)}
        expected = theirs.generate(ids, **options)[:, PROMPT:]
        assert torch.equal(ours.generate(ids, max_tokens=WRITTEN), expected)
        ratio = compare(
            f"writing, {n} at a time", lambda i=ids: ours.generate(i, max_tokens=WRITTEN),
            lambda i=ids, o=options: theirs.generate(i, **o), n * WRITTEN, 2,
        )  # fmt: skip
        worst = max(worst, ratio)
    ids = torch.randint(1, VOCABULARY, (8, 128), generator=generator).to(device)

    def step(model, logits) -> None:
        model.zero_grad(set_to_none=True)
        F.cross_entropy(logits()[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()

    training = compare(
        "training step", lambda: step(ours, lambda: ours(ids)), lambda: step(theirs, lambda: theirs(ids).logits),
        ids.numel(), 6,
    )  # fmt: skip
    return int(worst > 0.5 or training > 1.0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2]), *sys.argv[2:3]))

"""LoRA starts as no change, trains nothing else, and merges into plain layers exactly."""

import pytest
import torch
from twins import rand, randomise

from medvlm_lab.nn.llama import Llama, LlamaConfig
from medvlm_lab.nn.lora import LoRALinear, add_lora, merge_lora


@pytest.fixture
def model():
    return randomise(Llama(LlamaConfig(70, 32, 2, 4, 2, 48, tied=False))).double()


def trained(model):
    """The adapters after some training."""
    for module in model.modules():
        if isinstance(module, LoRALinear):
            randomise(module.up)
    return model


def test_an_untrained_adapter_changes_nothing(model):
    ids = torch.randint(70, (2, 7))
    before = model(ids)
    paths = add_lora(model, ("q_proj", "v_proj"), rank=3, alpha=6)
    assert paths == [f"layers.{i}.attention.{p}_proj" for i in (0, 1) for p in "qv"]
    assert torch.equal(model(ids), before)


def test_only_the_adapters_train(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    add_lora(model, ("q_proj", "head"), rank=3, alpha=6)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable and all(name.endswith(("down.weight", "up.weight")) for name in trainable)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 3 * (2 * (32 + 32) + 32 + 70)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.randint(70, (2, 7))).square().sum().backward()
    optimizer.step()
    after = {name.replace(".base", ""): p for name, p in model.named_parameters()}
    assert all(torch.equal(after[name], p) for name, p in before.items())
    assert model.head.up.weight.any()


def test_merging_is_exact(model):
    names, ids = list(model.state_dict()), torch.randint(70, (2, 7))
    add_lora(model, ("q_proj", "v_proj", "down_proj", "head"), rank=3, alpha=6)
    adapted = trained(model)(ids)
    merge_lora(model)
    assert list(model.state_dict()) == names and not any(isinstance(m, LoRALinear) for m in model.modules())
    torch.testing.assert_close(model(ids), adapted, rtol=1e-12, atol=1e-12)


def test_the_formula_by_hand():
    base, x = torch.nn.Linear(5, 4).double(), rand(3, 5)
    layer = LoRALinear(base, rank=2, alpha=8.0)
    randomise(layer.up)
    by_hand = x @ (base.weight + 8 / 2 * layer.up.weight @ layer.down.weight).T + base.bias
    torch.testing.assert_close(layer(x), by_hand, rtol=1e-12, atol=1e-12)


def test_targets_must_exist(model):
    with pytest.raises(ValueError, match="query"):
        add_lora(model, ("q_proj", "query"), rank=2, alpha=2)
    with pytest.raises(ValueError, match="rank"):
        add_lora(model, ("q_proj",), rank=0, alpha=2)
    assert all(p.requires_grad for p in model.parameters())

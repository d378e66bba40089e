"""The BERT encoder equals transformers' on shared weights."""

import torch
from transformers import BertConfig, BertModel

from medvlm_lab.nn.bert import Bert


def test_equals_transformers_in_float64():
    torch.manual_seed(torch.seed() % 2**31)  # fresh inputs at every run
    config = BertConfig(vocab_size=90, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96)
    theirs = BertModel(config, add_pooling_layer=False).double().eval()
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.3)
    ours = Bert(90, 48, 3, 4, 96, context=30).double()
    ours.load_huggingface(theirs.state_dict(), list(range(90)))
    ids = torch.randint(1, 90, (5, 13))
    keep = torch.arange(13)[None] < torch.randint(1, 14, (5, 1))
    with torch.inference_mode():
        expected = theirs(input_ids=ids, attention_mask=keep.long()).last_hidden_state
        torch.testing.assert_close(ours(ids, keep)[keep], expected[keep], rtol=1e-9, atol=1e-9)


def test_a_pruned_vocabulary_keeps_the_chosen_rows():
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    theirs = BertModel(config, add_pooling_layer=False).eval()
    ours = Bert(3, 8, 1, 2, 16, context=6)
    ours.load_huggingface(theirs.state_dict(), [4, 9, 17])
    ids, keep = torch.tensor([[2, 0, 1]]), torch.ones(1, 3, dtype=torch.bool)
    with torch.inference_mode():
        expected = theirs(input_ids=torch.tensor([[17, 4, 9]])).last_hidden_state
        torch.testing.assert_close(ours(ids, keep), expected, rtol=1e-4, atol=1e-5)

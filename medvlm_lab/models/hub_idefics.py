"""IDEFICS (Laurençon et al. 2023), an open Flamingo: the language model looks at the image through gated attention."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor

from medvlm_lab.errors import QuestionError
from medvlm_lab.models.hub_answerer import Inputs, PublishedAnswerer
from medvlm_lab.models.hub_report import ReportMixin
from medvlm_lab.models.trace import Reading, Tower

TURN = "<end_of_utterance>"


class IdeficsAnswerer(ReportMixin, PublishedAnswerer):
    """Attentions are those of the answer's words to the patches, one per gated layer.

    With a resampler they are those of its latents, through which the words look.
    """

    @property
    def _turn(self) -> str:
        """The token that ends a turn, if the checkpoint was trained on dialogues."""
        return TURN if TURN in self.processor.tokenizer.get_vocab() else ""

    def _ends(self) -> list[int]:
        ids = self.processor.tokenizer.get_vocab()
        return [*super()._ends(), *([ids[TURN]] if TURN in ids else [])]

    def _generate(self, prompts: list[Inputs], **options):
        return super()._generate(prompts, eos_token_id=self._ends(), **options)

    def _encode(self, pictures: list[Image], question: str) -> Inputs:
        if "<image>" in question:
            raise QuestionError("The question holds an <image> token; pass images as images, and the question as text.")
        prompt = ["User:", *pictures, f"{question}{self._turn}\nAssistant:"]
        return dict(self.processor(text=[prompt], return_tensors="pt"))

    def _logits(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
        ids = torch.cat([inputs["input_ids"], answer[None]], 1)
        seen = inputs["image_attention_mask"]  # (1, t, images): each word sees what the one before it saw
        seen = torch.cat([seen, seen[:, -1:].expand(-1, len(answer), -1)], 1)
        whole = inputs | {"input_ids": ids, "attention_mask": torch.ones_like(ids), "image_attention_mask": seen}
        return self.module(**whole, use_cache=False).logits[0, -len(answer) - 1 : -1]

    def _tower(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Tower:
        grid = self._patches(inputs, self.module.config.vision_config.patch_size)
        model, vision = self.module.model, self.module.model.vision_model.encoder
        if self.module.config.use_resampler:  # which looks at class token, patches and latents
            cells = torch.arange(1, 1 + grid[0] * grid[1])
            return Tower(vision.layers[-1], grid, model.perceiver_resampler, tokens=cells, encoder=vision)
        return Tower(vision.layers[-1], grid, model, "cross_attn", self._rows(inputs, answer), encoder=vision)

    def _reading(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Reading:
        if not self.module.config.use_resampler:
            return Reading()
        return Reading(self.module.model, "cross_attn", self._rows(inputs, answer))

    def _rows(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> slice:
        """From which the answer's words are written: each from the one before it."""
        end = inputs["input_ids"].shape[1] + len(answer) - 1
        return slice(end - len(answer), end)

"""BLIP-VQA (Li et al. 2022): the question attends to the image, the answer to the question."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor

from medvlm_lab.errors import QuestionError
from medvlm_lab.models.hub_answerer import Inputs, PublishedAnswerer
from medvlm_lab.models.trace import Reading, Tower


class BlipAnswerer(PublishedAnswerer):
    """Short answers; attentions are those of the question's words, through which the answer's look, to the patches."""

    def _encode(self, pictures: list[Image], question: str) -> Inputs:
        if len(pictures) != 1:
            raise QuestionError(f"{self.name} looks at one image at a time, not at {len(pictures)}.")
        return dict(self.processor(images=pictures, text=[question], return_tensors="pt"))

    def _ends(self) -> list[int]:
        return [self.module.config.text_config.sep_token_id]

    def _logits(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
        # the class's own forward gives no logits, so its three parts are called as its generate calls them
        seen = self.module.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
        question = self.module.text_encoder(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], encoder_hidden_states=seen,
            encoder_attention_mask=seen.new_ones(seen.shape[:2], dtype=torch.long),
        ).last_hidden_state  # fmt: skip
        start = answer.new_tensor([self.module.decoder_start_token_id])
        return self.module.text_decoder(
            input_ids=torch.cat([start, answer[:-1]])[None], encoder_hidden_states=question,
            encoder_attention_mask=inputs["attention_mask"],
        ).logits[0]  # fmt: skip

    def _tower(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Tower:
        grid = self._patches(inputs, self.module.config.vision_config.patch_size)
        vision = self.module.vision_model.encoder
        return Tower(vision.layers[-1], grid, self.module.text_encoder, "crossattention", encoder=vision)

    def _reading(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Reading:
        return Reading(self.module.text_decoder, "crossattention")

"""InstructBLIP (Dai et al. 2023): the Q-Former reads the image with the instruction in mind."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor

from medvlm_lab.errors import CheckpointError, QuestionError
from medvlm_lab.models.hub_answerer import Inputs, PublishedAnswerer
from medvlm_lab.models.hub_read import check_vocabulary
from medvlm_lab.models.hub_report import ReportMixin
from medvlm_lab.models.trace import Reading, Tower


class InstructBlipAnswerer(ReportMixin, PublishedAnswerer):
    """Attentions are those of the Q-Former's queries, through which the answer's words look, to the patches."""

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device, dtype: str) -> InstructBlipAnswerer:
        found = super().load(folder, name, device, dtype)
        check_vocabulary(folder, found.processor.qformer_tokenizer, found.module.config.qformer_config.vocab_size)
        return found

    def _encode(self, pictures: list[Image], question: str) -> Inputs:
        if len(pictures) != 1:
            raise QuestionError(f"{self.name} looks at one image at a time, not at {len(pictures)}.")
        config = self.module.config
        if self.processor.num_query_tokens != config.num_query_tokens:
            raise CheckpointError(
                f"The processor of {self.name} makes {self.processor.num_query_tokens} image tokens, but the model has "
                f"{config.num_query_tokens} queries; fetch the checkpoint again."
            )
        inputs = dict(self.processor(images=pictures, text=[question], return_tensors="pt"))
        # without these tokens the library ignores the image and says nothing
        if int((inputs["input_ids"] == config.image_token_id).sum()) != config.num_query_tokens:
            raise QuestionError(f"The prompt of {self.name} has no place for the image; ask without <image> tokens.")
        return inputs

    def _logits(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
        if self.module.config.use_decoder_only_language_model:
            ids = torch.cat([inputs["input_ids"], answer[None]], 1)
            whole = inputs | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            return self.module(**whole).logits[0, -len(answer) - 1 : -1]
        start = answer.new_tensor([self.module.config.text_config.decoder_start_token_id])
        return self.module(**inputs, decoder_input_ids=torch.cat([start, answer[:-1]])[None]).logits[0]

    def _tower(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Tower:
        grid = self._patches(inputs, self.module.config.vision_config.patch_size)
        vision = self.module.vision_model.encoder
        return Tower(vision.layers[-1], grid, self.module.qformer, "crossattention", encoder=vision)

    def _reading(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Reading:
        queries = (inputs["input_ids"][0] == self.module.config.image_token_id).nonzero()[:, 0]
        if not self.module.config.use_decoder_only_language_model:  # T5's decoder looks at its encoder
            return Reading(self.module.language_model, "EncDecAttention", columns=queries)
        end = inputs["input_ids"].shape[1] + len(answer) - 1
        return Reading(self.module.language_model, rows=slice(end - len(answer), end), columns=queries)

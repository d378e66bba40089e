"""Image tokens among words: LLaVA and LLaVA-Med, PaliGemma, Gemma 3 and MedGemma."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor

from medvlm_lab.errors import QuestionError
from medvlm_lab.models.hub_answerer import Inputs, PublishedAnswerer
from medvlm_lab.models.hub_report import ReportMixin
from medvlm_lab.models.trace import Tower

TEMPLATES = {
    "llava": "USER: {images}\n{question} ASSISTANT:",
    "paligemma": "{images}answer en {question}",
    "gemma3": "<start_of_turn>user\n{images}{question}<end_of_turn>\n<start_of_turn>model\n",
}  # of the model cards, for a checkpoint without a chat template


class TokenAnswerer(PublishedAnswerer):
    """The image's tokens stand in the prompt; attentions are those of the answer's words to them.

    Attributes:
        prompt: a template with {images} and {question}; the checkpoint's own chat template by default.
    """

    prompt: str | None = None

    def _written(self, images: int, question: str) -> str:
        """The prompt; QuestionError where it does not hold one image token for each image."""
        marker = self.processor.image_token
        if self.prompt is None and getattr(self.processor, "chat_template", None):
            content = [*[{"type": "image"}] * images, {"type": "text", "text": question}]
            turns = [{"role": "user", "content": content}]
            written = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        else:
            template = self.prompt or TEMPLATES[self.module.config.model_type]
            written = template.replace("{images}", marker * images).replace("{question}", question)
        if written.count(marker) != images:
            raise QuestionError(
                f"The prompt holds {written.count(marker)} image token(s) {marker!r} for {images} image(s); "
                "put {images} into model.prompt once, and none into the question."
            )
        return written

    def _encode(self, pictures: list[Image], question: str) -> Inputs:
        written = self._written(len(pictures), question)
        start = self.processor.tokenizer.bos_token
        twice = start is not None and written.startswith(start)  # a chat template writes the start itself
        inputs = self.processor(
            images=[pictures], text=[written], return_tensors="pt", **({"add_special_tokens": False} if twice else {})
        )
        return {key: value for key, value in inputs.items() if key != "labels"}

    def _logits(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Float[Tensor, "t v"]:
        ids = torch.cat([inputs["input_ids"], answer[None]], 1)
        whole = inputs | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "token_type_ids" in inputs:
            kind = torch.full_like(answer[None], self._answer_type)
            whole["token_type_ids"] = torch.cat([inputs["token_type_ids"], kind], 1)
        return self.module(**whole, use_cache=False).logits[0, -len(answer) - 1 : -1]

    _answer_type = 0  # of token_type_ids: 0 is text

    def _tower(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Tower:
        where = (inputs["input_ids"][0] == self.module.config.image_token_id).nonzero()[:, 0].cpu()
        side = math.isqrt(len(where))  # a class token, if it was kept, comes first
        end = inputs["input_ids"].shape[1] + len(answer) - 1
        return Tower(
            self.module.model.multi_modal_projector, (side, side), self.module.model.language_model,
            reads=slice(end - len(answer), end), tokens=where[-side * side :], leaving=True,
        )  # fmt: skip


class ChatAnswerer(ReportMixin, TokenAnswerer):
    """LLaVA, LLaVA-Med, Gemma 3, MedGemma: they follow instructions, so they report too."""


class PaliGemmaAnswerer(TokenAnswerer):
    """PaliGemma answers briefly; a prompt is seen in both directions, the answer in one."""

    _answer_type = 1

"""CLIPSeg (Lüddecke & Ecker 2022): segments what a phrase names."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL.Image import fromarray
from torch import Tensor, nn

from medvlm_lab.errors import QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Mask
from medvlm_lab.models.hub_memory import memory_hint
from medvlm_lab.models.hub_read import processor_of, read_transformers
from medvlm_lab.models.known_words import ReadsPieces
from medvlm_lab.models.trace import Tower, Trace, eager_attention
from medvlm_lab.models.view import processor_view


class CLIPSegSegmenter(ReadsPieces):
    """Capabilities `Segmenter` and `Explainable`.

    Attributes:
        module, processor: the library's own. name, device: of `lab.load`.
    """

    def __init__(self, module: nn.Module, processor, name: str, device: torch.device):
        self.module, self.processor, self.name, self.device = module.eval().to(device), processor, name, device

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device, dtype: str) -> CLIPSegSegmenter:
        """Reads a folder that `save_pretrained` wrote; see `hub.load` for what raises."""
        processor = processor_of(folder)
        return cls(read_transformers(folder, processor.tokenizer, dtype), processor, name, device)

    def segment(self, image: MedicalImage, phrase: str, threshold: float = 0.5, frame: int | None = None) -> Mask:
        """What the phrase names in one frame (the middle one by default), in the image's own pixels.

        Raises QuestionError for an empty phrase.
        """
        frame = image.reading_frame if frame is None else range(image.frames)[frame]
        with memory_hint(self.name, self.device), torch.inference_mode():
            logits = self._logits(self._pixels(image, frame), phrase)
            probability = self._view(image, frame).to_image(logits.float().sigmoid())
        return Mask(probability >= threshold, probability, phrase)

    @torch.enable_grad()
    def trace(self, image: MedicalImage, text: str, frame: int | None = None) -> Trace:
        """Inside the last layer that the decoder reads; the score is the mean logit over the image.

        Raises QuestionError for an empty phrase.
        """
        frame = image.reading_frame if frame is None else range(image.frames)[frame]
        pixels = self._pixels(image, frame).requires_grad_()
        vision, config = self.module.clip.vision_model, self.module.config
        grid = tuple(n // config.vision_config.patch_size for n in pixels.shape[-2:])
        tower = Tower(vision.encoder.layers[max(config.extract_layers)], grid, vision)
        with memory_hint(self.name, self.device), eager_attention(self.module), tower.record() as (maps, attentions):
            score = self._logits(pixels, text).float().mean()
        read = attentions[: max(config.extract_layers) + 1]  # no deeper layer has a part in the mask
        return Trace(
            text, score, maps[0], self._view(image, frame), tuple(read), tower.places(read), pixels=pixels,
            again=lambda pixels: torch.stack([self._logits(row[None], text).float().mean() for row in pixels]),
        )  # fmt: skip

    def _pixels(self, image: MedicalImage, frame: int) -> Float[Tensor, "1 3 s s"]:
        seen = self.processor.image_processor([fromarray(image.picture(frame))], return_tensors="pt").pixel_values
        return seen.to(self.device, self.module.dtype)

    def _logits(self, pixels: Float[Tensor, "1 3 s s"], phrase: str) -> Float[Tensor, "s s"]:
        """The class's own forward, less its `no_grad`, through which nothing could be explained."""
        if not phrase.strip():
            raise QuestionError("The phrase is empty; write what to look for, such as 'the left lung'.")
        context = self.module.config.text_config.max_position_embeddings
        ids = self.processor.tokenizer(
            [phrase], truncation=True, max_length=context, return_tensors="pt", return_token_type_ids=False
        )
        towards = self.module.clip.get_text_features(**ids.to(self.device)).pooler_output
        states = self.module.clip.get_image_features(
            pixel_values=pixels, interpolate_pos_encoding=True, output_hidden_states=True
        ).hidden_states
        read = [states[i + 1] for i in self.module.config.extract_layers]
        return self.module.decoder(read, towards).logits.view(pixels.shape[-2:])

    def _view(self, image: MedicalImage, frame: int):
        return processor_view(self.processor.image_processor, image.picture_size).on(image, frame)

"""Reports out of models that follow instructions."""

from __future__ import annotations

import time

from jaxtyping import Float, Int
from torch import Tensor

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Report
from medvlm_lab.text.prose import SENTENCE, sections

REQUEST = "Write the findings and the impression of a radiology report for this image."
LONGEST = 256  # tokens


class ReportMixin:
    """Capability `Reporter` over a `PublishedAnswerer`; a sentence's confidence is that of its tokens, uncalibrated."""

    report_prompt = REQUEST  # for the explain widget

    def report(self, image: MedicalImage, indication: str | None = None) -> Report:
        """Findings and impression of the middle frame; all is findings where the model writes no headings."""
        started = time.perf_counter()
        request = f"{REQUEST} Indication: {indication.strip()}" if indication and indication.strip() else REQUEST
        inputs = self._inputs([image], request, longest=self._longest(request))
        ids, logs, _ = self._generate([inputs], max_new_tokens=self._longest(request))[0]
        text, sentences = _sentences(self.processor.tokenizer, ids, logs)
        parts = sections(text)
        return Report(parts["findings"], parts["impression"], sentences, time.perf_counter() - started)

    def _longest(self, text: str) -> int:
        return LONGEST if text.startswith(REQUEST) else super()._longest(text)


def _sentences(
    tokenizer, ids: Int[Tensor, " t"], logs: Float[Tensor, " t"]
) -> tuple[str, tuple[tuple[str, float], ...]]:
    """The text, and its sentences with the mean probability of the tokens that end inside each."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    ends = [len(tokenizer.decode(ids[: i + 1], skip_special_tokens=True)) for i in range(len(ids))]
    rows = []
    for match in SENTENCE.finditer(text):
        inside = [p for p, end in zip(logs.exp().tolist(), ends, strict=True) if match.start() < end <= match.end()]
        rows.append((match.group().strip(), sum(inside) / len(inside) if inside else 0.0))
    return text.strip(), tuple(rows)

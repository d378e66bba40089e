"""Scores with their uncertainty: every number that the project reports comes from here."""

from medvlm_lab.metrics.bootstrap import Interval, bootstrap_interval, paired
from medvlm_lab.metrics.ranking import auc, mcmrr, retrieval_ranks
from medvlm_lab.metrics.vqa import bleu1, exact_match, expected_calibration_error, normalize_answer, sentence_bleu1

__all__ = [
    "Interval",
    "auc",
    "bleu1",
    "bootstrap_interval",
    "exact_match",
    "expected_calibration_error",
    "mcmrr",
    "normalize_answer",
    "paired",
    "retrieval_ranks",
    "sentence_bleu1",
]

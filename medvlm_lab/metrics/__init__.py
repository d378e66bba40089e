"""Scores with their uncertainty: every number that the project reports comes from here."""

from medvlm_lab.metrics.answers import normalize_answer
from medvlm_lab.metrics.bootstrap import Interval, bootstrap_interval, paired
from medvlm_lab.metrics.ranking import auc, delong, mcmrr, recall_at, retrieval_ranks
from medvlm_lab.metrics.vqa import (
    bleu1,
    exact_match,
    expected_calibration_error,
    sentence_bleu1,
    token_recall,
)

__all__ = [
    "Interval",
    "auc",
    "bleu1",
    "bootstrap_interval",
    "delong",
    "exact_match",
    "expected_calibration_error",
    "mcmrr",
    "normalize_answer",
    "paired",
    "recall_at",
    "retrieval_ranks",
    "sentence_bleu1",
    "token_recall",
]

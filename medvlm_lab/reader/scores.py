"""What a panel of readers says: preferences, errors, their overlap, and how far the readers agree.

    evaluate(readings)          # Result with 95 % bootstrap intervals over the cases

A report counts as preferred, or as having an error, where at least half of those who read the case say so: the rule
of Flamingo-CXR (Tanno et al., 2025) for preferences, taken here for errors too. With one reader it is that reader's
own word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.reader.marks import of
from medvlm_lab.reader.study import Reading
from medvlm_lab.tasks.result import Result, Score


@dataclass(frozen=True)
class CaseRow:
    """One case as its panel sees it.

    Attributes:
        readers: how many have read it. accepted: share of them who find the second report equal or better.
        errors, significant: source → share of them who mark an error, or a clinically significant one, in its report.
    """

    case: str
    readers: int
    accepted: float
    errors: dict[str, float]
    significant: dict[str, float]


def rows(readings: Sequence[Reading]) -> tuple[CaseRow, ...]:
    """One row a case, in alphabetical order.

    Raises MedVLMError for no readings, unlike sources, or two readings of one case by one reader.
    """
    if not readings:
        raise MedVLMError("There are no readings to evaluate; answer at least one case.")
    if len({r.sources for r in readings}) > 1:
        raise MedVLMError("The readings compare different sources; evaluate each pair of sources on its own.")
    if len({(r.reader, r.case) for r in readings}) < len(readings):
        raise MedVLMError("A reader has read the same case twice; give each reading once, under one code per reader.")
    by_case: dict[str, list[Reading]] = {}
    for reading in readings:
        by_case.setdefault(reading.case, []).append(reading)
    return tuple(
        CaseRow(
            case, len(own), float(np.mean([r.preference >= 0 for r in own])),
            {s: float(np.mean([bool(of(r.marks, s)) for r in own])) for s in own[0].sources},
            {s: float(np.mean([any(m.significant for m in of(r.marks, s)) for r in own])) for s in own[0].sources},
        )
        for case, own in sorted(by_case.items())
    )  # fmt: skip


def evaluate(readings: Sequence[Reading], resamples: int = 1000, seed: int = 0) -> Result:
    """Scores in % of the cases, and agreement; for sources "human" and "AI":

    `accepted`: the AI report is equal or preferred for at least half of the panel. `errors_human`, `significant_human`,
    `errors_AI`, `significant_AI`: the report has an error. `both`, `AI_only`, `human_only`, `neither`: whose report
    has a significant one. `kappa_preference`, `kappa_errors` (any error in a report): see `agreement`.

    Raises as `rows`.
    """
    found, (first, second) = rows(readings), readings[0].sources
    shares = {"accepted": [row.accepted >= 0.5 for row in found]}
    titles = {"accepted": f"{second} report equal or preferred by at least half of the panel, %"}
    for source in (first, second):
        for kind, what in (("errors", "an error"), ("significant", "a clinically significant error")):
            shares[f"{kind}_{source}"] = [getattr(row, kind)[source] >= 0.5 for row in found]
            titles[f"{kind}_{source}"] = f"{source} report with {what}, %"
    for name, members in overlap(found, (first, second)).items():
        shares[name] = members
        titles[name] = f"significant errors: {name.replace('_', ' ')}, %"
    scores = {}
    for name, values in shares.items():
        scores[name] = Score(*(100 * x for x in bootstrap_interval(values, resamples, seed)), len(found))
    preferred = _table(readings, lambda r: [r.preference])
    marked = _table(readings, lambda r: [bool(of(r.marks, s)) for s in (first, second)])
    for name, ratings in (("preference", preferred), ("errors", marked)):
        kappa = bootstrap_interval(ratings, resamples, seed, statistic=agreement, missing=True)
        scores[f"kappa_{name}"] = Score(*kappa, 0 if np.isnan(kappa.value) else len(found))
        titles[f"kappa_{name}"] = f"agreement on {name}, Cohen's kappa, mean over the pairs of readers"
    people, simulated = (len({r.reader for r in readings if r.simulated is kind}) for kind in (False, True))
    counts = ((people, "reader"), (simulated, "simulated reader"))
    who = " and ".join(f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count)
    return Result(who, f"{len(found)} pairs of reports, {first} and {second}", scores, found, titles)


def overlap(
    found: Sequence[CaseRow], sources: tuple[str, str], kind: str = "significant"
) -> dict[str, list[bool]]:
    """Whether each case belongs to `both`, `SOURCE_only` or `neither`: whose reports have errors of that kind."""
    first, second = ([getattr(row, kind)[s] >= 0.5 for row in found] for s in sources)
    pairs = list(zip(first, second, strict=True))
    return {
        "both": [a and b for a, b in pairs], f"{sources[1]}_only": [b and not a for a, b in pairs],
        f"{sources[0]}_only": [a and not b for a, b in pairs], "neither": [not a and not b for a, b in pairs],
    }  # fmt: skip


def agreement(ratings: Float[np.ndarray, "*s cases items readers"]) -> Float[np.ndarray, "*s"]:
    """Cohen's kappa with quadratic weights, mean over all pairs of readers (Light 1971), for each sample of cases.

    For numbers x and y of two readers it is 1 - E(x - y)² / (var x + var y + (E x - E y)²); for yes and no it is the
    plain kappa. NaN marks what a reader has not read: a pair counts on what both have. NaN where no two have read
    anything in common, or where everybody says the same of everything.
    """
    pairs = np.array(list(combinations(range(ratings.shape[-1]), 2)), int).reshape(-1, 2)
    flat = ratings.reshape(*ratings.shape[:-3], -1, ratings.shape[-1])
    x, y = flat[..., pairs[:, 0]], flat[..., pairs[:, 1]]  # (*s, cases · items, pairs)
    both = ~np.isnan(x + y)
    x, y = np.where(both, x, 0), np.where(both, y, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = lambda values: values.sum(-2) / both.sum(-2)  # noqa: E731
        chance = mean(x * x) + mean(y * y) - 2 * mean(x) * mean(y)
        kappa = np.where(chance > 0, 1 - mean((x - y) ** 2) / chance, np.nan)
        return np.nansum(kappa, -1) / (~np.isnan(kappa)).sum(-1)


def _table(readings: Sequence[Reading], value: Callable[[Reading], list]) -> Float[np.ndarray, "cases items readers"]:
    """What each reader says of each case, NaN where a reader has not read it."""
    cases, readers = (sorted({getattr(r, k) for r in readings}) for k in ("case", "reader"))
    table = np.full((len(cases), len(value(readings[0])), len(readers)), np.nan)
    for r in readings:
        table[cases.index(r.case), :, readers.index(r.reader)] = value(r)
    return table

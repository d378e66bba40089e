"""Results of a reader study: the reader's own answers beside a simulated panel's, as a figure and a table."""

from __future__ import annotations

import io
from html import escape

from medvlm_lab import style
from medvlm_lab.reader.collaboration import collaborate
from medvlm_lab.reader.marks import of
from medvlm_lab.reader.records import spoken
from medvlm_lab.reader.scores import CaseRow, evaluate, overlap
from medvlm_lab.reader.simulated import readings as read_all
from medvlm_lab.tasks.result import Result, shown
from medvlm_lab.widgets.reader_state import ABOUT_PANEL, ReaderState, data_url

COLORS = (style.VERMILION, style.ORANGE, style.BLUE, "#b8bec5")  # both, second only, first only, neither
HATCHES = ("", "//", "..", "")  # told apart without colour, too
SCORES = ("accepted", "errors_{1}", "significant_{1}", "errors_{0}", "significant_{0}")


def results_html(state: ReaderState) -> str:
    """The answers against the panel's, the overlap of errors, and what the reader's corrections bring, as HTML."""
    own = state.study.readings()
    mine = evaluate(own)
    simulated = all(case.findings is not None for case in state.study.cases)
    everyone = read_all(state.panel, state.study.cases) if simulated else []
    panel = evaluate(everyone) if everyone else None
    sources = own[0].sources
    png, words = overlap_figure({"you": mine} | ({panel.model: panel} if panel else {}), sources)
    parts = [f'<img class="mv-figure" src="{data_url(png)}" alt="{escape(words)}">', _scores(mine, panel, sources)]
    if simulated:
        together = collaborate(state.study.cases, own, state.panel or None)
        parts.append(_together(together, sources))
    parts.append(_cases(state, own, panel))
    note = ABOUT_PANEL if panel else "No simulated panel has read these cases."
    patients = "The patients are simulated. " if simulated else ""
    parts.append(f'<p class="mv-note">{patients}{note}</p>')
    return "".join(parts)


def overlap_figure(found: dict[str, Result], sources: tuple[str, str]) -> tuple[bytes, str]:
    """PNG and its text: of each reader or panel, in which share of the cases whose reports have errors."""
    import matplotlib.pyplot as plt

    lines, words = [], []
    for who, result in found.items():
        for kind, what in (("errors", "any error"), ("significant", "significant errors")):
            shares = {k: sum(v) / len(v) for k, v in overlap(result.rows, sources, kind).items()}
            lines.append((f"{who}\n{what}", shares))
            said = ", ".join(f"{_spoken(k)} {v:.0%}" for k, v in shares.items())
            words.append(f"{who}, {what}: {said}")
    with plt.rc_context(style.rc()):
        figure, axis = plt.subplots(figsize=(7.6, 0.9 + 0.52 * len(lines)))
        left = [0.0] * len(lines)
        for name, color, hatch in zip(lines[0][1], COLORS, HATCHES, strict=True):
            values = [100 * shares[name] for _, shares in lines]
            bars = axis.barh(
                range(len(lines)), values, left=left, color=color, hatch=hatch, edgecolor="white", linewidth=1.2,
                height=0.62, label=_spoken(name),
            )  # fmt: skip
            ink = "#1b1f24" if color in (style.ORANGE, COLORS[-1]) else "white"
            box = {"facecolor": color, "edgecolor": "none", "pad": 1.5}
            axis.bar_label(bars, [f"{v:.0f}" if v >= 6 else "" for v in values], label_type="center", color=ink,
                           fontsize=9, bbox=box if hatch else None)  # fmt: skip
            left = [a + b for a, b in zip(left, values, strict=True)]
        axis.set_yticks(range(len(lines)), [label for label, _ in lines])
        axis.invert_yaxis()
        axis.grid(False)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.tick_params(length=0)
        axis.set(xlim=(0, 100), xlabel="% of the cases")
        axis.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1.2, columnspacing=1.4)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=200)
        plt.close(figure)
    return buffer.getvalue(), "Whose report has errors. " + "; ".join(words)


def _spoken(name: str) -> str:
    return name.replace("_", " ") + (" reports" if name == "both" else "")


def _scores(mine: Result, panel: Result | None, sources: tuple[str, str]) -> str:
    names = [name.format(*sources) for name in SCORES]
    head = "<th scope='col'>you</th>" + (f"<th scope='col'>{escape(panel.model)}</th>" if panel else "")
    body = "".join(
        f"<tr><th scope='row'>{escape(mine.titles[name])}</th>"
        + "".join(f"<td>{_interval(result, name)}</td>" for result in (mine, panel) if result)
        + "</tr>"
        for name in names
    )
    agreed = ""
    if panel and (kappa := panel.scores["kappa_preference"]).n:
        between = f"{kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"
        agreed = f"<p>Within the panel, kappa of the preferences is {between}.</p>"
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>{agreed}"


def _interval(result: Result, name: str) -> str:
    score = result.scores[name]
    return f"{shown(score.value)} <small>({shown(score.low)} to {shown(score.high)})</small>"


def _together(result: Result, sources: tuple[str, str]) -> str:
    s = result.scores
    f1 = f"F1 of its findings goes from {shown(s['f1_before'].value)} to {shown(s['f1_after'].value)}; "
    before, after = (f"{s[name].value:.0f} %" for name in ("accepted_before", "accepted_after"))
    return (
        f"<p>With your corrections, the {escape(sources[1])} report: {f1 if s['f1_gain'].n else ''}the simulated "
        f"panel finds it equal to or better than the {escape(sources[0])} report in {before} of the cases before and "
        f"{after} after.</p>"
    )


def _cases(state: ReaderState, own: list, panel: Result | None) -> str:
    """One line a case: which source was A, the reader's choice and errors, the panel's."""
    theirs: dict[str, CaseRow] = {row.case: row for row in panel.rows} if panel else {}
    lines = []
    for number, reading in enumerate(own):
        counts = " / ".join(str(len(of(reading.marks, source))) for source in reading.sources)
        row = theirs.get(reading.case)
        cells = [number + 1, state.study.order(number)["A"], spoken(reading), counts]
        cells += [f"{row.accepted:.0%}"] if row else []
        lines.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
    first, second = own[0].sources
    heads = ["case", "A was", "your choice", f"errors you marked ({first} / {second})"]
    heads += [f"panel: {second} equal or better"] if panel else []
    head = "".join(f"<th scope='col'>{escape(h)}</th>" for h in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"

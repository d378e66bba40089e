"""A model as a diagram, drawn from its own stages so that it cannot go stale."""

from __future__ import annotations

from html import escape

from medvlm_lab.models.stages import Stage
from medvlm_lab.style import COLORS

BOX, GAP, ROW = (158, 62), 44, 92  # width and height of a box, room between boxes, distance of the two rows
ROWS = {"image": 0.0, "text": 1.0, "fusion": 0.5, "decoder": 0.5}


def columns(stages: tuple[Stage, ...]) -> dict[str, int]:
    """Column of each stage: one further than the furthest that it reads."""
    found: dict[str, int] = {}
    for stage in stages:
        found[stage.name] = 1 + max((found[p] for p in stage.parents), default=-1)
    return found


def diagram(model: str, stages: tuple[Stage, ...], chosen: str) -> str:
    """SVG: a box a stage with the shape of its tensor, an arrow wherever one reads another; the chosen one framed."""
    place = columns(stages)
    last = max((place[s.name] for s in stages if s.part in ("image", "text")), default=0)
    # a shorter branch ends beside the longer one
    shift = {part: last - max((place[s.name] for s in stages if s.part == part), default=last)
             for part in ("image", "text")}  # fmt: skip
    at = {
        s.name: ((place[s.name] + shift.get(s.part, 0)) * (BOX[0] + GAP) + 6, ROWS[s.part] * ROW + 6)
        for s in stages
    }
    wide = max(x for x, _ in at.values()) + BOX[0] + 8
    parts = []
    for stage in stages:
        x, y = at[stage.name]
        for parent in stage.parents:
            px, py = at[parent][0] + BOX[0], at[parent][1] + BOX[1] / 2
            middle = (px + x) / 2
            parts.append(
                f'<path d="M{px},{py} C{middle},{py} {middle},{y + BOX[1] / 2} {x - 6},{y + BOX[1] / 2}" fill="none" '
                'stroke="#7f7f7f" stroke-width="2" marker-end="url(#mv-tip)"/>'
            )
    for stage in stages:
        x, y = at[stage.name]
        frame = ' stroke="#d55e00" stroke-width="4"' if stage.name == chosen else ""
        size = f"{stage.parameters / 1e6:.1f} M learned" if stage.parameters else "nothing learned"
        shape = stage.shape if stage.tensor.ndim < 3 else " × ".join(map(str, stage.tensor.shape))
        lines = ((stage.name, 19, 13, 700), (shape, 36, 10.5, 400), (size, 51, 10.5, 400))
        text = "".join(
            f'<text x="{x + BOX[0] / 2}" y="{y + dy}" text-anchor="middle" font-size="{s}" font-weight="{w}" '
            f'fill="#fff">{escape(line)}</text>' for line, dy, s, w in lines
        )  # fmt: skip
        parts.append(
            f'<g><rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="8" fill="{COLORS[stage.part]}"{frame}/>'
            f"{text}</g>"
        )
    label = escape(f"{model}: {', then '.join(s.name for s in stages)}")
    return (
        f'<svg viewBox="0 0 {wide:.0f} {ROW + BOX[1] + 12}" role="img" aria-label="{label}" '
        'style="width:100%;font-family:sans-serif"><defs><marker id="mv-tip" viewBox="0 0 8 8" refX="6" refY="4" '
        'markerWidth="5" markerHeight="5" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#7f7f7f"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )

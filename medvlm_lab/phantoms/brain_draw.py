"""Which MR slice of the head a seed gives, and what becomes of the patient by the next study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms.brain_places import (
    CAVITY,
    DEEP,
    IN_PLANE,
    LOBES,
    NORMAL,
    TERRITORIES,
    TRAVEL_MM,
    box_of,
    middle,
    positions,
)
from medvlm_lab.phantoms.brain_scene import (
    AXIAL,
    BRIGHT_ON_WATER,
    CORONAL,
    SAGITTAL,
    SEQUENCES,
    SIDES,
    BrainScene,
)
from medvlm_lab.phantoms.scene import Finding

# what differs between hospitals: field, lines of k-space, noise, coil, movement, extra field of view, sequences, planes
HOSPITALS = (
    (1.5, 256, 28.0, 0.15, 0.05, 0.0, (0.24, 0.30, 0.26, 0.20), (0.70, 0.15, 0.15)),
    (0.5, 160, 14.0, 0.35, 0.25, 25.0, (0.45, 0.35, 0.10, 0.10), (0.85, 0.05, 0.10)),
    (3.0, 384, 60.0, 0.60, 0.05, 5.0, (0.10, 0.25, 0.40, 0.25), (0.45, 0.30, 0.25)),
    (1.5, 192, 22.0, 0.25, 0.70, 40.0, (0.25, 0.25, 0.25, 0.25), (0.60, 0.20, 0.20)),
)
PLAIN_RANGE = ((0.14, 0.93), (0.18, 0.88), (0.2, 0.8))  # positions of slices without findings, per plane
LARGEST_MM = {"frontal lobe": 50, "parietal lobe": 46, "temporal lobe": 36, "occipital lobe": 36}


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = BrainScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def pick(shares: tuple[float, ...], u: float) -> int:
    """The index whose share of [0, 1) holds u."""
    return int(np.searchsorted(np.cumsum(shares)[:-1], u, side="right"))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> BrainScene:
    """A patient with 0 to 4 findings; a quarter of the patients have none."""
    n, u = rng.standard_normal(20), rng.random(12)
    field, matrix, snr, coil, motion, wider, sequences, planes = HOSPITALS[hospital]
    sequence, plane = pick(sequences, u[0]), pick(planes, u[1])
    found = draw_findings(rng)
    plane, position, found = place(found, plane, rng)
    if any(f.kind == BRIGHT_ON_WATER for f in found) and sequence not in (1, 2):
        found = tuple(f for f in found if f.kind != BRIGHT_ON_WATER)
    old = u[2]
    # nobody's brain is this close to the limit: a reader could not tell
    atrophy = 0.66 + 0.34 * u[3] if old > 0.62 and u[4] < 0.42 else 0.02 + 0.42 * old * u[3] + 0.06 * u[4]
    if any(f.kind in ("hydrocephalus", "subdural haematoma") for f in found):
        atrophy = min(atrophy, 0.3)
    head = clip("head", 1 + 0.025 * n[0])
    tilt = 3.5 if plane != SAGITTAL else 1.2
    return BrainScene(
        seed=seed,
        patient=seed,
        hospital=hospital,
        findings=found,
        sequence=sequence,
        plane=plane,
        position=position,
        head=head,
        width=clip("width", 1 + 0.025 * n[1]),
        atrophy=float(atrophy),
        ventricles=float(0.1 + 0.5 * u[5]),
        scalp_fat=clip("scalp_fat", 0.45 + 0.22 * n[2]),
        sinuses=clip("sinuses", 0.6 + 0.16 * n[3]),
        turn_degrees=clip("turn_degrees", 2.6 * n[4]),
        nod_degrees=clip("nod_degrees", tilt * n[5]),
        lean_degrees=clip("lean_degrees", 0.5 * tilt * n[6]),
        shift_x_mm=clip("shift_x_mm", 2.5 * n[7]),
        shift_y_mm=clip("shift_y_mm", 3.0 * n[8]),
        fov_mm=clip("fov_mm", (238 if plane == AXIAL else 246) * head + 5 * n[9] + wider * u[6]),
        field_tesla=field,
        repetition=clip("repetition", 1 + 0.06 * n[10]),
        echo=clip("echo", 1 + 0.06 * n[11]),
        matrix=int(np.clip(round(matrix * float(np.exp(0.08 * n[12]))), 96, 512)),
        snr=clip("snr", snr * float(np.exp(0.22 * n[13]))),
        coil=clip("coil", coil + 0.08 * n[14]),
        motion=clip("motion", motion * 1.6 * u[7]) if u[8] < 0.25 + motion else 0.0,
    )


def draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Explicit findings, none of which hides another: one focal disease and what goes with it, or diffuse ones."""
    u = iter(rng.random(60).tolist())
    amount = lambda: 0.16 + 0.84 * next(u)  # noqa: E731
    at = lambda: (next(u), next(u))  # noqa: E731
    found: list[Finding] = []
    side, other = SIDES if next(u) < 0.5 else SIDES[::-1]
    focal = next(u)
    if focal < 0.26:
        lobe = LOBES[pick((0.35, 0.25, 0.25, 0.15), next(u))]
        if next(u) < 0.88:
            mm = round(14 + (LARGEST_MM[lobe] - 14) * next(u))
            found.append(Finding("brain tumour", side, lobe, measurement=mm, at=at()))
        if next(u) < 0.6 or not found:
            found.append(Finding("vasogenic oedema", side, lobe, amount=amount(), at=at()))
    elif focal < 0.44:
        territory = TERRITORIES[pick((0.22, 0.50, 0.28), next(u))]
        found.append(Finding("cerebral infarct", side, territory, amount=0.3 + 0.7 * next(u)))
    elif focal < 0.53:
        found.append(Finding("meningioma", side, measurement=round(14 + 32 * next(u)), at=at()))
    elif focal < 0.63:
        region = (*DEEP, *LOBES)[pick((0.34, 0.16, 0.15, 0.15, 0.10, 0.10), next(u))]
        mm = round(12 + (18 if region in DEEP else 28) * next(u))
        found.append(Finding("intracerebral haemorrhage", side, region, measurement=mm, at=at()))
    elif focal < 0.71:
        found.append(Finding("subdural haematoma", side, measurement=round(6 + 15 * next(u)), at=at()))
        if next(u) < 0.15:
            found.append(Finding("subdural haematoma", other, measurement=round(5 + 8 * next(u)), at=at()))
    if (not found or found[0].region not in DEEP) and next(u) < 0.14:
        for s in (side, other)[: 1 + (next(u) < 0.2)]:
            mm = round(6 + 8 * next(u))
            found.append(Finding("lacunar infarct", s, DEEP[next(u) < 0.45], measurement=mm, at=at()))
    diffuse = next(u)
    if diffuse < 0.34:
        found.append(Finding(BRIGHT_ON_WATER, amount=amount()))
    elif diffuse < 0.46:
        found.append(Finding("hydrocephalus", amount=amount()))
    return () if next(u) < 0.14 else tuple(found)


def place(
    found: tuple[Finding, ...], plane: int, rng: np.random.Generator
) -> tuple[int, float, tuple[Finding, ...]]:
    """A plane and a position that show the first finding, and those of the others that can be seen there too."""
    share = rng.random(2)
    low, high = PLAIN_RANGE[plane]
    kept: list[Finding] = []
    for f in found:
        first, last = positions(box_of(f), plane, f.side)
        if first > last and not kept:
            plane = CORONAL if share[0] < 0.4 else AXIAL
            first, last = positions(box_of(f), plane, f.side)
        if kept:
            first, last = max(first, low), min(last, high)
        if first <= last:
            low, high = first, last
            kept.append(f)
    if plane == SAGITTAL and kept and not kept[0].side and share[0] < 0.5:
        low, high = 1 - high, 1 - low  # the other half of the head shows it as well
        kept = kept[:1] if any(f.side for f in kept) else kept
        kept = [f for f in kept if _fits(f, plane, (low + high) / 2)]
    return plane, float(low + (high - low) * share[1]), tuple(kept)


def _fits(f: Finding, plane: int, position: float) -> bool:
    low, high = positions(box_of(f), plane, f.side)
    return low <= position <= high


def progress(scene: BrainScene, rng: np.random.Generator) -> BrainScene:
    """The next study in the same slice: tumours grow or answer to treatment, infarcts, bleeds and oedema shrink."""
    kept = []
    responds = rng.random() < 0.45
    for f in scene.findings:
        kind = scene.kinds[f.kind]
        if f.kind in (BRIGHT_ON_WATER, "hydrocephalus"):
            kept.append(replace(f, amount=float(np.clip(f.amount * np.exp(rng.normal(0.1, 0.2)), 0.12, 1))))
        elif f.amount is not None:
            amount = f.amount * float(np.exp(rng.normal(-0.35 if responds else -0.05, 0.3)))
            if amount > 0.16:
                kept.append(replace(f, amount=min(amount, 1.0)))
        elif f.kind == "lacunar infarct":
            kept.append(f)
        else:
            shrinks = responds or f.kind in ("intracerebral haemorrhage", "subdural haematoma")
            mm = round(f.measurement * (rng.uniform(0.45, 0.9) if shrinks else rng.uniform(0.95, 1.35)))
            if mm >= kind.low:
                kept.append(replace(f, measurement=float(min(mm, LARGEST_MM.get(f.region, 46), kind.high))))
    if not kept and rng.random() < 0.3:
        plane, _, new = place(draw_findings(rng), scene.plane, rng)
        new = tuple(f for f in new if plane == scene.plane and _fits(f, scene.plane, scene.position))
        kept = [f for f in new if f.kind != BRIGHT_ON_WATER or scene.sequence in (1, 2)]
    moved = {"shift_x_mm": 2.5, "shift_y_mm": 2.5, "turn_degrees": 2.0, "nod_degrees": 1.5}
    pose = {k: clip(k, getattr(scene, k) * 0.5 + s * rng.normal()) for k, s in moved.items()}
    return scene.with_(findings=tuple(kept), **pose)


def beside(scene: BrainScene, position: float) -> BrainScene:
    """The same patient in another slice of the same plane: lesions keep their place."""
    low, high = TRAVEL_MM[scene.plane]
    offset = scene.offset_mm + (position - scene.position) * (high - low) if scene.findings else 0.0
    return scene.with_(position=position, offset_mm=offset)


def in_every_plane(scene: BrainScene) -> list[BrainScene]:
    """Axial, coronal and sagittal slices through the first finding, where such a slice can show it."""
    made = []
    lesion = next((f for f in scene.findings if f.side), None)
    point = dict(enumerate(CAVITY[0]))
    if lesion:
        at = middle(scene.plane, scene.slice_mm, lesion, scene.head)
        point |= dict(zip(IN_PLANE[scene.plane], at, strict=True))
    point[NORMAL[scene.plane]] = scene.slice_mm
    for plane, (low, high) in enumerate(TRAVEL_MM):
        position = min(1.0, max(0.0, (point[NORMAL[plane]] - low) / (high - low)))
        found = []
        for f in scene.findings:
            first, last = positions(box_of(f), plane, f.side)
            if f is lesion and first <= last:
                position = min(last, max(first, position))
                f = replace(f, at=tuple(_share(box_of(f)[axis], point[axis], axis) for axis in IN_PLANE[plane]))
            found.append(f)
        seen = tuple(f for f in found if _fits(f, plane, position))
        if lesion is None or any(f.mask_name == lesion.mask_name for f in seen):
            made.append(scene.with_(plane=plane, position=position, offset_mm=0.0, findings=seen))
    return made


def _share(span: tuple[float, float], value: float, axis: int) -> float:
    """Where in its box a coordinate lies, 0 to 1."""
    value = abs(value) if axis == 0 else value
    return min(1.0, max(0.0, (value - span[0]) / (span[1] - span[0])))


def in_every_sequence(scene: BrainScene) -> list[BrainScene]:
    """The scene in each sequence that can show its findings."""
    made = []
    for number in range(len(SEQUENCES)):
        try:
            made.append(scene.with_(sequence=number))
        except SceneError:
            continue
    return made

"""Which abdominal CT slice a seed gives, and what becomes of the patient by the next study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medvlm_lab.phantoms.abdomen_scene import (
    ANEURYSM_MM,
    LEFT_LOBE,
    LEVELS,
    LOBES,
    SIDES,
    SPLEEN_MM,
    AbdomenScene,
)
from medvlm_lab.phantoms.scene import Finding

# what differs between hospitals: dose, kernel, extra field of view, share of phases, use of oral contrast
HOSPITALS = (
    (9.0, 0.35, 0.0, (0.25, 0.25, 0.50), 0.40),
    (3.5, 0.25, 60.0, (0.70, 0.05, 0.25), 0.80),
    (18.0, 0.75, 10.0, (0.10, 0.50, 0.40), 0.10),
    (5.0, 0.90, 100.0, (0.40, 0.20, 0.40), 0.50),
)
CLEAR_MM = 3.0  # no sampled aorta or spleen is this close to the limit: a reader could not tell


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = AbdomenScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> AbdomenScene:
    """A patient with 0 to 5 findings; a quarter of the patients have none."""
    n, u = rng.standard_normal(24), rng.random(24)
    dose, kernel, wider, phases, oral = HOSPITALS[hospital]
    heavy = 0.6 * n[0] + 0.4 * n[1]
    old = u[0]
    level = float(0.02 + 0.93 * u[1])
    phase = int(np.searchsorted(np.cumsum(phases)[:2], u[2]))
    # who is ill does not depend on the hospital; what its phase can show does
    findings = tuple(f for f in draw_findings(level, rng) if f.kind != "hypervascular liver lesion" or phase == 1)
    cirrhotic = any(f.kind == "cirrhosis" for f in findings)
    enlarged = u[3] < (0.55 if cirrhotic else 0.10)
    spleen = (
        SPLEEN_MM + CLEAR_MM + 52 * u[4] ** 1.3 if enlarged else 76 + (SPLEEN_MM - CLEAR_MM - 76) * (1 - level) * u[4]
    )
    aneurysm = old > 0.55 and u[5] < 0.16
    aorta = ANEURYSM_MM + CLEAR_MM + 36 * u[6] ** 1.4 if aneurysm else 17 + 5 * old + 3.5 * u[6]
    trunk = clip("trunk_mm", 292 + 18 * n[2] + 10 * heavy)
    depth = clip("depth", 0.70 + 0.035 * n[3] + 0.02 * heavy)
    fat = clip("fat_mm", 17 * float(np.exp(0.45 * heavy + 0.2 * n[4])))
    return AbdomenScene(
        seed=seed,
        patient=seed,
        hospital=hospital,
        findings=findings,
        level=level,
        phase=phase,
        trunk_mm=trunk,
        depth=depth,
        fat_mm=fat,
        visceral_fat=clip("visceral_fat", 0.40 + 0.22 * heavy + 0.10 * n[5]),
        muscle=clip("muscle", 0.75 - 0.45 * old + 0.15 * n[6]),
        bone=clip("bone", 1.12 - 0.3 * old + 0.06 * n[7]),
        liver_size=clip("liver_size", 1 + 0.05 * n[8]),
        spleen_mm=float(spleen),
        aorta_mm=float(aorta),
        kidney_mm=clip("kidney_mm", 58 + 4 * n[9]),
        stomach=float(u[8]),
        stomach_gas=float(0.1 + 0.6 * u[9]),
        bowel_gas=float(u[10]),
        oral_contrast=float(0.4 + 0.6 * u[12]) if u[11] < oral else 0.0,
        fov_mm=clip("fov_mm", trunk + 1.9 * fat + 14 + 34 * u[13] + wider * u[14]),
        shift_x_mm=clip("shift_x_mm", 3 * n[10]),
        shift_y_mm=clip("shift_y_mm", 4 * n[11]),
        turn_degrees=clip("turn_degrees", 1.6 * n[12]),
        dose_mgy=clip("dose_mgy", dose * float(np.exp(0.25 * n[13]))),
        kernel=clip("kernel", kernel + 0.08 * n[14]),
    )


def draw_findings(level: float, rng: np.random.Generator) -> tuple[Finding, ...]:
    """Explicit findings that a slice at this level can show, none of which hides another."""
    u = iter(rng.random(80).tolist())
    amount = lambda: 0.14 + 0.86 * next(u)  # noqa: E731
    at = lambda: (next(u), next(u))  # noqa: E731
    found: list[Finding] = []
    liver, left_lobe = level <= 0.75, level <= 0.45
    order = list(LOBES[: 1 + left_lobe])
    if next(u) < 0.5:
        order.reverse()
    diffuse = next(u)
    if liver and diffuse < 0.13:
        found.append(Finding("cirrhosis", amount=amount()))
    elif liver and diffuse < 0.24:
        found.append(Finding("hepatic steatosis", amount=amount()))
    focal = next(u)
    if liver and focal < 0.12:
        found.append(Finding("liver metastases", amount=amount()))
    elif liver:
        if next(u) < 0.14:
            lobe = order.pop()
            high = 50 if lobe == "right lobe" else 32
            found.append(Finding("liver cyst", region=lobe, measurement=round(10 + (high - 10) * next(u)), at=at()))
        if order and next(u) < 0.30:
            lobe = order.pop()
            high = 45 if lobe == "right lobe" else 30
            mm = round(10 + (high - 10) * next(u))
            found.append(Finding("hypervascular liver lesion", region=lobe, measurement=mm, at=at()))
    if 0.5 <= level <= 0.9 and next(u) < 0.22:
        found.append(Finding("gallstones", amount=amount()))
    for side in SIDES:
        kind = next(u)
        if kind < 0.09:
            found.append(Finding("hydronephrosis", side, amount=amount()))
        if kind < 0.04 or 0.09 < kind < 0.15:
            found.append(Finding("kidney stone", side, measurement=round(4 + 14 * next(u) ** 1.5), at=at()))
        if 0.20 < kind < 0.29:
            found.append(Finding("renal cyst", side, measurement=round(12 + 38 * next(u)), at=at()))
        if 0.30 < kind < 0.36:
            found.append(Finding("renal mass", side, measurement=round(20 + 40 * next(u)), at=at()))
    if next(u) < 0.20:
        found.append(Finding("aortic calcification", amount=amount()))
    if next(u) < 0.09:
        found.append(Finding("lymphadenopathy", amount=amount()))
    if next(u) < (0.5 if any(f.kind == "cirrhosis" for f in found) else 0.11):
        found.append(Finding("ascites", amount=amount()))
    if next(u) < 0.07:
        found.append(Finding("free air", amount=amount()))
    return () if next(u) < 0.15 else tuple(found)


def progress(scene: AbdomenScene, rng: np.random.Generator) -> AbdomenScene:
    """The next study at the same level: amounts drift, lesions grow or shrink, findings resolve or appear."""
    kept = []
    for f in scene.findings:
        kind = scene.kinds[f.kind]
        if f.amount is not None:
            drift = 0.1 if f.kind in ("cirrhosis", "aortic calcification") else -0.25
            grown = f.amount * float(np.exp(rng.normal(drift, 0.15 if drift > 0 else 0.6)))
            if grown > 0.12:
                kept.append(replace(f, amount=min(grown, 1.0)))
        elif f.kind == "kidney stone":
            if rng.random() < 0.5:
                kept.append(f)
        else:
            grown = round(f.measurement * rng.uniform(0.85, 1.4))
            kept.append(replace(f, measurement=float(np.clip(grown, kind.low, min(kind.high, 55)))))
    held = {f.mask_name for f in kept} | {f.side for f in kept if f.side} | {f.region for f in kept if f.region}
    for f in draw_findings(scene.level, rng):
        new = f.mask_name not in held and (f.side or f.region) not in held
        if new and rng.random() < 0.3 and (f.kind != "hypervascular liver lesion" or scene.phase == 1):
            kept.append(f)
    changes = {"aorta_mm": scene.aorta_mm, "spleen_mm": scene.spleen_mm}
    if scene.aorta_mm > ANEURYSM_MM:
        changes["aorta_mm"] = clip("aorta_mm", scene.aorta_mm + 1 + 4 * rng.random())
    if scene.spleen_mm > SPLEEN_MM:
        changes["spleen_mm"] = max(SPLEEN_MM + CLEAR_MM, clip("spleen_mm", scene.spleen_mm * rng.uniform(0.9, 1.1)))
    moved = {"shift_x_mm": 3.0, "shift_y_mm": 3.0, "turn_degrees": 1.5}
    pose = {k: clip(k, getattr(scene, k) * 0.5 + s * rng.normal()) for k, s in moved.items()}
    filled = {k: float(rng.random()) for k in ("stomach", "stomach_gas", "bowel_gas")}
    return scene.with_(findings=tuple(kept), **changes, **pose, **filled)


def at_level(scene: AbdomenScene, level: float) -> AbdomenScene:
    """The same patient in another slice, without the findings that cannot be seen there."""
    low_of = lambda f: LEFT_LOBE if f.region == "left lobe" else LEVELS.get(f.kind, (0.0, 1.0))  # noqa: E731
    seen = tuple(f for f in scene.findings if low_of(f)[0] <= level <= low_of(f)[1])
    return scene.with_(level=level, findings=seen)

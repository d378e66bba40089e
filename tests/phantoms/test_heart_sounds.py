"""Simulated heart sounds: the waveform holds what the scene says, where the masks say, and the text agrees."""

import dataclasses
import io
import wave

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sound_reader import claims, disagreement, sentences

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.language import WORDINGS
from medvlm_lab.phantoms.sound_cycle import sounds
from medvlm_lab.phantoms.sound_scene import DIASTOLIC, SITES, SYSTOLIC, SoundScene

SOUNDS = phantom("heart-sounds")
SCENES = SOUNDS.sample(3, 1500)
NUMBERS = [f for f in dataclasses.fields(SoundScene) if isinstance(f.default, float)]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {f.name: draw(st.floats(f.metadata["low"], f.metadata["high"])) for f in NUMBERS}
    found = [Finding(k) for k in draw(st.sets(st.sampled_from(["third heart sound", "fourth heart sound"])))]
    for kind, shapes in (("systolic murmur", SYSTOLIC), ("diastolic murmur", DIASTOLIC)):
        if draw(st.booleans()):
            shape, grade = draw(st.sampled_from(shapes)), float(draw(st.integers(1, 6)))
            found.append(Finding(kind, region=shape, measurement=grade))
    return SoundScene(seed=draw(st.integers(0, 2**40)), findings=tuple(found), site=draw(st.integers(0, 3)), **numbers)


@given(scenes(), st.sampled_from([32, 57, 128]))
@settings(max_examples=40, deadline=None)
def test_any_valid_scene_sounds_and_shows_each_finding(scene, size):
    wave, picture, masks = SOUNDS.audio(scene), SOUNDS.render([scene], size), SOUNDS.masks([scene], size)
    assert wave.shape == (1, 3 * SOUNDS.sampling_hz) and torch.isfinite(wave).all() and wave.abs().max() <= 1
    assert picture.shape == (1, 1, size, size) and 0 <= picture.min() and picture.max() <= 1
    assert {n for n in scene.kinds if masks[n].any()} == {f.mask_name for f in scene.all_findings}


def test_sounds_do_not_depend_on_the_batch():
    batch = SCENES[:9]
    assert torch.equal(SOUNDS.audio(batch)[4], SOUNDS.audio(batch[4])[0])
    assert torch.equal(SOUNDS.render(batch, 75)[4], SOUNDS.render([batch[4]], 75)[0])


def test_rate_and_systole_measured_on_the_masks():
    batch = SCENES[:150]
    measured = SOUNDS.measure(batch, SOUNDS.masks(batch, 256))
    stated = np.array([s.heart_rate_bpm for s in batch])
    assert np.nanmax(np.abs(measured["heart_rate_bpm"].numpy() / stated - 1)) < 0.03
    systole = 546 - 2.1 * stated - 50
    assert np.nanmax(np.abs(measured["systole_ms"].numpy() - systole)) < 15


PLAIN = SoundScene(seed=5, breath=0.0, rubbing=0.0, hiss=0.0)
HEARD = [Finding("systolic murmur", region=r, measurement=3.0) for r in SYSTOLIC]
HEARD += [Finding("diastolic murmur", region=r, measurement=3.0) for r in DIASTOLIC]
HEARD += [Finding("third heart sound"), Finding("fourth heart sound")]


@pytest.mark.parametrize("finding", HEARD, ids=lambda f: f"{f.kind} {f.region}")
def test_a_finding_is_heard_in_its_interval_and_seen_in_its_mask(finding):
    scene = PLAIN.with_(findings=(finding,))
    change = (SOUNDS.audio(scene) - SOUNDS.audio(PLAIN))[0] ** 2
    t, inside = torch.arange(len(change)) / SOUNDS.sampling_hz, torch.zeros(len(change), dtype=torch.bool)
    for begin, end in sounds(scene)[finding.kind].times:
        inside |= (t >= begin) & (t < end + 0.05)
    assert change[inside].sum() > 0.97 * change.sum()
    seen = (SOUNDS.render([scene], 160) - SOUNDS.render([PLAIN], 160))[0, 0]
    mask = SOUNDS.masks([scene], 160)[finding.kind][0]
    below = torch.arange(160)[:, None] > 50  # the spectrogram
    assert seen[mask].mean() > 0.08 and seen[mask].mean() > 2 * seen[~mask & below].abs().mean()


def test_each_grade_is_louder():
    energy = []
    for grade in range(1, 7):
        murmur = Finding("systolic murmur", region="holosystolic", measurement=float(grade))
        energy.append((SOUNDS.audio(PLAIN.with_(findings=(murmur,))) - SOUNDS.audio(PLAIN)).square().mean().item())
    assert all(b > 1.5 * a for a, b in zip(energy[:-1], energy[1:], strict=True))


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        report = SOUNDS.report(scene, wording=wording)
        for paragraph in (report.findings, report.impression):
            stated = set()
            for sentence in sentences(paragraph):
                read = claims(sentence)
                assert read, f"not understood: {sentence}"
                for claim in read:
                    wrong = disagreement(claim, scene, SITES)
                    assert not wrong, f"{sentence!r} says {claim}: {wrong}"
                stated |= {c[0] for c in read if c[1]}
            assert stated == {f.kind for f in scene.all_findings}, report


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_recording_is_true(wording):
    for seed in range(80):
        studies = SOUNDS.timeline(seed, 3)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            for sentence in sentences(SOUNDS.report(now, wording=wording, prior=before).findings):
                assert all(not disagreement(claim, now, SITES) for claim in claims(sentence)), sentence


@pytest.mark.parametrize("wording", WORDINGS)
def test_answers_agree_with_the_scene(wording):
    for scene in SCENES[:600]:
        for q in SOUNDS.questions(scene, wording=wording):
            if q.question_type == "PRES":
                kind = next(k for k in scene.kinds if k in q.question.lower())
                assert (q.answer == "yes") == (scene.find(kind) is not None) == bool(q.mask_name), q
            elif q.answer.endswith("bpm"):
                assert q.answer == f"{scene.heart_rate_bpm:.0f} bpm"
            elif q.answer.endswith("area"):
                assert q.answer == f"{SITES[scene.site]} area"
            elif q.question_type == "SIZE":
                assert q.answer == f"{scene.grade(q.mask_name)} of 6"


def test_hospitals_shift_the_recording_and_not_the_patient():
    level = [SOUNDS.audio(SOUNDS.sample(4, 24, hospital=h)).abs().mean().item() for h in range(4)]
    assert max(level) > 1.3 * min(level)
    assert [s.all_findings for s in SOUNDS.sample(4, 24)] == [s.all_findings for s in SOUNDS.sample(4, 24, hospital=2)]


def test_the_picture_says_what_it_is():
    image = SOUNDS.image(SOUNDS.draw(1), 64)
    assert image.simulated and image.modality == "heart sounds" and image.frames == 1 and image.spacing_mm is None


def test_bad_values_are_refused_by_name():
    with pytest.raises(SceneError, match="heart_rate_bpm is 300.*45.0 to 140.0"):
        SoundScene(heart_rate_bpm=300.0)
    with pytest.raises(SceneError, match="measurement of systolic murmur is 7.*1 to 6 of 6"):
        SoundScene(findings=(Finding("systolic murmur", region="holosystolic", measurement=7),))


def test_a_wav_file_holds_the_same_sound_at_a_rate_that_browsers_play():
    scene = SOUNDS.draw(3)
    with wave.open(io.BytesIO(SOUNDS.wav(scene))) as file:
        assert file.getframerate() >= 3000
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    np.testing.assert_allclose(samples[::4], SOUNDS.audio(scene)[0], atol=2e-3)

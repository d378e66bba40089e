"""Simulated MR of the head: the same seed gives the same pixels, and masks measure what the scene says."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.brain_places import BOXES, away, positions, shift_mm, slice_mm
from medvlm_lab.phantoms.brain_scene import CONTRAST, FLAIR, PLANES, T1, T2, BrainScene
from medvlm_lab.phantoms.brain_tissue import TISSUES, echo, null_ms, signal

MR = phantom("brain-mr")
ANATOMY = {
    "head", "brain", "white matter", "grey matter", "ventricles", "cerebellum", "right hemisphere", "left hemisphere",
}
FREE = [f for f in dataclasses.fields(BrainScene) if isinstance(f.default, float)]
FREE = [f for f in FREE if f.name not in ("position", "offset_mm")]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {f.name: draw(st.floats(f.metadata["low"], f.metadata["high"])) for f in FREE}
    return MR.draw(draw(st.integers(0, 2**40))).with_(**numbers)


@given(st.lists(scenes(), min_size=1, max_size=2))
@settings(max_examples=8, deadline=None)
def test_any_valid_scene_renders(batch):
    pixels = MR.render(batch, 64)
    assert pixels.shape == (len(batch), 1, 64, 64) and pixels.dtype == torch.float32
    assert torch.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() < 4
    masks = MR.masks(batch, 64)
    assert all(mask.shape == (len(batch), 64, 64) for mask in masks.values())


@pytest.mark.parametrize("size", [64, 75, 300])
def test_pixels_and_masks_do_not_depend_on_the_batch(size):
    batch = MR.sample(8, 19 if size < 100 else 6)
    together, masks = MR.render(batch, size), MR.masks(batch, size)
    assert torch.equal(MR.render(batch[::-1], size).flip(0), together)
    for i in (0, 3, len(batch) - 1):
        assert torch.equal(together[i : i + 1], MR.render([batch[i]], size)), i
        alone = MR.masks([batch[i]], size)
        assert all(torch.equal(mask[i], alone[name][0]) for name, mask in masks.items())


def test_every_stated_finding_has_a_mask_and_none_unstated():
    batch = MR.sample(21, 400)
    masks = MR.masks(batch, 112)
    there = {name: mask.flatten(1).any(1).tolist() for name, mask in masks.items() if name not in ANATOMY}
    for i, scene in enumerate(batch):
        stated = {f.mask_name for f in scene.all_findings}
        assert stated == {name for name, found in there.items() if found[i]}, scene
    assert all(any(found) for found in there.values())  # the sample shows every kind on every side


@pytest.mark.parametrize(("size", "within"), [(512, 0.03), (224, 0.04)])
def test_measurements_on_masks_agree(size, within):
    batch = [s for s in MR.sample(31, 90) if any(f.measurement for f in s.all_findings)][:18]
    measured = MR.measure(batch, MR.masks(batch, size))
    seen = 0
    for i, scene in enumerate(batch):
        for f in scene.all_findings:
            if f.measurement:
                seen += 1
                mm = measured[f"{f.mask_name.replace(' ', '_')}_mm"][i]
                # a width ends between two pixels
                least = 0.6 * MR.pixel_mm(scene, size) if f.kind in ("midline shift", "subdural haematoma") else 0.0
                assert abs(mm - f.measurement) < max(within * f.measurement, least), (f, mm)
    assert seen > 18 and measured["left_meningioma_mm"].isnan().any()


def test_anatomy_lies_where_it_belongs():
    axial = [s.with_(plane=0, position=0.53, findings=(), turn_degrees=0.0) for s in MR.sample(2, 16)]
    masks = MR.masks(axial, 96)
    area = {k: masks[k].flatten(1).sum(1).float() for k in ANATOMY}
    across = torch.arange(96.0)
    x = {k: (masks[k] * across).sum((1, 2)) / area[k] for k in ANATOMY - {"cerebellum"}}
    assert (x["right hemisphere"] < x["ventricles"]).all() and (x["ventricles"] < x["left hemisphere"]).all()
    for name in ANATOMY - {"head"}:
        assert ((masks[name] & ~masks["head"]).sum((1, 2)) == 0).all(), name
    assert (area["brain"] / area["head"] > 0.5).all()
    ratio = area["grey matter"] / (area["grey matter"] + area["white matter"])
    assert (ratio > 0.3).all() and (ratio < 0.75).all()
    low, high, middle = MR.masks([BrainScene(plane=p, position=q) for p, q in ((0, 0.2), (0, 0.8), (2, 0.5))], 96)[
        "cerebellum"
    ].sum((1, 2))
    assert low > 400 and high == 0 and middle > 200


def test_one_patient_agrees_where_three_planes_cross():
    """A point of the head has the same signal in the axial, coronal and sagittal slice through it."""
    base = BrainScene(patient=7, sequence=T1)
    cuts = ((0, 0.55), (1, 0.5), (2, 0.7))
    axial, coronal, sagittal = MR.truth([base.with_(plane=p, position=q) for p, q in cuts], 512)
    mm, mid = base.fov_mm / 512, 255.5
    x, y, z = slice_mm(2, 0.7), slice_mm(1, 0.5), slice_mm(0, 0.55)
    at = lambda picture, u, v: picture[round(mid + v / mm), round(mid + u / mm)]  # noqa: E731
    crossing = [at(axial, x, -16 - y), at(coronal, x, 8 - z), at(sagittal, -16 - y, 8 - z)]
    assert max(crossing) - min(crossing) < 0.12
    # along the line where axial and coronal slices cross
    row, line = round(mid + (-16 - y) / mm), round(mid + (8 - z) / mm)
    inside = slice(110, 402)
    assert torch.corrcoef(torch.stack([axial[row, inside], coronal[line, inside]]))[0, 1] > 0.8


def test_contrast_follows_the_spin_echo():
    assert echo(0.8, 1000, 100, 500, 20) == pytest.approx(0.8 * (1 - math.exp(-0.5)) * math.exp(-0.2))
    flair = BrainScene(sequence=FLAIR)
    assert signal("fluid", flair) < 0.01 < signal("grey", flair)
    assert null_ms(1e9, 4200) == pytest.approx(4200 * math.log(2))
    t1, t2, after = (BrainScene(sequence=k) for k in (T1, T2, CONTRAST))
    assert signal("fluid", t1) < signal("grey", t1) < signal("white", t1) < signal("fat", t1)
    assert signal("white", t2) < signal("grey", t2) < signal("oedema", t2) < signal("fluid", t2)
    assert signal("white", flair) < signal("grey", flair) < signal("oedema", flair)
    for tissue in ("tumour rim", "meningioma", "choroid"):
        assert signal(tissue, after) > 1.5 * signal(tissue, t1)
    assert all(signal(t, after) == pytest.approx(signal(t, t1), rel=0.15) for t in TISSUES if len(TISSUES[t]) == 3)


def test_tissues_look_as_their_sequence_says():
    orders = {T1: ("ventricles", "grey matter", "white matter"), T2: ("white matter", "grey matter", "ventricles")}
    for sequence, order in orders.items():
        scene = BrainScene(seed=3, patient=3, sequence=sequence, position=0.56, ventricles=0.9, snr=60.0)
        pixels, masks = MR.render([scene], 192)[0, 0], MR.masks([scene], 192)
        levels = [pixels[masks[name][0]].median() for name in order]
        assert levels == sorted(levels), (sequence, levels)


PLAIN = BrainScene(seed=5, patient=5, sequence=T2, position=0.55)
VISIBLE = [
    (Finding("brain tumour", "left", "frontal lobe", measurement=30), T2, 0.62, 1),
    (Finding("brain tumour", "right", "temporal lobe", measurement=25), CONTRAST, 0.33, 0),
    (Finding("meningioma", "left", measurement=28), CONTRAST, 0.62, 1),
    (Finding("intracerebral haemorrhage", "right", "basal ganglia", measurement=25), T1, 0.49, 1),
    (Finding("subdural haematoma", "left", measurement=12), FLAIR, 0.62, 0),
    (Finding("cerebral infarct", "right", "middle cerebral artery", amount=0.6), FLAIR, 0.55, 1),
    (Finding("cerebral infarct", "left", "posterior cerebral artery", amount=0.6), T2, 0.52, 0),
    (Finding("lacunar infarct", "left", "thalamus", measurement=9), T2, 0.5, 1),
    (Finding("vasogenic oedema", "right", "parietal lobe", amount=0.6), FLAIR, 0.68, 1),
    (Finding("white matter hyperintensities", amount=0.7), FLAIR, 0.58, 1),
    (Finding("hydrocephalus", amount=0.7), T2, 0.58, 1),
]


@pytest.mark.parametrize(
    ("finding", "sequence", "position", "sign"), VISIBLE, ids=lambda v: getattr(v, "mask_name", None)
)
def test_a_finding_shows_inside_its_mask(finding, sequence, position, sign):
    without = PLAIN.with_(sequence=sequence, position=position)
    with_it = without.with_(findings=(finding,))
    change = (MR.truth([with_it], 128) - MR.truth([without], 128))[0]
    mask = MR.masks([with_it], 128)[finding.mask_name][0]
    inside, outside = change[mask], change[~mask]
    assert inside.abs().mean() > max(0.06, 3 * outside.abs().mean())
    assert sign == 0 or inside.mean().sign() == sign


def test_what_a_slice_or_sequence_cannot_show_is_refused():
    tumour = Finding("brain tumour", "left", "frontal lobe", measurement=20.0)
    low, high = positions(BOXES["frontal lobe"], 0, "left")
    for position in (low - 0.02, high + 0.02):
        with pytest.raises(SceneError, match=f"position is .*tumour of the frontal lobe.*{low:.2f} to {high:.2f}"):
            BrainScene(position=position, findings=(tumour,))
    with pytest.raises(SceneError, match=r"position is 0.3; .*sagittal"):
        BrainScene(plane=2, position=0.3, findings=(tumour,))  # the other side of the head
    with pytest.raises(SceneError, match="plane is 2, sagittal; to show a left subdural haematoma"):
        BrainScene(plane=2, findings=(Finding("subdural haematoma", "left", measurement=9),))
    with pytest.raises(SceneError, match="sequence is 0; .*hyperintensities.*T2 or FLAIR"):
        BrainScene(sequence=0, position=0.6, findings=(Finding("white matter hyperintensities", amount=0.5),))
    with pytest.raises(SceneError, match="around the tumour it must be 'frontal lobe'"):
        BrainScene(position=0.68, findings=(tumour, Finding("vasogenic oedema", "left", "parietal lobe", amount=0.5)))


def test_what_the_numbers_imply():
    assert BrainScene(atrophy=0.5).all_findings == ()
    assert BrainScene(atrophy=0.9).find("cerebral atrophy").severity == "severe"
    assert BrainScene(atrophy=0.9, position=0.1).all_findings == ()  # a slice through the cerebellum
    big = (Finding("brain tumour", "left", "frontal lobe", measurement=50.0),)
    pushed = BrainScene(position=0.6, findings=big)
    assert pushed.find("midline shift").measurement == round(-shift_mm(big)) and pushed.midline_mm < 0
    assert BrainScene(plane=2, position=0.7, findings=big).find("midline shift") is None
    assert away(0.0) == 1 and away(60.0) < 0.2
    small = Finding("brain tumour", "left", "frontal lobe", measurement=20.0)
    assert BrainScene(position=0.6, findings=(small,)).midline_mm == 0


def test_a_volume_is_one_patient_in_several_slices():
    tumour = Finding("brain tumour", "left", "frontal lobe", measurement=30.0)
    scene = MR.draw(3).with_(findings=(tumour,), plane=0, position=0.62)
    volume = MR.volume(scene, 5, 48.0)
    assert [round(s.offset_mm) for s in volume] == [-24, -12, 0, 12, 24]
    assert [s.find("brain tumour") is not None for s in volume] == [False, True, True, True, False]
    assert volume[1].find("brain tumour").measurement == 18
    measured = MR.measure(volume, MR.masks(volume, 512))["left_brain_tumour_mm"]
    assert measured[1] == pytest.approx(18, rel=0.03) and measured[0].isnan()
    assert MR.adjust(scene, position=volume[4].position) == volume[4]
    water = scene.with_(findings=(Finding("hydrocephalus", amount=0.8),), position=0.6)
    above = MR.adjust(water, position=0.9)
    assert above.find("hydrocephalus") is None and not MR.masks([above], 64)["hydrocephalus"].any()
    assert MR.adjust(above, position=0.6).find("hydrocephalus")
    pixels = MR.truth(volume, 64)
    assert (pixels[0] - pixels[1]).abs().mean() < (pixels[0] - pixels[4]).abs().mean()


def test_three_planes_go_through_one_lesion():
    tumour = Finding("brain tumour", "left", "parietal lobe", measurement=30.0, at=(0.4, 0.5))
    views = MR.planes(MR.draw(3).with_(findings=(tumour,), plane=0, position=0.7))
    assert [s.plane for s in views] == [0, 1, 2]
    assert all(s.find("brain tumour").measurement == 30 for s in views)
    middles = []
    for scene in views:
        mask = MR.masks([scene.with_(turn_degrees=0.0, shift_x_mm=0.0, shift_y_mm=0.0)], 256)["left brain tumour"][0]
        down, across = (at.float().mean() - 127.5 for at in mask.nonzero(as_tuple=True))
        middles.append((across * scene.fov_mm / 256, down * scene.fov_mm / 256))
    (x, back), (also_x, down), (also_back, also_down) = middles
    for one, two in ((x, also_x), (back, also_back), (down, also_down)):
        assert abs(one - two) < 4
    assert len(MR.planes(BrainScene())) == 3
    assert MR.adjust(views[0], plane=1) == MR.planes(views[0])[1]
    collection = views[0].with_(findings=(Finding("subdural haematoma", "left", measurement=9.0),))
    with pytest.raises(SceneError, match="plane is 2"):
        MR.adjust(collection, plane=2)


def test_the_same_slice_in_every_sequence():
    spots = Finding("white matter hyperintensities", amount=0.5)
    scene = MR.draw(3).with_(findings=(spots,), sequence=2, plane=0, position=0.6)
    assert [s.sequence for s in MR.sequences(scene)] == [1, 2]
    assert [s.sequence for s in MR.sequences(scene.with_(findings=()))] == [0, 1, 2, 3]


def test_noise_is_rician_and_hospitals_differ():
    low, high = MR.render([PLAIN.with_(snr=8.0), PLAIN.with_(snr=80.0)], 160)[:, 0]
    corner = low[:24, :24]
    # Rayleigh where there is no signal: mean over deviation is sqrt(pi / (4 - pi))
    assert (corner.mean() / corner.std()) == pytest.approx(math.sqrt(math.pi / (4 - math.pi)), rel=0.1)
    assert high[:24, :24].mean() < 0.25 * corner.mean()
    ghosts = MR.render([PLAIN.with_(motion=m, snr=120.0) for m in (0.0, 1.0)], 160)[:, 0, :16]
    assert ghosts[1].mean() > 2 * ghosts[0].mean()
    few = MR.render([PLAIN.with_(matrix=96, snr=120.0)], 256)[0, 0]
    many = MR.render([PLAIN.with_(matrix=512, snr=120.0)], 256)[0, 0]
    fine = [torch.fft.fft2(picture).abs()[60:68, 60:68].mean() for picture in (few, many)]
    assert fine[0] < 0.2 * fine[1]
    home, away_from_home = MR.sample(4, 24), MR.sample(4, 24, hospital=1)
    assert {s.field_tesla for s in home} == {1.5} and {s.field_tesla for s in away_from_home} == {0.5}
    assert [s.head for s in home] == [s.head for s in away_from_home]
    assert {s.plane for s in MR.sample(4, 60)} == set(range(len(PLANES)))


def test_the_picture_says_that_it_is_simulated():
    image = MR.image(MR.draw(1), 128)
    assert image.simulated and image.modality == "MR" and image.anatomy == "brain" and "simulated" in image.source
    assert image.spacing_mm[0] == pytest.approx(MR.draw(1).fov_mm / 128)

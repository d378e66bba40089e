"""The rule labeller: equal to the scenes on simulated reports, and not misled by the turns of real ones."""

import time
from pathlib import Path

import pytest

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.models.chexzero import FINDINGS
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import WORDINGS
from medvlm_lab.text.labeller import CHEST, CHEXPERT, _read, clauses, label, names, positive

P, N, U = "positive", "negative", "uncertain"
EFFUSION, AIR, HEART, TUBE = "pleural effusion", "pneumothorax", "cardiomegaly", "endotracheal tube"
XRAY = phantom("chest-xray")
SENTENCES = Path(__file__).parent / "sentences"

TRAPS = {
    # negation before and after, lists, and where they end
    "No pneumothorax, effusion, or consolidation.": {AIR: N, EFFUSION: N, "consolidation": N},
    "No pneumothorax, small left pleural effusion.": {AIR: N, EFFUSION: P},
    "No pneumothorax, large effusion, or edema.": {AIR: N, EFFUSION: N, "pulmonary edema": N},
    "No focal consolidation, but there is a small effusion.": {"consolidation": N, EFFUSION: P},
    "No evidence of pneumothorax and the heart is enlarged.": {AIR: N, HEART: P},
    "There is no pneumothorax and consolidation is present.": {AIR: N, "consolidation": P},
    "No acute findings except for a small right effusion.": {EFFUSION: P},
    "Small left effusion without pneumothorax.": {EFFUSION: P, AIR: N},
    "Neither pneumothorax nor effusion is seen.": {AIR: N, EFFUSION: N},
    "The heart is not enlarged.": {HEART: N},
    "The heart is not significantly enlarged.": {HEART: N},
    "Pneumothorax is not seen.": {AIR: N},
    "Pneumothorax and effusion are not identified.": {AIR: N, EFFUSION: N},
    "Nodule in the right apex, pneumothorax is not seen.": {"nodule": P, AIR: N},
    "The lungs are free of consolidation.": {"consolidation": N},
    "No acute, displaced rib fractures are seen.": {"rib fracture": N},
    "No consolidation, large effusion/pneumothorax.": {"consolidation": N, EFFUSION: N, AIR: N},
    "Study negative for rib fracture.": {"rib fracture": N},
    "Pneumothorax has been ruled out.": {AIR: N},
    "Pneumothorax: none.": {AIR: N},
    "Atelectasis rather than consolidation.": {"consolidation": N},
    "Heart size is normal. Lungs are clear. No effusion.": {
        HEART: N, "consolidation": N, "nodule": N, "pulmonary edema": N, EFFUSION: N,
    },
    "Costophrenic angles are sharp.": {EFFUSION: N},
    # change over time
    "The right pneumothorax has resolved.": {AIR: N},
    "Resolved left effusion.": {EFFUSION: N},
    "Interval resolution of pulmonary edema.": {"pulmonary edema": N},
    "The effusion is no longer seen.": {EFFUSION: N},
    "Large effusion is unchanged and pneumothorax has resolved.": {EFFUSION: P, AIR: N},
    "The effusion has not resolved.": {EFFUSION: P},
    "Near complete resolution of the pneumothorax.": {AIR: P},
    "The effusion was not seen on the prior study.": {EFFUSION: P},
    "The endotracheal tube has been removed.": {TUBE: N},
    "Interval removal of the nasogastric tube, stable effusion.": {"nasogastric tube": N, EFFUSION: P},
    # what looks like negation
    "No increase in the left effusion.": {EFFUSION: P},
    "No significant interval change in the small pneumothorax.": {AIR: P},
    "Not only effusion but also pneumothorax.": {EFFUSION: P, AIR: P},
    "Without change in the pulmonary edema.": {"pulmonary edema": P},
    "The effusion has not increased.": {EFFUSION: P},
    # doubt
    "A small effusion cannot be excluded.": {EFFUSION: U},
    "Cannot exclude a small pneumothorax.": {AIR: U},
    "Pneumothorax is not entirely excluded.": {AIR: U},
    "Opacity at the left base may represent consolidation.": {"consolidation": U},
    "Consolidation may represent edema.": {"consolidation": P, "pulmonary edema": U},
    "Possible small left effusion.": {EFFUSION: U},
    "Consolidation concerning for edema.": {"consolidation": P, "pulmonary edema": U},
    "A left effusion is suspected.": {EFFUSION: U},
    "A small effusion may be present.": {EFFUSION: U},
    "Overlapping ribs could obscure a nodule.": {"nodule": U},
    "Question small left effusion.": {EFFUSION: U},
    "Small effusion suspected on the left.": {EFFUSION: U},
    "Pneumothorax is unlikely.": {AIR: U},
    "No pneumothorax, possible effusion.": {AIR: N, EFFUSION: U},
    "Nodule versus consolidation.": {"consolidation": U, "nodule": U},
    "No evidence to suggest pneumothorax.": {AIR: N},
    # hypotheses and the past
    "Evaluate for pneumothorax.": {AIR: U},
    "Limited for evaluation of rib fractures.": {"rib fracture": U},
    "INDICATION: Rule out pneumothorax.\n\nFINDINGS: No pneumothorax.": {AIR: N},
    "Correlate clinically for edema.": {"pulmonary edema": U},
    "CT is advised to exclude a nodule.": {"nodule": U},
    "History of pneumothorax. No effusion.": {EFFUSION: N},
    # a line break inside a sentence, an abbreviation, the wrong effusion
    "There is no evidence of\npneumothorax. ETT in place.": {AIR: N, TUBE: P},
    "Pericardial effusion.": {},
    "Unremarkable abdomen.": {},
}  # fmt: skip


@pytest.mark.parametrize(("text", "labels"), TRAPS.items(), ids=list(TRAPS))
def test_turns_of_real_reports(text, labels):
    assert label(text) == labels


@pytest.mark.parametrize("file", sorted(SENTENCES.glob("*.txt")), ids=lambda file: file.stem)
def test_sentences_as_radiologists_write_them(file):
    wrong = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            text, labels = line.replace("\\n", "\n").rsplit(" | ", 1)
            for finding, wanted in (pair.rsplit(": ", 1) for pair in labels.split("; ")):
                found = label(text, CHEXPERT if finding in names(CHEXPERT) else CHEST).get(finding, "none")
                wrong += [(text, finding, wanted, found)] * (found != wanted)
    assert not wrong


@pytest.mark.parametrize("text", ["no effusion ", "effusion, ", "? no ", "a\n", " ", "(", "- ", "nodule/"])
def test_time_grows_with_the_length_only(text):
    def seconds(characters: int) -> float:
        _read.cache_clear()
        start = time.process_time()
        label(text * (characters // len(text)))
        return time.process_time() - start

    seconds(1000)  # compiles the patterns
    assert seconds(40_000) < 4 * max(seconds(20_000), 0.1)


@pytest.mark.parametrize("wording", WORDINGS)
def test_labels_are_the_scene_s_findings(wording):
    for scene in XRAY.sample(7, 2000):
        report = XRAY.report(scene, wording=wording)
        assert positive(f"{report.findings} {report.impression}") == {f.kind for f in scene.all_findings}, report


@pytest.mark.parametrize("wording", WORDINGS)
def test_what_has_changed_is_read_too(wording):
    for seed in range(100):
        before, now = XRAY.timeline(seed, 2)
        report = XRAY.report(now, wording=wording, prior=before)
        assert positive(str(report)) == {f.kind for f in now.all_findings}, report


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Low lung volumes with bibasilar atelectasis.", {"Atelectasis": P}),
        ("Heart size is top normal. No pneumonia.", {"Cardiomegaly": N, "Pneumonia": N, "No Finding": P}),
        ("Right upper lobe opacity, likely pneumonia.", {"Lung Opacity": P, "Pneumonia": U}),
        ("PICC terminates in the SVC. Lungs are clear.", {
            "Support Devices": P, "Lung Opacity": N, "Edema": N, "Consolidation": N, "No Finding": P,
        }),
        ("Widened mediastinum. Healed rib fractures.", {"Enlarged Cardiomediastinum": P, "Fracture": P}),
        ("Biapical pleural thickening, no mass.", {"Pleural Other": P, "Lung Lesion": N}),
        ("Mild vascular congestion without effusion.", {"Edema": P, "Pleural Effusion": N}),
    ],
)  # fmt: skip
def test_chexpert_s_observations(text, labels):
    assert label(text, CHEXPERT) == labels


def test_said_twice_the_statement_counts():
    assert label("Possible effusion. Small effusion. No effusion.") == {EFFUSION: P}
    assert label("No effusion. Possible effusion.") == {EFFUSION: U}
    assert label("") == {} and positive("") == frozenset()


def test_vocabularies():
    assert set(names(CHEST)) == set(FINDINGS) and len(names(CHEXPERT)) == 14
    with pytest.raises(UnknownNameError, match="Unknown vocabulary 'chexbert'; did you mean 'chexpert'"):
        label("Effusion.", "chexbert")


def test_lists_stay_whole_and_statements_are_parted():
    assert list(clauses("no nodule, consolidation or edema")) == ["no nodule, consolidation or edema"]
    assert list(clauses("the heart is large and the lungs are clear")) == ["the heart is large", "the lungs are clear"]

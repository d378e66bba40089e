"""F1 over CheXpert's labels by the rule labeller, and which findings of this project are among them."""

import pytest

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics.chexpert import COMPETITION, MATCHES, chexpert_names, label_scores, sets
from medvlm_lab.text.labeller import CHEST, CHEXPERT, names, positive


def test_every_finding_is_matched_or_named_as_unmatched():
    assert set(names(CHEST)) - set(MATCHES) == {"hyperinflation"}
    assert set(MATCHES.values()) < set(names(CHEXPERT)) and len(names(CHEXPERT)) == 14
    assert set(COMPETITION) < set(names(CHEXPERT)) and len(COMPETITION) == 5 and len(sets()) == 2


def test_names_of_findings():
    assert chexpert_names(["pacemaker", "nodule"]) == {"Support Devices", "Lung Lesion"}
    assert chexpert_names(["pacemaker"]) == {"Support Devices", "No Finding"}
    assert chexpert_names([]) == chexpert_names(["hyperinflation"]) == {"No Finding"}


def test_the_labeller_reads_them_out_of_simulated_reports():
    data = lab.dataset("phantom:chest-xray", "validation", n=60)
    matched = set(MATCHES.values())
    for study in map(data.study, range(60)):
        assert positive(study.report, CHEXPERT) & matched == chexpert_names(study.findings) & matched, study.report


def test_scores_by_hand():
    written = ["Left effusion. No edema.", "The heart is enlarged.", "Pneumothorax on the left."]
    references = ["Right effusion and edema.", "Cardiomegaly.", "No pneumothorax."]
    scores = label_scores(written, references)
    # of five: effusion and cardiomegaly found, edema missed; others are neither there nor said
    assert scores["chexpert5"].micro == pytest.approx(4 / 5) and scores["chexpert5"].macro == pytest.approx(2 / 3)
    # of fourteen also: pneumothorax invented, "No Finding" missed
    assert scores["chexpert14"].micro == pytest.approx(4 / 7) and scores["chexpert14"].macro == pytest.approx(2 / 5)
    with pytest.raises(MedVLMError, match="give pairs"):
        label_scores(written, references[:1])

"""Every task runs on the published layouts as it does on simulated patients."""

import generated
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError, MissingDataError
from medvlm_lab.models.base import Answer, Report


class Knowing:
    """Knows the truth of each study by its picture's name, and always answers the first choice."""

    name = "knowing"

    def __init__(self, data):
        studies = [data.study(i) for i in range(getattr(data, "studies", 0))]
        self.known = {study.image().name: study for study in studies}
        self.places = {study.report: k for k, study in enumerate(studies)}

    def report(self, image):
        return Report(self.known[image.name].report)

    def encode_texts(self, texts):
        return torch.eye(len(self.places))[[self.places[text] for text in texts]]

    def encode_images(self, images):
        return self.encode_texts([self.known[image.name].report for image in images])

    def score_findings(self, images):
        found = ("cardiomegaly", "pulmonary edema")
        return {f: torch.tensor([float(f in self.known[i.name].findings) for i in images]) for f in found}

    def regress(self, images):
        quantity = "ejection_fraction_percent"
        return {quantity: torch.tensor([self.known[image.name].values[quantity] + 2 for image in images])}

    def answer_batch(self, images, questions):
        return [Answer(question.split("A: ")[1].split(" B: ")[0], 1.0) for question in questions]


def score(task, model, data):
    return {name: s.value for name, s in lab.evaluate(task, model, data, progress=False).scores.items()}


def test_reports(tmp_path):
    folder = generated.mimic_cxr(tmp_path)
    for file in (folder / "files").rglob("*.txt"):  # each report another one
        file.write_text(file.read_text().replace("nodule", f"nodule of {file.stem[1:]} mm"))
    data = lab.dataset(folder, "all")
    model = Knowing(data)
    found = score("report", model, data)
    assert found["rouge_l"] == found["bleu4"] == 1.0 and 0 < found["f1"] <= 1
    assert score("retrieval", model, data)["mcmrr"] == 1.0
    assert score("zero-shot", model, data)["auc"] == 1.0


def test_reports_after_examples(tmp_path):
    data = lab.dataset(generated.mimic_cxr(tmp_path), "all")
    model, seen = Knowing(data), []
    model.report_after = lambda images, shots: seen.extend(shots) or [model.report(image) for image in images]
    lab.evaluate("report", model, data, shots=2, progress=False)
    for number, own in enumerate(seen):
        names = [image.name for image, _ in own]
        assert len(set(names)) == 2 and data.study(number).image().name not in names
        assert all(text == f"findings: {model.known[image.name].report}" for image, text in own)
    with pytest.raises(MissingDataError, match=f"{data.studies} examples beside each study are too many"):
        data.examples(0, data.studies)


def test_studies_hold_no_questions(tmp_path):
    data = lab.dataset(generated.mimic_cxr(tmp_path), "all")
    with pytest.raises(MedVLMError, match="holds studies with reports, not questions; choose one such as vqa_rad"):
        score("vqa", Knowing(data), data)


def test_numbers(tmp_path):
    data = lab.dataset(generated.echonet_dynamic(tmp_path), "all")
    assert score("regression", Knowing(data), data)["mae"] == pytest.approx(2.0)


def test_questions(tmp_path):
    data = lab.dataset(generated.pmc_vqa(tmp_path), "test")
    assert score("vqa", Knowing(data), data)["closed"] == 0.0
    assert "Choices: A: Diffuse uptake B:" in data[0].question

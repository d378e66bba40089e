"""Widgets: each a pure function of a state to a picture, and a thin ipywidgets shell around it."""

from __future__ import annotations

__all__ = [
    "anatomy", "counterfactual", "embedding_map", "explain", "phantom_studio", "reader_study", "viewer", "vqa",
    "workbench",
]  # fmt: skip


def vqa(model, image="chest-xray-nodules", question: str | None = None):
    """Question a model about an image, live.

    Args:
        model: any `Answerer`, such as `lab.load("vit-bert-vqa")`.
        image: a `MedicalImage`, the name of a sample, or the path of an image file.
        question: asked at once, so that a saved notebook shows an answer too.

    Raises:
        MedVLMError: the model cannot answer questions, or the image cannot be read.
    """
    from medvlm_lab.widgets.vqa_shell import VQAWidget

    return VQAWidget(model, image, question)


def viewer(image="chest-xray-nodules"):
    """Look at an image: window by drag or preset, slices, cine, histogram, value under the pointer, what the file says.

    Args:
        image: a `MedicalImage`, the name of a sample, or the path of an image file.

    Raises:
        MedVLMError: the image cannot be read.
    """
    from medvlm_lab.widgets.viewer_shell import ViewerWidget

    return ViewerWidget(image)


def phantom_studio(phantom: str = "chest-xray", seed: int = 0):
    """Build a simulated patient: picture, masks, report and questions follow the sliders.

    Args:
        phantom: a name in `lab.phantoms.names()`.
        seed: the patient to begin with.

    Raises:
        UnknownNameError: no such phantom.
    """
    from medvlm_lab.widgets.studio_shell import StudioWidget

    return StudioWidget(phantom, seed)


def anatomy(model, image="chest-xray-nodules", question: str = "Is there cardiomegaly?"):
    """Follow one image and one question through a model, tensor by tensor.

    Args:
        model: any `Staged` model, such as `lab.load("vit-bert-vqa")`.
        image: a `MedicalImage`, the name of a sample, or the path of an image file.
        question: the first one; the widget takes others.

    Raises:
        MedVLMError: the model cannot be followed, or the image cannot be read.
    """
    from medvlm_lab.widgets.anatomy_shell import AnatomyWidget

    return AnatomyWidget(model, image, question)


def reader_study(cases=None, path=None, reader: str = "reader-1", readers=5, seed: int = 0):
    """Take part in a blinded reader study: prefer one of two reports, mark and correct their errors.

    Select text with the mouse or choose a sentence, then say what is wrong with it. When every case is answered, the
    results compare the answers with those of simulated readers. Export as CSV or JSON.

    Args:
        cases: a sequence of `lab.reader.Case`; by default six simulated patients with flamingo-cxr's own reports.
        path: a JSON file in which the study is saved after every answer, and from which it is resumed.
        reader: a code for who reads, no name.
        readers: how many simulated readers to compare with, or the `lab.reader.SimulatedReader`s themselves.
        seed: of the blinding and of the simulated readers.

    Raises:
        MedVLMError: cases that cannot be compared, or a file of another study.
    """
    from medvlm_lab.reader import Study, panel, simulated_cases
    from medvlm_lab.widgets.reader_shell import ReaderStudyWidget
    from medvlm_lab.widgets.reader_state import start

    study = Study(tuple(simulated_cases(progress=False) if cases is None else cases), reader, seed)
    return ReaderStudyWidget(start(study, panel(readers, seed) if isinstance(readers, int) else readers, path))


def embedding_map(embeddings, projection=None, color_by: str | None = None):
    """Explore images and texts on a map: hover, click, encircle, search by words or by an image file.

    A click selects a point and shows its picture, report, nearest rows and, where its patient has several images, the
    path from each to the next. `selection`, `ids`, `on_select` and `search` of the widget serve other cells.

    Args:
        embeddings: of `lab.embed.embed`, perhaps with `.texts()`.
        projection: of `lab.embed.project`; by default a UMAP.
        color_by: one of the widget's `choices`: a column, "finding: NAME" or "number: NAME".

    Raises:
        MedVLMError: there are too few vectors for a map, or the projection is of others.
        UnknownNameError: no such colour.
    """
    from medvlm_lab.widgets.embedding_shell import EmbeddingMapWidget

    return EmbeddingMapWidget(embeddings, projection, color_by)


def explain(model, image="chest-xray-nodules", text: str | None = None, masks=None):
    """See which part of an image gave a text its score: two methods side by side, layers, values under the pointer.

    Orange speaks for the text, blue against it. A word of what a model wrote shows what it looked at.

    Args:
        model: any `Explainable`, such as `lab.load("chexzero")`.
        image: a `MedicalImage`, the name of a sample, or the path of an image file.
        text: a question for a model that answers, a phrase for one that outlines; for one that compares a sentence, or
            a finding's name, which is asked with the model's own prompts.
        masks: true places by name, such as `phantom.masks([scene], size)` or `data.masks(number)`; drawn as an outline,
            and each map is compared with the one chosen.

    Raises:
        MedVLMError: the model shows nothing of its inside, the image cannot be read, or a mask has another size.
    """
    from medvlm_lab.widgets.explain_shell import ExplainWidget

    return ExplainWidget(model, image, text, masks)


def counterfactual(
    model, phantom: str = "chest-xray", text: str | None = None, seed: int = 0, patients: int = 48, change=None,
    encoder=None,
):  # fmt: skip
    """Change a simulated patient and watch answer, report, scores, map and place among other patients follow.

    No single teaching model has all of these: give an `encoder` to one that answers.

    Args:
        model: any model; what it cannot do is left out.
        phantom: a name in `lab.phantoms.names()`, of a modality that the model has seen.
        text: a question, prompt or phrase, as for `explain`.
        seed: the patient to begin with.
        patients: other simulated patients among whom this one lies, for a model that embeds images; 0 for none.
        change: made at once, so that a saved notebook shows a before and a now: a finding, such as "pleural effusion"
            or "left pleural effusion", taken out of a patient who has it, else put in; or numbers of the scene, such as
            `{"cardiothoracic_ratio": 0.62}`.
        encoder: an `ImageTextEncoder`, in whose space the patient's place is shown, with its scores.

    Raises:
        UnknownNameError: no such phantom, finding or number.
        MedVLMError: the model cannot read its images, or the scene refuses the change.
    """
    from medvlm_lab.widgets.counterfactual_shell import CounterfactualWidget

    return CounterfactualWidget(model, phantom, text, seed, patients, change, encoder)


def workbench(model, images, answerer=None, text: str | None = None, projection=None):
    """A map of images; the one clicked opens below it, explained and asked about.

    Args:
        model: an `ImageTextEncoder`, which lays the images out; explained, unless the answerer can be.
        images: a folder, a data set or a list, as for `lab.embed.embed`; or its result.
        answerer: an `Answerer` to ask; without one the model's zero-shot scores are shown.
        text: the first question or prompt.
        projection: of `lab.embed.project`; by default a UMAP.

    Raises:
        MedVLMError: the model embeds no images, or too few are given for a map.
    """
    from medvlm_lab.widgets.workbench_shell import WorkbenchWidget

    return WorkbenchWidget(model, images, answerer, text, projection)

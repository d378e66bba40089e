"""Widgets: each a pure function of a state to a picture, and a thin ipywidgets shell around it."""

from __future__ import annotations

__all__ = ["anatomy", "phantom_studio", "viewer", "vqa"]


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

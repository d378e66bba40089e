"""The published checkpoints that `lab.load` knows: what each is, how large, under which licence.

Sizes are rounded and licences shortened, entered by hand: the card on the hub decides, and most of these forbid
clinical use.
"""

from __future__ import annotations

from dataclasses import dataclass

ENCODER, ANSWERER = ("ImageTextEncoder", "Explainable"), ("Answerer", "Explainable")
REPORTING = ("Answerer", "Reporter", "Explainable")


@dataclass(frozen=True)
class Published:
    """A checkpoint on the hub.

    Attributes:
        repository: its name on the hub. kinds: what its folder may hold: "open_clip" or a transformers `model_type`.
        about: a line. capabilities: Protocols of `models.base`. size_gb: of the weights. licence: as its card says.
        gated: whether its licence must be accepted first. source: the paper.
        half: whether `size_gb` is of two bytes a number, not four.
        companions: (repository, pattern) pairs of further files that the libraries ask for.
        pickle: the weights' file where the hub has no safetensors; it is converted once fetched.
        note: what must be done before it can be loaded, if anything.
    """

    repository: str
    kinds: tuple[str, ...]
    about: str
    capabilities: tuple[str, ...]
    size_gb: float
    licence: str
    source: str
    gated: bool = False
    half: bool = False
    companions: tuple[tuple[str, str], ...] = ()
    pickle: str = ""
    note: str = ""

    def weigh(self, dtype: str) -> int:
        """Bytes that the weights take in memory as `dtype`, or as published if it is "auto"."""
        published = 2 if self.half else 4
        wanted = {"auto": published, "float32": 4}.get(dtype, 2)
        return int(self.size_gb * 1e9 * wanted / published)


BERT = ("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", "config.json")

PUBLISHED: dict[str, Published] = {
    "echo-clip": Published(
        "mkaichristensen/echo-clip", ("open_clip",), "EchoCLIP: echocardiograms and reports in one space", ENCODER,
        0.6, "academic use", "Christensen et al., Nat Med 2024", pickle="open_clip_pytorch_model.bin",
    ),
    "biomedclip": Published(
        "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", ("open_clip",),
        "BiomedCLIP: 15 million figures of biomedical papers", ENCODER, 0.8, "MIT", "Zhang et al., NEJM AI 2024",
        companions=(BERT,), pickle="open_clip_pytorch_model.bin",
    ),
    "clip": Published(
        "openai/clip-vit-base-patch32", ("clip", "open_clip"), "CLIP: 400 million images of the web", ENCODER, 0.6,
        "MIT", "Radford et al., ICML 2021",
    ),
    "siglip": Published(
        "google/siglip-base-patch16-224", ("siglip", "open_clip"), "SigLIP: CLIP with a sigmoid loss", ENCODER, 0.8,
        "Apache-2.0", "Zhai et al., ICCV 2023",
    ),
    "plip": Published(
        "vinid/plip", ("clip",), "PLIP: CLIP on pathology images of Twitter", ENCODER, 0.6, "not stated",
        "Huang et al., Nat Med 2023", pickle="pytorch_model.bin",
    ),
    "blip-vqa": Published(
        "Salesforce/blip-vqa-base", ("blip",), "BLIP fine-tuned on VQA v2", ANSWERER, 1.5, "BSD-3-Clause",
        "Li et al., ICML 2022",
    ),
    "instructblip": Published(
        "Salesforce/instructblip-flan-t5-xl", ("instructblip",), "InstructBLIP: ViT + Q-Former + Flan-T5", REPORTING,
        16.0, "MIT", "Dai et al., NeurIPS 2023",
    ),
    "idefics": Published(
        "HuggingFaceM4/idefics-9b-instruct", ("idefics",), "IDEFICS: an open Flamingo", REPORTING, 36.0,
        "IDEFICS (non-commercial, after LLaMA)", "Laurençon et al., NeurIPS 2023",
    ),
    "llava": Published(
        "llava-hf/llava-1.5-7b-hf", ("llava",), "LLaVA 1.5: CLIP + MLP + Vicuna", REPORTING, 14.1, "LLaMA 2",
        "Liu et al., CVPR 2024", half=True,
    ),
    "llava-med": Published(
        "microsoft/llava-med-v1.5-mistral-7b", ("llava",), "LLaVA-Med 1.5: LLaVA on figures of biomedical papers",
        REPORTING, 15.1, "Apache-2.0", "Li et al., NeurIPS 2023", half=True,
        note="It is published in its authors' own format: convert it with transformers' "
        "models/llava/convert_llava_weights_to_hf.py first.",
    ),
    "paligemma": Published(
        "google/paligemma-3b-mix-224", ("paligemma",), "PaliGemma: SigLIP + Gemma", ANSWERER, 5.8, "Gemma",
        "Beyer et al. 2024, arXiv:2407.07726", gated=True, half=True,
    ),
    "medgemma": Published(
        "google/medgemma-4b-it", ("gemma3",), "MedGemma: Gemma 3 on medical images and texts", REPORTING, 8.6,
        "Health AI Developer Foundations", "Sellergren et al. 2025, arXiv:2507.05201", gated=True, half=True,
    ),
    "clipseg": Published(
        "CIDAS/clipseg-rd64-refined", ("clipseg",), "CLIPSeg: segments what a phrase names",
        ("Segmenter", "Explainable"), 0.6, "Apache-2.0", "Lüddecke & Ecker, CVPR 2022",
    ),
}  # fmt: skip

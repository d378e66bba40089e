"""transformers checkpoints read from a folder: nothing missing, nothing random, no remote code."""

from __future__ import annotations

from pathlib import Path

from medvlm_lab.errors import CheckpointError, MissingDataError
from medvlm_lab.models.hub_files import check_finite, kind
from medvlm_lab.models.hub_memory import ran_out

LOCAL = {"local_files_only": True, "trust_remote_code": False}
# model_type → class; only these are ever built
CLASSES = {
    "clip": "CLIPModel",
    "siglip": "SiglipModel",
    "clipseg": "CLIPSegForImageSegmentation",
    "blip": "BlipForQuestionAnswering",
    "instructblip": "InstructBlipForConditionalGeneration",
    "idefics": "IdeficsForVisionText2Text",
    "llava": "LlavaForConditionalGeneration",
    "paligemma": "PaliGemmaForConditionalGeneration",
    "gemma3": "Gemma3ForConditionalGeneration",
}


def processor_of(folder: Path):
    """The image processor and tokenizer beside a checkpoint.

    Raises:
        MissingDataError: a file of theirs is missing. CheckpointError: one cannot be read.
    """
    from transformers import AutoProcessor

    wanted = {"tokenizer": ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.txt", "vocab.json"),
              "image processor": ("preprocessor_config.json", "processor_config.json")}  # fmt: skip
    for what, names in wanted.items():
        if not any((folder / name).is_file() for name in names):
            raise MissingDataError(f"{folder} has no {what} ({' or '.join(names)}); fetch the checkpoint again.")
    try:
        processor = AutoProcessor.from_pretrained(folder, **LOCAL)
    except Exception as error:  # a damaged file raises whatever its reader raises
        raise CheckpointError(f"The processor in {folder} cannot be read: {_said(error)}") from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise CheckpointError(
            f"The processor in {folder} is a {type(processor).__name__}: an image or text part is missing."
        )
    return processor


def read_transformers(folder: Path, tokenizer, dtype: str):
    """The model in a folder, in evaluation mode.

    Raises:
        CheckpointError: weights are missing, not finite or of other shapes, or the tokenizer is of another model.
    """
    import transformers

    cls = getattr(transformers, CLASSES[kind(folder)])
    try:
        model, report = cls.from_pretrained(
            folder, use_safetensors=True, dtype=dtype, output_loading_info=True, **LOCAL
        )
    except Exception as error:  # shapes that differ, settings that are impossible: whatever the library raises
        if ran_out(error):
            raise
        raise CheckpointError(f"The weights in {folder} do not make a {cls.__name__}: {_said(error)}") from error
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"The weights in {folder} lack {len(missing)} tensors of a {cls.__name__}, such as {missing[0]}; "
            "the checkpoint is of another class, or incomplete."
        )
    check_finite(model, folder)
    text = model.config.get_text_config()
    check_vocabulary(folder, tokenizer, text.vocab_size + getattr(text, "additional_vocab_size", 0))
    return model.eval()


def check_vocabulary(folder: Path, tokenizer, rows: int) -> None:
    """Raises CheckpointError for a tokenizer that cannot be the one of an embedding matrix with `rows` rows.

    A matrix may be padded; one of twice the vocabulary is not, and a tokenizer built from the wrong files is tiny.
    """
    if not rows / 2 <= len(tokenizer) <= rows:
        raise CheckpointError(
            f"The tokenizer in {folder} has {len(tokenizer):,} tokens, but the model's embedding has {rows:,} rows; "
            "they do not belong together: fetch the checkpoint again."
        )


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__

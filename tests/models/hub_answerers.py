"""Tiny random checkpoints of models that answer; see `hub_checkpoints`."""

from __future__ import annotations

import torch
from hub_checkpoints import SQUARE, TEXT, VISION, loud, tokenizer

IDS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
LLM = TEXT | IDS | {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512}


def blip(folder):
    import transformers as hf

    words = tokenizer("[CLS]", "[SEP]", cls_token="[CLS]", sep_token="[SEP]")
    text = TEXT | {"encoder_hidden_size": 16, "max_position_embeddings": 32, "vocab_size": len(words)}
    ids = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 5, "pad_token_id": 0}
    config = hf.BlipConfig(text_config=text | ids, vision_config=VISION, projection_dim=16)
    torch.manual_seed(0)
    loud(hf.BlipForQuestionAnswering(config)).save_pretrained(folder)
    hf.BlipProcessor(hf.BlipImageProcessor(size=SQUARE), words).save_pretrained(folder)


def instructblip(folder, t5=False):
    import transformers as hf

    words, questions = tokenizer("<s>", None), tokenizer("[CLS]", "[SEP]", cls_token="[CLS]", sep_token="[SEP]")
    processor = hf.InstructBlipProcessor(hf.BlipImageProcessor(size=SQUARE), words, questions, num_query_tokens=4)
    size = {"vocab_size": len(words)}
    if t5:
        text = hf.T5Config(
            d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0, eos_token_id=3,
            pad_token_id=0, **size,
        )  # fmt: skip
    else:
        text = hf.LlamaConfig(**LLM, **size)
    asked = TEXT | {"vocab_size": len(questions), "max_position_embeddings": 32, "encoder_hidden_size": 16}
    config = hf.InstructBlipConfig(
        vision_config=VISION, qformer_config=asked, text_config=text, num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(0)
    model = loud(hf.InstructBlipForConditionalGeneration(config))
    model.query_tokens.data.normal_()  # zeros at first, so that all queries are the same one
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def idefics(folder, resampler=False):
    import transformers as hf

    words = tokenizer("<s>", None, ("<fake_token_around_image>", "<image>"))
    vision = {"embed_dim": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}  # fmt: skip
    latents = {"use_resampler": True, "resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2}
    config = hf.IdeficsConfig(
        **TEXT, **IDS, vocab_size=len(words), additional_vocab_size=2, vision_config=vision, use_resampler=resampler,
        perceiver_config=latents | {"resampler_head_dim": 8}, max_position_embeddings=512, alpha_initializer="ones",
        cross_layer_interval=1,
    )  # fmt: skip
    torch.manual_seed(0)
    loud(hf.IdeficsForVisionText2Text(config)).save_pretrained(folder)
    hf.IdeficsProcessor(hf.IdeficsImageProcessor(image_size=32), words, image_size=32).save_pretrained(folder)


def llava(folder, mistral=False):
    import transformers as hf

    words = tokenizer("<s>", None, ("<image>",))
    text = hf.MistralConfig(sliding_window=None, **LLM) if mistral else hf.LlamaConfig(**LLM)
    text.vocab_size = len(words)
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**VISION), text_config=text,
        image_token_index=words.convert_tokens_to_ids("<image>"), vision_feature_layer=-2, image_seq_length=16,
    )  # fmt: skip
    torch.manual_seed(0)
    loud(hf.LlavaForConditionalGeneration(config)).save_pretrained(folder)
    images = hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE)
    hf.LlavaProcessor(
        images, words, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    ).save_pretrained(folder)


def paligemma(folder):
    import transformers as hf

    words = tokenizer(None, None)
    images = hf.SiglipImageProcessor(size=SQUARE)
    images.image_seq_length = 16
    processor = hf.PaliGemmaProcessor(images, words)  # adds its places and segments to the vocabulary
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION),
        text_config=hf.GemmaConfig(**LLM, vocab_size=len(words)),
        image_token_index=words.convert_tokens_to_ids("<image>"), projection_dim=16, hidden_size=16,
        vocab_size=len(words),
    )  # fmt: skip
    torch.manual_seed(0)
    loud(hf.PaliGemmaForConditionalGeneration(config)).save_pretrained(folder)
    processor.save_pretrained(folder)


def gemma3(folder):
    import transformers as hf

    marks = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    words = tokenizer("<s>", None, (*marks.values(), "<start_of_turn>", "<end_of_turn>"), extra_special_tokens=marks)
    ids = {key: words.convert_tokens_to_ids(mark) for key, mark in marks.items()}
    config = hf.Gemma3Config(
        text_config=hf.Gemma3TextConfig(**LLM, vocab_size=len(words), sliding_window=64, query_pre_attn_scalar=8),
        vision_config=hf.SiglipVisionConfig(**VISION), mm_tokens_per_image=4, boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"], image_token_index=ids["image_token"],
    )  # fmt: skip
    torch.manual_seed(0)
    loud(hf.Gemma3ForConditionalGeneration(config)).save_pretrained(folder)
    template = (
        "{{ bos_token }}{% for turn in messages %}<start_of_turn>user\n{% for part in turn['content'] %}"
        "{% if part['type'] == 'image' %}<start_of_image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
        "<end_of_turn>\n{% endfor %}<start_of_turn>model\n"
    )
    images = hf.Gemma3ImageProcessor(size=SQUARE)
    hf.Gemma3Processor(images, words, chat_template=template, image_seq_length=4).save_pretrained(folder)

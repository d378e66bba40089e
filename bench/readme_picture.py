"""The README's picture of three widgets, drawn from the cards that saved notebooks show.

    python bench/readme_picture.py        # writes notebooks/images/widgets.png
"""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

import medvlm_lab as lab
from medvlm_lab.widgets import explain_card, vqa_card
from medvlm_lab.widgets import explain_state as explained
from medvlm_lab.widgets import vqa_state as asked

OUT = Path(__file__).parents[1] / "notebooks" / "images" / "widgets.png"
QUESTION, FINDING, PATIENTS, LEFT, RIGHT = "Is there cardiomegaly?", "pleural effusion", 300, 690, 600


def question() -> bytes:
    """A real radiograph, a question and the answer."""
    image, model = lab.sample("chest-xray-nodules"), lab.load("vit-bert-vqa", device="cpu")
    state = asked.VQAState(image, model.name)
    *_, state = asked.ask(asked.show(state, image), model, QUESTION)
    return vqa_card.card_png(state)


def explanation() -> bytes:
    """Two maps of a bilateral finding with its true place on both sides."""
    model, chest = lab.load("chexzero", device="cpu"), lab.phantom("chest-xray")
    scenes = chest.sample(11, 600, part="test")
    patient = next(s for s in scenes if {f.kind for f in s.all_findings} == {FINDING, "pacemaker"})
    image = chest.image(patient, 384)
    state = explained.ExplainState(image, FINDING, explained.true_places(image, chest.masks([patient], 384)))
    methods = ["prompt-cam", "grad-cam"]
    state = explained.look(state, model, methods)
    return explain_card.card_png(state, methods, -1, explained.asked_place(state), model.name)


def atlas() -> bytes:
    """Simulated patients as the model places them."""
    model = lab.load("chexzero", device="cpu")
    made = lab.embed.embed(model, lab.dataset("phantom:chest-xray", "test", n=PATIENTS))
    return lab.widgets.embedding_map(made, color_by=f"finding: {FINDING}").png()


def on_white(png: bytes) -> Image.Image:
    card = Image.open(io.BytesIO(png)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", card.size, "white"), card).convert("RGB")


def main() -> None:
    cards = [on_white(png) for png in (question(), explanation(), atlas())]
    sized = [card.resize((w, round(card.height * w / card.width)), Image.Resampling.LANCZOS)
             for card, w in zip(cards, (LEFT, LEFT, RIGHT), strict=True)]  # fmt: skip
    whole = Image.new("RGB", (LEFT + RIGHT + 20, sized[0].height + sized[1].height + 20), "white")
    whole.paste(sized[0], (0, 0))
    whole.paste(sized[1], (0, sized[0].height + 20))
    whole.paste(sized[2], (LEFT + 20, (whole.height - sized[2].height) // 2))
    whole.save(OUT, optimize=True)


if __name__ == "__main__":
    main()

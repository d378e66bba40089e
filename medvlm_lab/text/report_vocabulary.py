"""The vocabulary of simulated reports: every word that they are written with, and every whole number as one token.

EchoCLIP-R reads reports through a tokenizer of its own, in which a measured value is one token beside the statement
that it belongs to (Christensen et al. 2024, Methods). Cut into pieces, as CLIP's tokenizer does, 62 and 26 are alike.
"""

from __future__ import annotations

import re

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import Grammar, forms
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN

LARGEST_NUMBER = 400  # millilitres of the widest ventricle, millimetres of the longest line
WRITTEN = ("sections", "ask")  # branches that hold no sentences of a report


def report_vocabulary(name: str, studies: int = 400) -> list[str]:
    """Tokens of one phantom's reports, special tokens first; words of held-out wordings are left out.

    name: of the phantom. studies: how many reports to read for the words that fill slots, such as sides and regions.
    """
    simulator, grammar = phantom(name), Grammar.of(name)
    texts = [
        form for branch in grammar.data if branch not in WRITTEN for pattern in grammar.all_patterns("usual", branch)
        for form in forms(re.sub(r"<[^>]+>", " ", pattern))
    ]  # fmt: skip
    texts += [str(simulator.report(scene)) for scene in simulator.sample(0, studies)]
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()) if not word.isdigit()}
    return [PAD, UNKNOWN, START, END, *map(str, range(LARGEST_NUMBER + 1)), *sorted(words)]

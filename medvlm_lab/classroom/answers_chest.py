"""The exercises of chapters 08 and 10, the models that report on chest X-rays; see `answers`."""

from __future__ import annotations

import math

from medvlm_lab.classroom.exercises import Exercise


def _config(name: str):
    from medvlm_lab.models import load

    return load(name).module.config


CHEST: dict[str, Exercise] = {
    "08.1": Exercise(
        question="clinical-blip reads a picture twice as wide and high, so with four times the patches. How many soft "
        "tokens does its Q-Former hand to the language model?",
        answer=lambda: _config("clinical-blip").queries,
        why="One for each learned query, whatever the number of patches: they are only looked at.",
        hint="What goes before the words: the patches, or what looked at them?",
        mistakes=lambda: {4 * _config("clinical-blip").queries: "The queries are learned; a picture adds none."},
    ),
    "08.2": Exercise(
        question="All queries of a Q-Former start at zero and are trained without dropout. How many different soft "
        "tokens does it hand on after training?",
        answer=1,
        why="Equal queries see the same and get the same gradient: they stay equal, and do the work of one.",
        hint="Two queries with the same numbers: do they attend differently? Is their gradient different?",
        mistakes={16: "They would have to differ at some time; what would make the first difference?",
                  0: "They move away from zero, but all in the same way."},
    ),
    "08.3": Exercise(
        question="A test set's tags were extracted from its own reports and are given to the model. Does its F1 of the "
        "findings show how well it sees: 'yes' or 'no'?",
        answer="no",
        why="The findings were in the prompt: the score shows how well they are put into sentences.",
        hint="Could a model that is shown a black square reach the same score?",
        mistakes={"yes": "Cover the picture: the tags still name every finding."},
    ),
    "10.1": Exercise(
        question="A prompt holds four examples and the patient, each with a picture. How many latents does a word of "
        "the patient's report see in flamingo-cxr?",
        answer=lambda: _config("flamingo-cxr").latents,
        why="Those of the latest picture only. The examples' pictures reach it through the examples' words at most.",
        hint="Which pictures does a word see: all before it, or the latest?",
        mistakes=lambda: {5 * _config("flamingo-cxr").latents: "A word sees the latest picture, not all of them."},
    ),
    "10.2": Exercise(
        question="A gate stands at g = -0.5 after training, its twin in another run at g = 0.5. How many per cent of "
        "the attention's output do they let through, in size?",
        answer=100 * math.tanh(0.5),
        why="|tanh(0.5)| = 0.462, so 46.2 %. The sign is free: the layers behind the gate can turn it around.",
        hint="The gate multiplies by tanh(g).",
        mistakes={50: "The gate is tanh(g), not g.", 0: "A gate is closed at g = 0 only.",
                  -46.2: "In size; the sign can be turned around by the layer itself."},
    ),
    "10.3": Exercise(
        question="Of a study's cases 24.8 % have errors in both reports, the clinician's and the model's, 22.8 % in "
        "the model's only, 14.0 % in the clinician's only. In how many per cent does the model's report have some?",
        answer=47.6,
        why="24.8 + 22.8 = 47.6 %, against 24.8 + 14.0 = 38.8 % of the clinicians' reports.",
        hint="Which of the three groups of cases hold a model's report with errors?",
        mistakes={22.8: "Those where it is alone; the cases with errors in both come on top.",
                  38.8: "That is for the clinician's report.", 61.6: "That is where either of the two has errors."},
    ),
}

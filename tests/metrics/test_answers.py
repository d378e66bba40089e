"""Which answers count as the same: by case, and whatever text is given."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import exact_match, normalize_answer, sentence_bleu1, token_recall

DIFFERENT = [
    ("-3 HU", "3 HU"), ("≥5", "≤5"), ("HER2-", "HER2"), ("ER-", "ER"), ("hepatitis A", "hepatitis"),
    ("blood type A", "blood type"), ("A-P", "P"), ("4,5 cm", "45 cm"), ("10³", "103"), ("±5", "5"), ("5", "5 cm"),
    ("5 cm", "5 mm"), ("5-10", "510"), ("5-10", "5 10"), ("5-10", "5"), ("1:2", "12"), ("1/2", "12"), ("½", "12"),
    ("2½", "21/2"), ("10⁻³", "10³"), ("10^3", "10 3"), ("vitamin A deficiency", "vitamin deficiency"),
    ("hepatitis a virus", "hepatitis virus"), ("A and B", "B"), ("ER+", "ER"), ("ER+", "ER-"), ("HER2+", "HER2-"),
    ("Rh-", "Rh+"), (">5", "<5"), ("~5", "5"), ("5%", "5"), ("0.5", "5"), (".5", "5"), ("50%", "0.5"),
    ("-0.5", "0.5"), ("−3", "3"), ("–3", "3"), ("<5", "5"), ("3rd", "3"), ("1st", "1"), ("twenty one", "20 1"),
    ("120/80", "12080"), ("5/5", "1"), ("1+", "1"), ("↑", "↓"), ("♂", "♀"), ("mg/dl", "mg"), ("5 mg/dl", "5 mg dl"),
    ("type a", "type"), ("group A", "group"), ("37°C", "37"), ("90°", "90"), ("5\"", "5'"), ("2x", "2"),
    ("yes", "no"), ("1,000", "1"), ("1.000,5", "1"), ("T1", "T2"), ("L4-L5", "L4"), ("-", "+"),
    ("grade 2", "grade 3"), ("not normal", "normal"), ("3-4", "-4"), ("10^6", "106"), ("stage A", "stage"),
    ("≥ 5 cm", ">5 cm"), ("≠5", "5"), ("x²", "x"), ("5 × 10³", "5 × 103"), ("a", "b"), ("A", "an"),
    ("left", "left and right"), ("5'", "5"), ("≥5", "5"), ("0,5", "05"), ("vitamin a", "vitamin"), ("-5", "5"),
]  # fmt: skip
SAME = [
    ("< 5%", "<5%"), ("4.5cm", "4.5 cm"), ("xray", "x-ray"), ("2.0", "2"), ("Yes</s>", "yes"), ("P.A.", "PA"),
    ("x ray", "x-ray"), ("X-Rays", "xrays"), ("A/P", "AP"), ("A-P", "AP"), ("P. A.", "PA"), ("A.P", "AP"),
    ("haemorrhage", "hemorrhage"), ("Hæmorrhage", "haemorrhage"), ("tumour", "tumor"), ("oesophagus", "esophagus"),
    ("grey matter", "gray matter"), ("leukaemia", "leukemia"), ("anaemia", "anemia"), ("paediatric", "pediatric"),
    ("fibre", "fiber"), ("centre", "center"), ("millimetres", "millimeters"), ("colour", "color"),
    ("ischaemic", "ischemic"), ("diarrhoea", "diarrhea"), ("foetus", "fetus"), ("caecum", "cecum"),
    ("localised", "localized"), ("calcification.", "Calcification"), ("dilated", "dilated"), ("yes.", "Yes,"),
    ("\"yes\"", "yes"), ("'yes'", "yes"), ("(yes)", "yes"), ("[yes]", "yes"), ("“Yes”", "yes"), ("Yes!", "yes"),
    ("**Yes**", "yes"), ("yes\n", "yes"), ("<s>yes</s>", "yes"), ("[CLS] yes [SEP]", "yes"), ("yes<|im_end|>", "yes"),
    ("yes<|eot_id|>", "yes"), ("yes<end_of_turn>", "yes"), ("<pad>yes<pad><pad>", "yes"), ("<bos>yes<eos>", "yes"),
    ("▁yes", "yes"), ("Ġyes", "yes"), ("yes<｜end▁of▁sentence｜>", "yes"), ("yes<end_of_utterance>", "yes"),
    ("<|im_start|>assistant\nyes<|im_end|>", "yes"), ("[INST]yes[/INST]", "yes"), ("<unk>yes", "yes"),
    ("yes [PAD] [PAD]", "yes"), ("<extra_id_0> yes", "yes"), ("½", "0.5"), ("1/2", "½"), ("¼", "0.25"), ("2½", "2.5"),
    ("2 1/2", "2.5"), ("⅓", "1/3"), ("50 percent", "50%"), ("50 per cent", "50 %"), ("fifty percent", "50%"),
    ("twenty-one", "21"), ("twenty one", "21"), ("ninety-nine", "99"), ("twenty-first", "21st"), ("second", "2nd"),
    ("one hundred", "100"), ("a hundred", "100"), ("hundredth", "hundredth"), ("twelfth", "12th"),
    ("thirtieth", "30th"), ("1,000", "1000"), ("1 000", "1000"), ("10,000.50", "10000.5"), ("0,5", "0.5"),
    ("5-10", "5–10"), ("5 - 10 cm", "5-10 cm"), ("5 to 10 cm", "5-10cm"), ("5 – 10", "5-10"), ("≥5", ">=5"),
    ("≥ 5", "≥5"), ("≤5 mm", "<= 5mm"), ("± 5", "±5"), ("+/- 5", "±5"), ("−3", "-3"), ("3 × 4 cm", "3x4cm"),
    ("3 x 4 cm", "3×4 cm"), ("µm", "μm"), ("5 um", "5 µm"), ("10³", "10^3"), ("cm²", "cm2"), ("cm^2", "cm2"),
    ("CO₂", "CO2"), ("37 °C", "37°C"), ("37 degrees Celsius", "37°C"), ("90°", "90 degrees"),
    ("β-blocker", "beta blocker"), ("Crohn’s", "Crohn's"), ("Crohn's", "Crohns"), ("non-small cell", "nonsmall cell"),
    ("non small cell", "non-small cell"), ("pre-operative", "preoperative"), ("sub-dural", "subdural"),
    ("T1-weighted", "T1 weighted"), ("5-mm", "5 mm"), ("the left lung", "left lung"), ("a mass", "mass"),
    ("an effusion", "effusion"), ("There is a mass", "there is mass"), ("shows a mass", "shows mass"),
    ("heart & lungs", "heart and lungs"), ("left- and right-sided", "left and right sided"), ("ＣＴ", "CT"),
    ("ﬁbrosis", "fibrosis"), ("café-au-lait", "cafe au lait"), ("Müller", "Muller"), ("naïve", "naive"),
    ("M.R.I.", "MRI"), ("n/a", "NA"), ("right/left", "right left"), ("L4/L5", "L4-L5"), ("&lt;5%", "<5%"),
    ("1.5T", "1.5 T"), ("10X", "10x"), ("10 x", "10x"), ("ER +", "ER+"), ("HER2 −", "HER2-"), ("HER2−", "HER2-"),
    ("two", "2"), ("2.50", "2.5"), (".5", "0.5"), ("05", "5"), ("5.", "5"), (True, "yes"), (False, "no"), (2.0, "2"),
    (3, "three"), ("3 cm.", "3cm"), ("１２", "12"), ("٣", "3"), ("labelled", "labeled"), ("oestrogen", "estrogen"),
    ("catheterisation", "catheterization"), ("aetiology", "etiology"), ("dyspnoea", "dyspnea"),
    ("sulphate", "sulfate"), ("behaviour", "behavior"), ("two hundred and five", "205"), ("5'", "5′"), ("5\"", "5″"),
    ("left;right", "left, right"), ("post-op", "post op"), ("post-op", "postop"), ("mid-line", "midline"),
    ("follow-up", "follow up"), ("C-spine", "c spine"), ("orthopaedic", "orthopedic"), ("4,5 cm", "4.5 cm"),
    ("first", "1st"), ("left and right", "left & right"), ("Sjögren", "Sjogren"), ("1/2", "0.5"), ("50 %", "50%"),
    ("thirteen", "13"), ("AP view", "A.P. view"), ("Yes<|endoftext|>", "yes"), ("3rd", "third"), ("oedema", "edema"),
]  # fmt: skip
PIECES = (
    "a A an the - + / . , \' \" % < > = ≥ ± ½ ³ 0 1 5 10 000 x mm hepatitis one twenty hundred first post non & ( ) é "
    "ß æ ° : ^ _ | </s> to and left β ′ t per haem ise &lt; *"
).split()


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_means_something_else_differs(one, other):
    assert not exact_match(one, other) and not exact_match(other, one)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_is_equal(one, other):
    assert exact_match(one, other) and exact_match(other, one)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*PIECES, " ", "  "]), max_size=10).map("".join))
def test_normalising_is_stable_and_takes_no_notice_of_case_and_blanks(text):
    once = normalize_answer(text)
    assert normalize_answer(once) == once == normalize_answer(f" {text}\n")
    assert normalize_answer(text.upper()) == normalize_answer(text.lower())


@pytest.mark.parametrize("number", [*range(130), 205, 999])
def test_numbers_in_words(number):
    from medvlm_lab.metrics.answers import FIRST, ONES, TENS

    ones, tens = number % 10, number // 10 % 10
    small = ONES[number % 100] if number % 100 < 20 else TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")
    words = small if number < 100 else f"{ONES[number // 100]} hundred" + (f" and {small}" if number % 100 else "")
    assert exact_match(words, str(number)) and exact_match(f"{words} nodules", f"{number} nodules")
    if 0 < number < 20:
        assert normalize_answer(FIRST[number]).startswith(str(number)) and not exact_match(FIRST[number], str(number))


def test_a_boolean_is_yes_or_no_and_nothing_is_no_answer():
    assert exact_match(True, "Yes") and exact_match(np.bool_(False), "no") and not exact_match(1, True)
    assert exact_match(2.0, "two") and exact_match(np.float32(4.5), "4,5") and exact_match(np.int64(3), "3")
    for nothing in (None, math.nan, math.inf, [], ["yes"], b"yes"):
        for measure in (exact_match, token_recall, sentence_bleu1):
            with pytest.raises(MedVLMError, match="is no answer"):
                measure(nothing, "yes")
            with pytest.raises(MedVLMError, match="is no answer"):
                measure("yes", nothing)


@pytest.mark.parametrize("piece", ["<", "a.", "1,", "'", "one hundred ", "5 - ", "1/", "([", "-"])
def test_long_nonsense_takes_no_long_time(piece):
    import time

    start = time.process_time()
    normalize_answer(piece * 2000)
    assert time.process_time() - start < 2

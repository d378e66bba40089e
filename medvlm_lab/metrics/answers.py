"""Answers reduced to what counts as their content, so that "4,5cm" equals "4.5 cm", and "≥5" does not equal "5".

Left alone, and so different: synonyms ("CT" and "computed tomography", "none" and "0"), plurals, Roman numerals, units
converted into others, and comparisons in words ("more than 5" and ">5").
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np

from medvlm_lab.errors import ScoreError
from medvlm_lab.metrics.spelling import american

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
FIRST = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()
#: After these a lone "a" is a name, not an article: hepatitis A, segment A.
NAMED_BY_LETTER = frozenset(
    "hepatitis vitamin type group class grade stage blood influenza flu hemophilia segment zone label labeled letter "
    "point arrow figure panel option choice image structure region area part category protein factor immunoglobulin "
    "toxin level phase box marker number line slide streptococcus strep cyclosporin apolipoprotein stanford weber pugh "
    "score subtype serotype side quadrant field row column".split()
)
#: Before these, too: "A and B", "A is larger".
AFTER_A_LETTER = frozenset("and or vs versus is are was to not but than".split())
PREFIXES = (
    "non|pre|post|sub|intra|inter|infra|supra|peri|hyper|hypo|anti|semi|multi|ultra|retro|para|bi|uni|micro|macro|trans"
)
UNITS = (
    "mm|cm|dm|m|km|μm|um|nm|ml|dl|cl|l|cc|kg|g|mg|μg|ug|mcg|ng|pg|hu|kvp|kv|mas|ma|hz|khz|mhz|kpa|mmhg|bpm|mgy|gy|msv|"
    "sv|mbq|gbq|bq|mci|mmol|mol|iu|t|ms|s|sec|min|h|hr|hrs|hours?|days?|weeks?|wks?|months?|mo|years?|yrs?|yo|y|px|"
    "pixels?|x|f|c|ppm|db"
)
UNIT_NAMES = {"um": "μm", "ug": "μg", "mcg": "μg", "celsius": "c", "fahrenheit": "f"}
GREEK = dict(zip("αβγδεκλω", "alpha beta gamma delta epsilon kappa lambda omega".split(), strict=True))
SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True))
SIGNS = str.maketrans(
    dict.fromkeys("−‐‑‒–—―﹣－", "-")
    | dict.fromkeys("’‘‛′´`ʼ", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | {"⩾": "≥", "≧": "≥", "⩽": "≤", "≦": "≤", "≈": "~", "≃": "~", "∼": "~", "⁄": "/", "∕": "/", "×": "x", "✕": "x",
       "ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "&": " and ", "_": " ", "º": "°", "˚": "°"}
    | {letter: f" {name} " for letter, name in GREEK.items()}
)  # fmt: skip
#: What tokenizers put around an answer, such as </s>, <|im_end|>, [SEP], <end_of_turn>, and the marks of pieces.
SPECIAL = re.compile(
    r"(?:<\|(?:im_start|start_header_id)\|>|<start_of_turn>)(?:assistant|model|user|system)\b"
    r"|<[|｜][^<>]{1,40}[|｜]>"
    r"|</?(?:s|pad|unk|bos|eos|cls|sep|mask|image|img|img_context|extra_id_\d+|end_of_text|endoftext|answer"
    r"|(?:start|end)_of_(?:turn|image|utterance|text)|fake_token_around_image|end_of_utterance|row_\d+_col_\d+)>"
    r"|\[/?(?:cls|sep|pad|unk|mask|inst|bos|eos|dec|enc)\]"
    r"|[▁ĠĊ]",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]+);", re.IGNORECASE)
_N = r"\d+(?:\.\d+)*"
_TOKEN = re.compile(
    rf"(?:(?:[<>]=|[<>≤≥~±≠])\s*){{0,3}}(?:(?<![\w)])[+-])?(?<![^\W\d]){_N}(?:\^[+-]?\d+)?(?:[/:-]{_N}(?!\w)|/(?:{UNITS})(?!\w))*(?:%|‰|['\"]|\++)?"
    r"(?!\w)"
    r"|[^\W_]+(?:/[^\W_]+)?(?:\^[+-]?\d+)?(?:\++|-(?!\w))?"
    r"|[<>]=|[<>≤≥~±≠+%‰°↑↓←→♂♀∞∅√/]"
)


def normalize_answer(text: Any) -> str:
    """An answer reduced to its content: lower case, plain letters and digits, one way to write each number.

    Equal become: Unicode forms and accents (Sjögren, Sjogren), British and American spellings (oedema, edema),
    punctuation, quotes, brackets, and what a tokenizer adds (</s>); initials (P.A., A-P, PA), hyphens (x-ray, xray),
    "&" and "and"; numbers, also in words up to 999 (thirteen, 13; third, 3rd), with decimal comma (4,5 = 4.5),
    thousands (1,000), fractions (½ = 1/2 = 0.5), percent, blanks before units, ranges (5 to 10 = 5–10).
    Different stay: signs (-3, ±5, ≥5, <5%, 5'), powers (10³), receptor states (ER-, HER2+), letters that name
    something (vitamin A); "a", "an" and "the" are dropped otherwise, unless nothing else is left.

    A boolean is yes or no. Raises ScoreError for None, NaN and what is neither text nor number.
    """
    if isinstance(text, str):
        return _normalized(text)
    if isinstance(text, bool | np.bool_):
        return "yes" if text else "no"
    if isinstance(text, int | float | np.integer | np.floating) and math.isfinite(text):
        return _normalized(f"{text:f}" if isinstance(text, float | np.floating) and abs(text) > 1e-3 else str(text))
    raise ScoreError(f"{text!r} is no answer; give a text, and leave out questions without one.")


@lru_cache(maxsize=65536)
def _normalized(text: str) -> str:
    """Until nothing changes: what one step frees, such as a blank, may complete what another looks for."""
    for _ in range(8):
        before, text = text, " ".join(_words(_numbers(_characters(text))))
        if before == text:
            break
    return text


def _characters(text: str) -> str:
    """Lower case, without accents and special tokens; each sign in one form."""
    text = SPECIAL.sub(" ", _ENTITY.sub(lambda m: html.unescape(m[0].lower()), text))
    if not text.isascii():
        text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)  # 10 000 with a thin blank
        text = re.sub(r"(\d)?\s?([¼½¾⅐-⅞])", _vulgar, text)
        text = re.sub(r"(?<=\d)([⁰¹²³⁴-⁹⁻⁺]+)", lambda m: "^" + "".join(map(SUPERSCRIPT.get, m[1])), text)
        text = re.sub(r"[⁻⁺][⁰¹²³⁴-⁹]+", lambda m: "^" + "".join(map(SUPERSCRIPT.get, m[0])), text)
        text = unicodedata.normalize("NFKC", text.translate(SIGNS))
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)
    text = unicodedata.normalize("NFKD", text.casefold())
    text = re.sub(r"(?<=[a-z])[\u0300-\u036f]+", "", text)  # accents of Latin letters: in other scripts they count
    text = unicodedata.normalize("NFKC", text).translate(SIGNS)
    return SPECIAL.sub(" ", text)


def _vulgar(match: re.Match) -> str:
    """½ as 0.5, 2½ as 2.5; thirds and the like as 1/3."""
    value = unicodedata.numeric(match[2])
    if (value * 1000) % 1:
        return f"{match[1] or ''} " + unicodedata.normalize("NFKC", match[2]).replace("⁄", "/")
    return f"{int(match[1] or 0) + value:g}" if match[1] else f"{value:g}"


def _numbers(text: str) -> str:
    """Numbers, units, signs and initials, each written in one way."""
    text = re.sub(r"\+\s?/\s?-|\+-(?=\s?\d)", "±", text)
    text = re.sub(r"''", '"', text)
    for quote in "\"'":  # around a word or a number, not feet and inches
        text = re.sub(rf"(?<!\w){quote}([^{quote}]*){quote}(?!\w)", r" \1 ", text)
    text = re.sub(r"(?<=\d)'(?=\d{3}(?!\d))|(?<!\d)'|'(?=\w)", "", text)
    text = re.sub(r"(?<![\w.,])\.(?=\d)", "0.", text)
    continental = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{3})+,\d+(?![\w,])")
    text = continental.sub(lambda m: m[0].replace(".", "").replace(",", "."), text)
    text = re.sub(r"(?<![\w.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])", lambda m: m[0].replace(",", ""), text)
    text = re.sub(r"(?<![\w.,])([1-9]\d{0,2}) (?=000(?![\w.,]))", r"\1", text)
    text = re.sub(r"(?<![\w.,])(\d+),(\d+)(?![\d,]|\.\d)", r"\1.\2", text)
    text = _number_words(text)
    text = re.sub(r"(?<=\w)\s*/\s*(?=\w)", "/", text)
    text = re.sub(r"(?:(?<![\w./])(\d+)[\s-]+)?(?<![\w/.])(\d)/([1-9]\d?)(?![\w/.])", _fraction, text)
    text = re.sub(r"(?<=\d)\s*(?:%|(?:percent|per cent|pct)\b\.?)", "%", text)
    text = re.sub(r"(?<=\d)\s*(?:°|deg(?:rees?)?\b)", " degrees ", text)
    text = re.sub(r"(?<=degrees)\s+(celsius|fahrenheit)\b", lambda m: " " + UNIT_NAMES[m[1]], text)
    text = re.sub(r"(?<=\d)\s*[x*]\s*(?=\d)", " x ", text)
    text = re.sub(rf"(?<![^\W\d])(\d)-?({UNITS})\b", r"\1 \2", text)
    text = re.sub(r"(?<=\d )(um|ug|mcg)\b", lambda m: UNIT_NAMES[m[1]], text)
    text = re.sub(r"(?<![\w.-])(\d[\d.]*%?)(?:\s*-\s+|\s+-\s*(?=\d)(?<=\s-\s)|\s+to\s+)(?=\d)", r"\1-", text)
    text = re.sub(r"(?<=\d)\s*:\s*(?=\d)", ":", text)
    text = re.sub(r"(?<!\w)(?:[a-z]\.\s?){2,}(?!\w)|(?<!\w)(?:[a-z]\.)+[a-z](?!\w)", _initials, text)
    text = re.sub(r"(?<!\w)[a-z](?:[/-][a-z])+(?!\w)", _initials, text)
    text = re.sub(rf"(?<![a-z])({PREFIXES})[\s-]+(?=[a-z]{{2}})", r"\1", text)
    text = re.sub(r"(?<!\w)(x[\s-]+(?=rays?\b)|[ctl][\s-]+(?=spine\b)|follow[\s-]+(?=up\b)|mid[\s-]+(?=line\b))",
                  lambda m: re.sub(r"[\s-]", "", m[0]), text)  # fmt: skip
    text = re.sub(r"(?<![^\W_])([^\W_]{1,6})\s+([+-])\s*$", r"\1\2", text)  # ER +
    return re.sub(r"(?<=[a-z])\^(?=\d)", "", text)  # cm^2 as cm2


def _initials(match: re.Match) -> str:
    letters = re.sub(r"[^a-z]", "", match[0])
    return f"{letters} " if match[0][-1].isspace() else letters


def _fraction(match: re.Match) -> str:
    """1/2 as 0.5 and 2 1/2 as 2.5; 1/3 stays, as does 5/5, which is a grade."""
    above, below = int(match[2]), int(match[3])
    exact = 1000 * above % below == 0 and 0 < above < below and math.gcd(above, below) == 1
    return f"{int(match[1] or 0) + above / below:g}" if exact else match[0]


_SMALL = {word: i for i, word in enumerate(ONES)} | {word: 10 * i for i, word in enumerate(TENS, 2)}
_ORDINAL = {word: i for i, word in enumerate(FIRST)} | {w[:-1] + "ieth": 10 * i for i, w in enumerate(TENS, 2)}
_BELOW_HUNDRED = (
    rf"(?:(?:{'|'.join(TENS)})[\s-]+(?:{'|'.join((*ONES[1:10], *FIRST[1:10]))})"
    rf"|{'|'.join(sorted((*_SMALL, *_ORDINAL), key=len, reverse=True))})"
)
_IN_WORDS = re.compile(
    rf"\b(?:(?:(?P<hundreds>a|{'|'.join(ONES[1:10])})[\s-]+hundred(?P<th>th)?\b(?:(?:\s+and)?[\s-]+(?P<rest>{_BELOW_HUNDRED})\b)?)"
    rf"|(?P<below>{_BELOW_HUNDRED})\b)"
)


def _number_words(text: str) -> str:
    """Numbers in words as digits, ordinals as 1st, 2nd, 3rd, 4th."""

    def digits(match: re.Match) -> str:
        hundreds = match["hundreds"]
        value = 100 * (1 if hundreds == "a" else _SMALL.get(hundreds, 0))
        words = re.split(r"[\s-]+", match["below"] or match["rest"] or "zero")
        value += sum(_SMALL.get(word, _ORDINAL.get(word, 0)) for word in words)
        ordinal = words[-1] in _ORDINAL or match["th"]
        return f"{value}{_ending(value)}" if ordinal else str(value)

    return _IN_WORDS.sub(digits, text)


def _ending(value: int) -> str:
    return "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _words(text: str) -> list[str]:
    """The tokens, without articles."""
    words = [american(_plain(token)) for token in _TOKEN.findall(text)]
    kept = [w for i, w in enumerate(words) if not _article(words, i)]
    return kept or words


def _plain(token: str) -> str:
    """A token without blanks inside; 2.0 as 2, 05 as 5, ≥ for >=."""
    token = re.sub(r"\s", "", token).replace(">=", "≥").replace("<=", "≤")
    if token[-1] == "-" and (len(token) > 6 or token[:-1] in ("left", "right", "upper", "lower", "yes", "no")):
        token = token[:-1]  # not a receptor: "left- and right-sided"
    if "/" in token and not token[0].isdigit() and not re.fullmatch(rf"(?:{UNITS})/(?:{UNITS})", token):
        token = token.replace("/", " ")
    if not any(c.isdigit() for c in token) or (token[0].isalpha()):
        return token
    return re.sub(r"(?<![\d.])0*(\d+)(\.\d+)?(?![\d.])", lambda m: m[1] + (m[2] or "").rstrip("0").rstrip("."), token)


def _article(words: list[str], i: int) -> bool:
    if words[i] == "the":
        return True
    if words[i] not in ("a", "an") or i + 1 == len(words):
        return False
    after = words[i + 1]
    letter = after in AFTER_A_LETTER or (len(after) == 1 and after.isalpha())
    return not letter and (i == 0 or words[i - 1] not in NAMED_BY_LETTER)

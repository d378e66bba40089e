"""British spellings of medical words, as the American data sets write them."""

from __future__ import annotations

import re
from functools import lru_cache

#: Pattern → replacement, each tried on a word in lower case.
RULES = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"haem", "hem"), (r"aem(?=i[ac])", "em"), (r"oedem", "edem"), (r"oesoph", "esoph"), (r"oestr", "estr"),
        (r"foet", "fet"), (r"faec", "fec"), (r"caec", "cec"), (r"paed", "ped"), (r"gynaec", "gynec"),
        (r"anaes", "anes"), (r"aetiol", "etiol"), (r"rrhoea", "rrhea"), (r"pnoea", "pnea"), (r"coeliac", "celiac"),
        (r"caesar", "cesar"), (r"manoeuv", "maneuv"), (r"(?<=man)euvre", "euver"), (r"amoeb", "ameb"),
        (r"homoeo", "homeo"), (r"synaes", "synes"), (r"encephalaem", "encephalem"), (r"praecord", "precord"),
        (r"perinae", "perine"), (r"^aesthet", "esthet"), (r"naevus|naevi", "nevus"), (r"sulph", "sulf"),
        (r"^grey", "gray"), (r"^mould", "mold"), (r"^aluminium", "aluminum"), (r"^programme$", "program"),
        (r"^(tum|col|lab|od|hum|rum|vap|fav|harb|neighb|behavi)our", r"\1or"),
        (r"(?<=non)tumour|(?<=anti)tumour|(?<=dis)colour", lambda m: m[0][:-2] + "r"),
        (r"^(cent|fib|tit|calib|lit|spect|(?:centi|milli|kilo|micro|nano)?met|(?:milli|deci)lit)re(?=s?$|d$)", r"\1er"),
        (r"erd$", "ered"),
        (r"^(label|channel|signal|travel|tunnel|model|level|cancel|dial|fuel|total)l(?=ed$|ing$|er$)", r"\1"),
        (r"(?<=[a-z]{3})is(?=e[ds]?$|ing$|ations?$|able$)", "iz"), (r"(?<=[a-z]l)ys(?=e[ds]?$|ing$)", "yz"),
    )
]  # fmt: skip


@lru_cache(maxsize=65536)
def american(word: str) -> str:
    """A word in lower case with its British spelling, if it has one, made American: oedema becomes edema."""
    if word.isascii() and word.isalpha() and len(word) > 3:
        for pattern, new in RULES:
            word = pattern.sub(new, word)
    return word

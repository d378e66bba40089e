"""Which questions are closed: to be answered by yes or no."""

from __future__ import annotations

import re

_OPENING = re.compile(
    r"(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|shall|should|may|might|must)(?:n['’]?t)?\b"
)
_REQUEST = re.compile(  # "Can you describe ...?" asks for a text
    r"\w+(?:n['’]t)? you (?:please )?"
    r"(?:describe|tell|show|name|list|explain|say|give|point|identify|summari[sz]e|write)\b"
)
_CHOICE = re.compile(r"\bor\b(?! (?:not|no)\b)")
_EXISTS = re.compile(r"(?:is|are|was|were)(?:n['’]?t)? there\b")  # "Is there an effusion or a nodule?" stays closed
_ASIDE = re.compile(r"^(?:(?:and|so|but|also|please|now)\b[, ]*|(?:in|on|at|from|based on) [^,?]{1,60}, *)+")


def closed(question: str) -> bool:
    """Whether a question opens as one to be answered by yes or no and offers no choice ("Is it left or right?")."""
    asked = _ASIDE.sub("", " ".join(question.lower().split()).lstrip("¿\"'“‘( "))
    if not _OPENING.match(asked) or _REQUEST.match(asked):
        return False
    return bool(_EXISTS.match(asked)) or not _CHOICE.search(asked)

"""Text as the slides pack sees it: cleaned before it is drawn, compared by its words when it is checked."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

# What XML cannot hold (python-pptx would write `_x000B_` or fail), and what no reader can see.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_BULLET = re.compile(r"^(?:[-*•·–—▪●](?:\s+|$))+")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

_ARTICLES = frozenset(("a", "an", "the", "of", "and", "to", "in", "on", "for", "with"))
_COMMON = """
    about after all also am any are as at be because been before being but by can could did do does each every
    from get had has have he her his how i if into is it its just let like may me more most much my need no not
    now one only or other our out over own per please she should so some such than that their them then there
    these they this those through too under up us use using very want was way we were what when where which
    while who whom why will would you your
"""
STOPWORDS = _ARTICLES | frozenset(_COMMON.split())
"""English words that say nothing about a topic."""


def clean(text: str) -> str:
    """`text` on one line, without control characters, lone surrogates or runs of spaces."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def without_bullet(text: str) -> str:
    """`text` without the dash or dot that a writer put before it; the slide draws its own."""
    return _BULLET.sub("", text)


def words(text: str) -> list[str]:
    """The words of `text` in lower case. Scripts written without spaces give one word a character."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("'s ", " ").replace("’s ", " ")
    return _word(folded.isascii()).findall(_UNSPACED.sub(lambda match: f" {match[0]} ", folded))


def unspaced(text: str) -> bool:
    """Whether `text` is in a script that is written without spaces."""
    return _UNSPACED.search(text) is not None


@cache
def _word(ascii: bool) -> "re.Pattern[str]":
    """A word. The vowel signs of Indic scripts belong to it, which \\w leaves out."""
    marks = "" if ascii else "".join(chr(n) for n in range(0x300, 0x3000) if unicodedata.category(chr(n))[0] == "M")
    return re.compile(rf"[\w{marks}]+")


def real_words(text: str) -> set[str]:
    """The distinct words of `text`, without numbers and single letters."""
    return {w for w in words(text) if (len(w) > 1 or _UNSPACED.match(w)) and not w.isdigit()}


def content_words(text: str, beside: Iterable[str] = ()) -> list[str]:
    """The distinct words of `text` that carry its topic: no stopwords, none of `beside`, no single letters."""
    skip = STOPWORDS | frozenset(beside)
    real = real_words(text)
    return list(dict.fromkeys(w for w in words(text) if w in real and w not in skip))


def alike(one: str, other: str) -> bool:
    """Whether two words are forms of one: bee and bees, volcano and volcanic, manage and management."""
    if one == other or _stem(one) == _stem(other):
        return True
    shorter, longer = sorted((one, other), key=len)
    common = next((i for i, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter))
    return common >= max(5, len(shorter) - 2)


def shares(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether any word of one list is a form of a word of the other."""
    others = list(others)
    return any(alike(word, other) for word in some for other in others)


def key(text: str) -> tuple[str, ...]:
    """Equal for texts that say the same up to case, punctuation, articles and the order of words."""
    found = words(text)
    return tuple(sorted(_stem(w) for w in found if w not in _ARTICLES)) or tuple(found) or (clean(text),)


def nearly(one: str, other: str, share: float = 0.8) -> bool:
    """Whether two texts have at least `share` (0..1) of their words in common."""
    first, second = set(key(one)), set(key(other))
    return bool(first and second) and len(first & second) >= share * len(first | second)


def _stem(word: str) -> str:
    for ending, put in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return (word[: -len(ending)] + put).rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word

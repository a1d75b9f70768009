"""What a model was asked to list, found in whatever it wrote around it. Linear in the length of the text."""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from autorl.types import clean_text

INPUT_CAP = 65_536
"""Characters of a completion that are worth reading."""
_LONGEST = 60  # characters of a career
_WORDS = 5
_MISREAD = 1_000
_MARKS = "0123456789.-–*•)# \t"


def careers_in(text: str) -> Iterator[str]:
    """The careers of a list, one a line, each once, without numbers, marks and what a colon leads to."""
    seen = set()
    for line in map(str.strip, text.splitlines()):
        if line.endswith((":", "?", "!")):
            continue
        career = clean_text(" ".join(line.lstrip(_MARKS).partition(":")[0].strip("*_\"'`.,; ").split()))
        named = len(career) <= _LONGEST and len(career.split()) <= _WORDS
        if named and any(map(str.isalpha, career)) and career.casefold() not in seen:
            seen.add(career.casefold())
            yield career


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, one after the other or in a list, also one that was cut off.

    What is no JSON is not read a second time; after a thousand braces without an object, the rest is not read either.
    """
    place = misread = 0
    while misread < _MISREAD and (place := text.find("{", place)) >= 0:
        try:
            value, place = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            place, misread = max(error.pos, place + 1), misread + 1
        except RecursionError:
            return
        else:
            yield value


def _number(text: str) -> float | int | None:
    """A number that JSON takes back; any other becomes null, which nothing asks for."""
    value = float(text)
    return None if not isfinite(value) or len(text) > 20 else int(text) if text.lstrip("-").isdigit() else value


_DECODER = json.JSONDecoder(strict=False, parse_float=_number, parse_int=_number, parse_constant=lambda _: None)

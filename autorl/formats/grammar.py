"""JSON Schema as a GBNF grammar, which llama.cpp and vLLM (xgrammar) both take.

Written here, and not taken from llama.cpp's converter, because the grammar must give the very text that
`to_json` gives (one space after a comma or a colon, required keys first) and must bound every string and
list: a small model that may repeat itself without end does. The subset is what pydantic makes of hints;
rules that a grammar cannot carry (patterns, formats, wide ranges) are left to the check of the arguments.

A string may have rules of our own: `words`, the fewest and the most of them, and with it `begins`, texts of which one
stands before them. Where characters are counted, a small
model is cut off in the middle of a word; where words are, it mostly comes to an end by itself.
"""

import json
from collections.abc import Sequence
from itertools import groupby, takewhile
from typing import Any

from autorl.describe import every_value

STRING_LENGTH = 400
"""Characters of a string whose schema sets no maximum."""
LIST_LENGTH = 12
"""Items of a list whose schema sets no maximum."""

_NO_WORD = r'"\\ \xA0.,;:!?(){}<>/|*_#@=+~^`\x5B\x5D\x7F\x00-\x1F'
_PRIMITIVES = {
    "char": r'[^"\\\x7F\x00-\x1F] | "\\" ["\\nt]',
    "word": rf"[^{_NO_WORD}]{{1,16}}",
    "end": rf"[^{_NO_WORD}]{{3,16}} [.!?]?",
    "integer": '"-"? ("0" | [1-9] [0-9]{0,11})',
    "natural": '"0" | [1-9] [0-9]{0,11}',
    "number": '"-"? ("0" | [1-9] [0-9]{0,11}) ("." [0-9]{1,6})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "any": 'string | number | boolean | null | list | object',
    "string": f'"\\"" char{{0,{STRING_LENGTH}}} "\\""',
    "list": f'"[" (any (", " any){{0,{LIST_LENGTH - 1}}})? "]"',
    "object": f'"{{" (string ": " any (", " string ": " any){{0,{LIST_LENGTH - 1}}})? "}}"',
}
_NEEDS = {
    "string": ("char",),
    "any": ("string", "number", "boolean", "null", "list", "object"),
    "list": ("any",),
    "object": ("string", "any"),
}


def literal(text: str) -> str:
    """`text` as a GBNF literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


class Grammar:
    """Collects the rules that the values of one grammar need."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._named: dict[int, str] = {}

    def text(self, root: str) -> str:
        """The whole grammar with `root` as its start."""
        return "\n".join(f"{name} ::= {body}" for name, body in {"root": root, **self._rules}.items())

    def value(self, schema: dict[str, Any], root: dict[str, Any] | None = None) -> str:
        """The expression for one JSON value under `schema`; `root` holds its definitions."""
        root = schema if root is None else root
        if "$ref" in schema:
            return self._reference(schema["$ref"], root)
        if every := every_value(schema):
            return _one_of(sorted({_dump(value) for value in every}))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return f"({' | '.join(self.value(option, root) for option in schema[key])})"
        if len(schema.get("allOf", ())) == 1:
            return self.value(schema["allOf"][0], root)
        kind = schema.get("type", "any")
        if isinstance(kind, list):
            return f"({' | '.join(self.value({**schema, 'type': each}, root) for each in kind)})"
        if kind == "string":
            return self._string(schema)
        if kind == "array":
            return self._array(schema, root)
        if kind == "object" and "properties" in schema:
            return self._object(schema, root)
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            pair = f'{self._primitive("string")} ": " {self.value(schema["additionalProperties"], root)}'
            return _some(pair, schema.get("minProperties", 0), schema.get("maxProperties", LIST_LENGTH), "{}")
        if kind == "integer" and schema.get("minimum", schema.get("exclusiveMinimum", -1)) >= 0:
            return self._primitive("natural")
        return self._primitive(kind)

    def _string(self, schema: dict[str, Any]) -> str:
        if "words" in schema:
            least, most = schema["words"]
            word, end = self._primitive("word"), self._primitive("end")
            begun = f"({' | '.join(literal(_dump(text)[1:-1] + ' ') for text in schema['begins'])}) " \
                if schema.get("begins") else ""
            return f'"\\"" {begun}({word} ","? " "){{{least - 1},{most - 1}}} {end} "\\""'
        least, most = schema.get("minLength", 0), schema.get("maxLength", STRING_LENGTH)
        if (least, most) == (0, STRING_LENGTH):
            return self._primitive("string")
        return f'"\\"" {self._primitive("char")}{{{least},{max(least, most)}}} "\\""'

    def _array(self, schema: dict[str, Any], root: dict[str, Any]) -> str:
        if "prefixItems" in schema:
            items = ' ", " '.join(self.value(item, root) for item in schema["prefixItems"])
            return f'"[" {items} "]"'
        item = self.value(schema.get("items", {}), root)
        return _some(item, schema.get("minItems", 0), schema.get("maxItems", LIST_LENGTH), "[]")

    def _object(self, schema: dict[str, Any], root: dict[str, Any]) -> str:
        properties = schema["properties"]
        required = [name for name in properties if name in schema.get("required", ())]
        optional = [name for name in properties if name not in required]
        pairs = {name: f"{literal(_dump(name) + ': ')} {self.value(properties[name], root)}" for name in properties}
        if required:
            body = ' ", " '.join(pairs[name] for name in required)
            body += "".join(f' (", " {pairs[name]})?' for name in optional)
        else:
            # Any of the optional ones may come first; those after it follow in their order.
            starts = [
                pairs[name] + "".join(f' (", " {pairs[later]})?' for later in optional[index + 1 :])
                for index, name in enumerate(optional)
            ]
            body = f"({' | '.join(starts)})?" if starts else ""
        return f'"{{" {body} "}}"' if body else '"{}"'

    def _reference(self, reference: str, root: dict[str, Any]) -> str:
        target = root["$defs"][reference.rsplit("/", 1)[-1]]
        if id(target) not in self._named:
            name = self._named[id(target)] = f"ref-{len(self._named)}"
            self._rules[name] = self.value(target, root)
        return self._named[id(target)]

    def _primitive(self, name: str) -> str:
        if name not in self._rules:
            self._rules[name] = _PRIMITIVES[name]
            for needed in _NEEDS.get(name, ()):
                self._primitive(needed)
        return name


def _some(one: str, least: int, most: int, brackets: str) -> str:
    """`least` to `most` times `one`, between brackets."""
    opening, closing = map(literal, brackets)
    if most == 0:
        return f"{opening} {closing}"
    some = f'{one} (", " {one}){{{max(0, least - 1)},{max(least, most) - 1}}}'
    return f"{opening} {some} {closing}" if least else f"{opening} ({some})? {closing}"


def _one_of(texts: Sequence[str]) -> str:
    """One of `texts`, which are sorted: each start that some have in common stands once.

    Written one after the other, a thousand texts are a thousand ways that a sampler has to follow at every token.
    """
    ways = []
    for _, group in groupby(texts, key=lambda text: text[:1]):
        alike = list(group)
        shared = takewhile(lambda pair: pair[0] == pair[1], zip(alike[0], alike[-1], strict=False))
        start = "".join(one for one, _ in shared)
        rests = [text[len(start) :] for text in alike if text != start]
        rest = f" {_one_of(rests)}{'?' if start in alike else ''}" if rests else ""
        ways.append(f"{literal(start)}{rest}")
    return f"({' | '.join(ways)})"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""The text of the method: Thought / Action / Action Input / Observation. Works with any model."""

from autorl.errors import FormatError
from autorl.formats.base import INPUT_CAP, Constraint, Format, Parsed, read_json_object, to_json
from autorl.formats.grammar import Grammar, literal
from autorl.types import FINISH, Action, ToolSpec, clean_text

THOUGHT_LENGTH = 200
"""Characters of a thought under constraint."""


class React(Format):
    name = "react"
    form = "Thought: one sentence\nAction: the name of one tool\nAction Input: its arguments as one JSON object"
    stop = ("\nObservation:",)

    def write(self, thought: str, action: Action) -> str:
        # One line a thought: a line in it that begins like a label would be read as one.
        return f"Thought: {' '.join(thought.split())}\nAction: {action.name}\nAction Input: {to_json(action.arguments)}"

    def parse(self, text: str) -> Parsed:
        """Labels stand at the beginning of a line, in any case, with or without Markdown marks."""
        if len(text) > INPUT_CAP:
            raise FormatError(f"the answer has {len(text)} characters; at most {INPUT_CAP} are read")
        thought: list[str] = []
        name = ""
        position = 0
        for line in text.split("\n"):  # and at no other character: the grammar forbids a thought this one alone
            label, value, offset = _label(line)
            if label == "observation":
                break
            if label == "final answer":
                answer = clean_text(text[position + offset :]).strip(" *\n\t")
                return Parsed(_thought(thought), Action(name=FINISH, arguments={"answer": answer}), cut=0)
            if label == "action" and not name:
                name, inline = _name(value)
                if not name:
                    raise FormatError("the line 'Action:' names no tool")
                if inline >= 0:
                    return self._action(text, thought, name, position + offset + inline)
            elif label == "action input" and name:
                return self._action(text, thought, name, position + offset)
            elif label == "action":
                raise FormatError(f"'Action: {name}' has no 'Action Input:' line before the next action")
            elif not name and label in ("", "thought"):
                thought.append(value if label else line)
            position += len(line) + 1
        if name:
            raise FormatError(f"'Action: {name}' is not followed by a line 'Action Input:' with a JSON object")
        raise FormatError("there is no line 'Action:'")

    def _action(self, text: str, thought: list[str], name: str, start: int) -> Parsed:
        arguments, end = read_json_object(text, start)
        rest = text[end:].strip().strip("`").strip()
        return Parsed(_thought(thought), Action(name=clean_text(name), arguments=arguments), cut=len(rest))

    def constrain(self, tools: tuple[ToolSpec, ...]) -> Constraint:
        return Constraint(grammar=calls(tools, f'"Thought: " [A-Z] [^\\n\\\\{{}}]{{1,{THOUGHT_LENGTH}}} "\\n"'))


def calls(tools: tuple[ToolSpec, ...], before: str = "") -> str:
    """The grammar of one call of these tools, after what the expression `before` gives."""
    grammar = Grammar()
    ways = [f"{literal(tool.name + chr(10) + 'Action Input: ')} {grammar.value(tool.parameters)}" for tool in tools]
    return grammar.text(f'{before} "Action: " ({" | ".join(ways)})')


_LABELS = ("final answer", "action input", "observation", "thought", "action")


def _label(line: str) -> tuple[str, str, int]:
    """Which label a line begins with, the text after it, and where that text begins in the line."""
    start = len(line) - len(line.lstrip(" \t*#_>-`"))
    # `**Thought:** so` closes after the colon what it opened before the label; `Thought: *so*` does not.
    closing = "*_ \t" if "*" in line[:start] or "_" in line[:start] else " \t"
    body = line[start : start + 20].lower()
    for label in _LABELS:
        if body.startswith(label):
            after = start + len(label)
            after += len(line[after:]) - len(line[after:].lstrip("*_ "))
            if line[after : after + 1] == ":":
                value = line[after + 1 :].lstrip(closing)
                return label, value.rstrip(), len(line) - len(value)
    return "", "", 0


def _name(value: str) -> tuple[str, int]:
    """The tool's name in the rest of an Action line, and where arguments begin if they stand there too."""
    for index, character in enumerate(value):
        if character == "{":
            return value[:index].strip(" `*_\"'(:"), index
    return value.split("(")[0].strip(" `*\"'.:[]"), -1


def _thought(lines: list[str]) -> str:
    return clean_text(" ".join(" ".join(lines).split()))

"""Reads PPTC's sessions: a file of JSON lines each, with the instruction and the calls of a turn."""

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOME = "https://github.com/gydpku/PPTC"
_LONGEST = 20_000  # characters of a sequence; the longest of PPTC's own has 1,500

Argument = str | int | float | list["Argument"]


@dataclass(frozen=True)
class Call:
    """One call of a PPTC function."""

    name: str
    arguments: tuple[Argument, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.arguments))})"


@dataclass(frozen=True)
class Turn:
    """What the user asked for, and the calls that PPTC gives as its solution."""

    instruction: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Session:
    name: str
    turns: tuple[Turn, ...]


def read_sessions(folder: Path) -> list[Session]:
    """Every session under `folder`, in the order of their numbers.

    Raises FileNotFoundError, with where they come from, if there are none, and ValueError for one that is no session.
    """
    files = sorted((folder / "sessions").glob("*.json"), key=lambda path: (len(path.stem), path.stem))
    if not files:
        raise FileNotFoundError(f"no PPTC sessions in '{folder}': get them from {HOME} (MIT), put the files of a test "
                                "set into its folder sessions/, and name it with --data DIR or AUTORL_PPTC=DIR")
    return [_session(path) for path in files]


def _session(path: Path) -> Session:
    turns = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            turn = json.loads(line)
            turns.append(Turn(turn["User instruction"], parse_calls(turn["Feasible API sequence"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}, line {number}, is no turn of a session: {error!r}") from error
    return Session(path.stem, tuple(turns))


def parse_calls(sequence: str) -> tuple[Call, ...]:
    """The calls of a sequence such as `choose_title();insert_text("Bees");`. Nothing in it is evaluated.

    Raises ValueError for anything but calls of plain names with texts, numbers and lists of them.
    """
    if len(sequence) > _LONGEST:
        raise ValueError(f"a sequence of {len(sequence)} characters is too long; {_LONGEST} are allowed")
    try:
        statements = ast.parse(sequence.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{sequence[:80]!r} is no sequence of calls: {error}") from error
    return tuple(_call(statement) for statement in statements)


def _call(statement: ast.stmt) -> Call:
    match statement:
        case ast.Expr(ast.Call(ast.Name(name), arguments, [])):
            return Call(name, _literals(arguments))
    raise _unfit(statement, "a call of a function with plain arguments")


def _literals(nodes: Sequence[ast.expr]) -> tuple[Argument, ...]:
    return tuple(map(_literal, nodes))


def _literal(node: ast.expr) -> Argument:
    match node:
        case ast.Constant(str() | int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)) if not isinstance(value, bool):
            return -value
        case ast.List(elements):
            return list(_literals(elements))
    raise _unfit(node, "a text, a number or a list of them")


def _unfit(node: ast.stmt | ast.expr, wanted: str) -> ValueError:
    return ValueError(f"line {node.lineno}, character {node.col_offset + 1}: not {wanted}")

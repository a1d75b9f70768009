"""The schemas of the tools that a run had, which the store does not keep: from today's packs, or from their use."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from autorl.errors import AutorlError
from autorl.registry import Pack, Toolset, finish
from autorl.types import FINISH, Action, Trajectory

AS_THEY_WERE, CHANGED, FROM_USE = "as they were", "of today's packs, which have changed since", "made from their use"
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
          type(None): "null"}


class Tools:
    """The tools of one run after the other, as `tools` of TRL and of OpenAI has them.

    load_pack: finds a tool pack by its name
    told: of how many runs they are as they were, of changed packs, or some of them made from their use
    """

    def __init__(self, load_pack: Callable[[str], Pack]) -> None:
        self._load_pack = load_pack
        self._known: dict[tuple[str, ...], tuple[str, dict[str, dict[str, Any]]]] = {}
        self.told: Counter[str] = Counter()

    def of(self, run: Trajectory) -> list[dict[str, Any]]:
        """Those that the run could call; of one that is unknown, a schema made from the arguments that it was given."""
        names = run.provenance.settings.get("tools")
        of_packs = tuple(str(name) for name in names) if isinstance(names, list) else ()
        if of_packs not in self._known:
            self._known[of_packs] = self._find(of_packs)
        tools_hash, known = self._known[of_packs]
        actions = [step.action for step in run.steps if step.action and step.observation]
        used: dict[str, list[Action]] = {}
        for action in actions:
            used.setdefault(action.name, []).append(action)
        made = {name: _from_use(name, calls) for name, calls in used.items() if name not in known}
        same = bool(known) and tools_hash == run.provenance.tools_hash
        self.told[FROM_USE if made else AS_THEY_WERE if same else CHANGED] += 1
        return [*known.values(), *made.values()]

    def _find(self, packs: tuple[str, ...]) -> tuple[str, dict[str, dict[str, Any]]]:
        try:
            tools = Toolset.of(packs, self._load_pack) if packs else None
        except AutorlError:  # a pack that is not here
            tools = None
        if tools is None:
            return "", {}
        return tools.hash, {spec.name: _schema(spec.name, spec.description, spec.parameters) for spec in tools.specs}


def _from_use(name: str, calls: Iterable[Action]) -> dict[str, Any]:
    if name == FINISH:
        return _schema(FINISH, finish.spec.description, finish.spec.parameters)
    given = [action.arguments for action in calls]
    types: dict[str, list[str]] = {}
    for arguments in given:
        for parameter, value in arguments.items():
            kind = _TYPES[type(value)]
            if kind not in types.setdefault(parameter, []):
                types[parameter].append(kind)
    return _schema(name, "", {
        "type": "object",
        "properties": {parameter: {"type": kinds[0] if len(kinds) == 1 else kinds}
                       for parameter, kinds in types.items()},
        "required": [parameter for parameter in types if all(parameter in arguments for arguments in given)],
    })


def _schema(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}

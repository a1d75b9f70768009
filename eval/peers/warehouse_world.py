"""A warehouse as a runner sees it: one run at a time, its tools called by name, the verdict of the pack at the end."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autorl.content import load_pack
from autorl.errors import UnknownName
from autorl.registry import Observation, RunContext, Tool, Toolset
from autorl.replay.recall import Recall, recall
from autorl.replay.store import ReplayStore
from autorl.types import Action, Status, Step, Task, Trajectory, Verdict
from autorl.workspace import Workspace

PACK = load_pack("warehouse")
from autorl_tools.warehouse.asked import Asked  # noqa: E402  # the namespace is made by loading a pack
from autorl_tools.warehouse.solver import plan  # noqa: E402

_VERIFIER = next(iter(PACK.verifiers.values()))


class Run:
    """A run in the world of `task`: what it has done so far lies in a folder of its own.

    over: the work was ended by the tool for that, and nothing changes any more
    """

    def __init__(self, task: Task) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._tools = {tool.name: tool for tool in PACK.groups[task.requirements["world"]]}
        self._context = RunContext(Workspace(Path(self._folder.name)), task)
        self.over = False
        self.calls = self.refused = 0

    def call(self, name: str, arguments: Any) -> str:
        """What the caller is told; a refusal begins with `Error:`."""
        tool = self._tools.get(name)
        if self.over:
            return "Error: the work is done"
        if tool is None:
            return f"Error: {UnknownName('tool', name, self._tools)}"
        seen = _called(tool, arguments, self._context)
        self.calls += 1
        self.refused += not seen.ok
        self.over = seen.ends_run
        return seen.text

    @property
    def available(self) -> dict[str, Any]:
        """Of every tool, whether it makes sense as things stand, or with which values of a parameter."""
        return {tool.name: tool.available is None or tool.available(self._context) for tool in self._tools.values()}

    @property
    def verdict(self) -> Verdict:
        """What the pack's verifier says of the world as it stands."""
        task = self._context.task
        verdict: Verdict = _VERIFIER(task, Trajectory(id="run", task=task), self._context.workspace)
        return verdict

    def close(self) -> None:
        self._folder.cleanup()


def _called(tool: Tool, arguments: Any, context: RunContext) -> Observation:
    if not isinstance(arguments, dict):
        return Observation(text=f"Error: the arguments of {tool.name} are no object", ok=False)
    return tool.call(arguments, context)


def described(world: str) -> tuple[list[dict[str, Any]], str]:
    """The tools of a world as every framework is told of them, and the one that ends the work."""
    tools = PACK.groups[world]
    ends = next(tool.name for tool in tools if tool.ends_run)
    return [{"name": tool.name, "description": tool.spec.description, "parameters": tool.spec.parameters}
            for tool in tools], ends


def done(task: Task) -> dict[str, Any]:
    """The shortest way to do a task, as a demonstration."""
    asked = Asked.of(task)
    run = Run(task)
    steps = [{"name": action.name, "arguments": action.arguments,
              "observation": run.call(action.name, action.arguments)}
             for action in plan(asked.world, asked.start, asked.goal) or ()]
    assert (run.over, run.verdict.passed) == (True, True), f"the shortest way does not do {task.id}"
    run.close()
    return {"id": task.id, "text": task.text, "steps": steps}


def nearest(tasks: Sequence[Task], known: Sequence[Task], k: int, folder: Path) -> Mapping[str, list[dict[str, Any]]]:
    """For each task the k of those known that autorl would recall for it, done the shortest way, the nearest last.

    All frameworks of a block are shown these, so that none has the better examples. folder: for the store to search
    """
    shown = {task.id: done(task) for task in known}
    tools = Toolset.of([f"warehouse:{known[0].requirements['world']}"], load_pack)
    store = ReplayStore(folder / "known.db")
    store.add([_trajectory(task, shown[task.id]) for task in known])
    found = {task.id: recall(store, task, tools=tools, size=lambda trajectory, style: 1, how=Recall(
        k, budget=k, style="full", same_task=False)).exemplars for task in tasks}
    store.close()
    return {task: [shown[exemplar.trajectory.id] for exemplar in exemplars] for task, exemplars in found.items()}


def _trajectory(task: Task, demo: dict[str, Any]) -> Trajectory:
    steps = tuple(Step(index=index, raw="", finish_reason="stop",
                       action=Action(name=step["name"], arguments=step["arguments"]),
                       observation=Observation(text=step["observation"]))
                  for index, step in enumerate(demo["steps"]))
    return Trajectory(id=task.id, task=task, status=Status.FINISHED, steps=steps,
                      verdict=Verdict(verifier=f"{_VERIFIER.name}@{_VERIFIER.version}", passed=True, score=1.0))

"""A run in a fresh workspace, driven as a policy drives it: by names and arguments."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pptx import Presentation

from autorl.content import load_pack
from autorl.registry import RunContext, Toolset
from autorl.types import Action, Exemplar, Observation, Status, Step, Task, Trajectory, Verdict
from autorl.workspace import Workspace

load_pack("slides")  # from here on, tests may import autorl_tools

BEES = "Make a four-slide deck about how honey bees live and make honey."


@dataclass
class Run:
    """Calls tools in `workspace` and remembers the steps."""

    tools: Toolset
    workspace: Workspace
    task: Task
    answers: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def call(self, name: str, /, **arguments: Any) -> Observation:
        context = RunContext(self.workspace, self.task, lambda _: self.answers.pop(0) if self.answers else "None")
        action = Action(name=name, arguments=arguments)
        observation = self.tools.carry_out(action, context)
        self.steps.append(Step(index=len(self.steps), action=action, raw="", observation=observation))
        return observation

    def done(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that must succeed; its result."""
        observation = self.call(name, **arguments)
        assert observation.ok, observation.text
        return observation.text

    def refused(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that must refuse; what it says."""
        observation = self.call(name, **arguments)
        assert not observation.ok, observation.text
        return observation.text

    @property
    def deck(self) -> Any:
        """The one deck of the workspace, opened again from disk."""
        (path,) = self.workspace.root.rglob("*.pptx")
        return Presentation(str(path))

    @property
    def trajectory(self) -> Trajectory:
        return Trajectory(id="run", task=self.task, status=Status.FINISHED, steps=tuple(self.steps))

    def verdict(self, *exemplars: Trajectory, rendered: bool = True) -> Verdict:
        fresh = Workspace(self.workspace.root)  # a verifier may come later, in another process
        shown = tuple(Exemplar(trajectory) for trajectory in exemplars)
        verifier = type(self.tools.verifiers["slides"])(rendered=rendered)
        return verifier(self.task, self.trajectory, fresh, shown)

    def honest_deck(self) -> None:
        """What the task of the bees asks for."""
        self.done("start_deck", title="Honey Bees", subtitle="Life in the hive")
        self.done("add_slide", title="How bees live together", bullets=[
            "One queen lays all the eggs", "Workers guard the hive and feed the young", "Drones fly out to mate"])
        self.done("add_slide", title="From nectar to honey", bullets=[
            "Foragers bring nectar home in a stomach of its own", "Wings fan it dry until it keeps"])
        self.done("add_table", title="Who does what", columns=["Bee", "Number"], rows=[
            ["Queen", "1"], ["Worker", "40,000"], ["Drone", "300"]])


@pytest.fixture
def make_run(tmp_path):
    """Make a run: of a task's text, with packs; each in a workspace of its own."""
    count = iter(range(1000))

    def make(text: str = BEES, packs: tuple[str, ...] = ("slides",), readable: tuple[Path, ...] = ()) -> Run:
        workspace = Workspace(tmp_path / f"run-{next(count)}", readable)
        return Run(Toolset.of(packs, load_pack), workspace, Task(text=text))

    return make


@pytest.fixture
def run(make_run):
    """A run of the task of the bees with the slides pack."""
    return make_run()

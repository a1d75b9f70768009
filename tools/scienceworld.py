"""ScienceWorld (Wang et al. 2022): school science in a world of text, thirty kinds of task in many variations.

The world runs in Java, a process for each run. What was done there lies in the run's workspace; whoever does not hold
the world plays it again from that, the verifier too. Only a process that has loaded nothing before gives the same
world again: another load changes the order in which things are seen, and where the bees fly. So does asking for the
valid actions, in some tasks; therefore it is written down when that was done.
"""

import json
import logging
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from importlib.util import find_spec
from shutil import which
from subprocess import Popen
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from autorl.errors import MissingExtra, ToolError, UnknownName, UsageError
from autorl.registry import Answer, Pack, RunContext, tool
from autorl.types import Check, Exemplar, Task, Trajectory, Value, Verdict, pass_at
from autorl.workspace import Workspace

ACTIONS = "actions.json"
MOVES = 100
"""After more than these a task is over, as ScienceWorld's own Python class has it."""
SPLITS = ("train", "dev", "test")

_JAVA = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]  # many at a time: little memory, few threads
_UNKNOWN = ("No known action", "Unknown action")
_WAITING = ("wait", "wait1")
_HISTORY = TypeAdapter(list[tuple[str, bool]])


class Scene(Value):
    """What a task's requirements say of its world.

    task: the kind, such as `boil`; variation: its number; simplification: such as `easy`, several with commas between
    moves: after more than these it is over; some actions take none, and to wait takes ten
    """

    task: str
    variation: int = Field(default=0, ge=0)
    simplification: str = ""
    moves: int = Field(default=MOVES, ge=1)

    @classmethod
    def of(cls, task: Task) -> "Scene":
        """Raises UsageError for a requirement that is missing or cannot be read."""
        try:
            return cls(**{name: value for name, value in task.requirements.items() if name in cls.model_fields})
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"the task's 'requirements.{first['loc'][0]}' cannot be used: {first['msg']}",
                             "Take the task set scienceworld/train or scienceworld/test") from error


class Simulator:
    """ScienceWorld's own program, in a Java process that ends with this object."""

    def __init__(self) -> None:
        gone = lacking()
        if gone:
            raise MissingExtra(f"there is no {' and no '.join(gone)}", "; ".join(gone.values()))
        from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
        from scienceworld.constants import BASEPATH, JAR_PATH

        logging.getLogger("py4j").setLevel(logging.CRITICAL)  # it tells of connections that end with their process
        try:
            port, token, self.java = launch_gateway(classpath=JAR_PATH, javaopts=_JAVA, die_on_exit=True,
                                                    enable_auth=True, cwd=BASEPATH, return_proc=True)
        except (OSError, ValueError) as error:
            raise MissingExtra(f"Java does not start: {error}", "Does 'java -version' work?") from error
        gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))
        weakref.finalize(self, _end, gateway, self.java)
        self.calls = gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()

    def kinds(self) -> list[str]:
        """The names of its tasks."""
        return list(self.calls.getTaskNames())

    def load(self, scene: Scene, *, gold: bool = False) -> None:
        """Begin `scene`. Raises UsageError for what it names and is not there.

        gold: also find a path to its end, which may take seconds; the tests walk it
        """
        if scene.task not in self.kinds():
            raise UnknownName("task", scene.task, self.kinds(), "(of ScienceWorld)")
        count = self.calls.getTaskMaxVariations(scene.task)
        if scene.variation >= count:
            raise UsageError(f"'{scene.task}' has no variation {scene.variation}", f"They are 0 to {count - 1}")
        simpler = ["easy", *self.calls.getPossibleSimplifications().split(", ")]
        for each in filter(None, scene.simplification.split(",")):
            if each not in simpler:
                raise UnknownName("simplification", each, simpler)
        self.calls.load(scene.task, scene.variation, scene.simplification, gold)
        self.calls.reset()


def _end(gateway: Any, java: Popen[bytes]) -> None:
    gateway.close(keep_callback_server=True)
    java.kill()
    java.wait()


class World:
    """A scene, and what was done in it since its beginning.

    history: every action, and whether the valid ones had been asked for before it
    """

    def __init__(self, scene: Scene, history: Sequence[tuple[str, bool]] = ()) -> None:
        self.scene = scene
        self.history: list[tuple[str, bool]] = []
        self._valid: list[str] = []
        self.lock = threading.Lock()
        self._simulator = Simulator()
        self._simulator.load(scene)
        for action, asked in history:
            if self.over:
                break
            if asked:
                self.valid()
            self.act(action)

    def act(self, action: str) -> str:
        """What is seen after `action`."""
        text = str(self._calls.step(action)).strip()
        self.history.append((action, bool(self._valid)))
        self._valid = []
        return text

    def valid(self) -> list[str]:
        """The actions that the world takes now; some can be worded in other ways, too."""
        self._valid = self._valid or list(self._calls.getValidActionObjectCombinations())
        return self._valid

    @property
    def score(self) -> int:
        """Points of 100, or -100 for a task that was failed for good."""
        return round(100 * self._calls.getScore())

    @property
    def moves(self) -> int:
        return int(self._calls.getNumMoves())

    @property
    def over(self) -> bool:
        return bool(self._calls.getCompleted()) or self.score < 0 or self.moves > self.scene.moves

    @property
    def alive(self) -> bool:
        return self._simulator.java.poll() is None

    @cached_property
    def _calls(self) -> Any:
        return self._simulator.calls


def _held(context: RunContext) -> World:
    """The world of this run as its workspace tells it, played again where it is not at hand."""
    history = _history(context.workspace)
    world = context.workspace.documents.get(ACTIONS)
    if not isinstance(world, World) or not world.alive or world.history != history:
        world = context.workspace.documents[ACTIONS] = World(Scene.of(context.task), history)
    return world


def _history(workspace: Workspace) -> list[tuple[str, bool]]:
    path = workspace.path(ACTIONS)
    try:
        return _HISTORY.validate_json(path.read_bytes()) if path.is_file() else []
    except (OSError, ValidationError) as error:
        raise ToolError(f"{ACTIONS} does not hold the actions of this run any more") from error


# It may have to play the whole run again first.
@tool(timeout=300, available=lambda context: not _held(context).over)
def act(action: Annotated[str, Field(max_length=200)], context: RunContext) -> Answer:
    """Do one thing in the world, and read what comes of it.

    action: such as look around, inventory, go to PLACE, look at X, look in X, open X, close X, pick up X, put down X,
        move X to Y, pour X into Y, dunk X in Y, mix X, use X on Y, activate X, deactivate X, connect X to Y,
        disconnect X, read X, eat X, flush X, focus on X (as the task asks; the wrong thing fails it), wait (ten
        moves), wait1 (one move), task, the number of a choice that is offered, help (all actions), objects (all names)
    """
    world = _held(context)
    with world.lock:
        if world.over:
            raise ToolError("the task is over", "Call finish")
        action = " ".join(action.split())
        text = world.act(action)
        context.workspace.write(ACTIONS, json.dumps(world.history).encode())
        score, moves, over = world.score, world.moves, world.over
    if text.startswith(_UNKNOWN):
        raise ToolError(f"the world knows no '{action}'", "Name things as 'look around' does, and one action at a time")
    if action in _WAITING:  # or nobody could see that it was not in vain
        text += f" This is move {moves} of {world.scene.moves}."
    if over:
        text += f"\nThe task is over, with {max(score, 0)} of 100 points. Call finish."
    return Answer(text, {"score": score, "moves": moves})


def _choices(context: RunContext) -> bool | dict[str, list[str]]:
    world = _held(context)
    return not world.over and {"action": world.valid()}


@tool(ends_run=True, available=lambda context: _held(context).over)
def finish(context: RunContext, answer: str = "") -> str:
    """End the run, once the world has said that the task is over.

    answer: what there is to say to it
    """
    world = _held(context)
    if not world.over:
        raise ToolError(f"the task is not over, after {world.moves} of {world.scene.moves} moves", "Go on with act")
    return answer or f"{max(world.score, 0)} of 100 points."


class ScienceWorldVerifier:
    """ScienceWorld's own score, of the run's actions played again from the beginning; it passes with all 100 points.

    The actions are those in the workspace. What counts below 0, a task that was failed for good, scores 0.
    """

    name = "scienceworld"
    version = 1

    def __call__(
        self, task: Task, trajectory: Trajectory, workspace: Workspace, exemplars: Sequence[Exemplar] = ()
    ) -> Verdict:
        world = World(Scene.of(task), _history(workspace))
        found = f"{world.score} of 100 points after {world.moves} moves"
        check = Check(name="score", passed=world.score == 100, score=max(world.score, 0) / 100, found=found)
        verdict = pass_at([check], f"{self.name}@{self.version}")
        return verdict if verdict.passed else verdict.model_copy(update={"why": found})

    def asked(self, task: Task) -> dict[str, Any]:
        """What `task` says of its world. Raises UsageError for a requirement that cannot be read."""
        return Scene.of(task).model_dump() if task.requirements else {}


class Sets(Mapping[str, Sequence[Task]]):
    """The variations that were published as train, dev and test: `test` has some of each kind of task, `test/boil` all
    of one. To read them takes Java, and some seconds."""

    EACH = 3

    def __getitem__(self, name: str) -> Sequence[Task]:
        split, _, kind = name.partition("/")
        if split not in SPLITS:
            raise KeyError(name)
        return _tasks(split, kind)

    def __iter__(self) -> Iterator[str]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)


@cache
def _tasks(split: str, only: str) -> tuple[Task, ...]:
    simulator = Simulator()
    made = []
    for kind in [only] if only else simulator.kinds():
        simulator.load(Scene(task=kind))
        published = list(getattr(simulator.calls, f"getVariations{split.capitalize()}")())
        chosen = published if only else published[:: max(1, len(published) // Sets.EACH)][: Sets.EACH]
        for variation in chosen:
            scene = Scene(task=kind, variation=variation)
            simulator.load(scene)
            made.append(Task(id=f"scienceworld-{kind}-{variation}", text=simulator.calls.getTaskDescription(),
                             verifier=ScienceWorldVerifier.name, requirements={**scene.model_dump(), "group": kind}))
    return tuple(made)


def lacking() -> dict[str, str]:
    """What ScienceWorld needs and is not here, each with what would mend it."""
    needed = {"scienceworld": (find_spec("scienceworld"), "pip install 'autorl-agent[scienceworld]'"),
              "Java": (which("java"), "apt-get install default-jre-headless")}
    return {name: remedy for name, (there, remedy) in needed.items() if not there}


pack = Pack(
    tools=[act, finish],
    groups={"valid": [replace(act, available=_choices), finish]},
    verifiers={ScienceWorldVerifier.name: ScienceWorldVerifier()},
    lacking=lacking,
    task_sets=Sets(),
)

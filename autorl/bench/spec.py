"""What a benchmark is: a grid of models, settings, seeds and store sizes."""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from autorl.settings import Settings
from autorl.types import Task, Value

Size = Annotated[int, Field(ge=0)] | Literal["all"]


class Setting(Value):
    """One way to ask a model.

    chosen: as for `autorl solve`; what the definition leaves out has its default, whatever the user's own settings are.
        `tools` may name a requirement of the tasks: `warehouse:{world}`
    fill: the setting whose successes on the learning tasks are in the store that this one recalls from
    model: asked instead of the grid's model, such as one that was distilled from it
    user: who answers the agent's questions
    sizes: of the benchmark's, those that it is asked at; all of them, if none are named
    """

    chosen: Settings
    fill: str = ""
    model: str = ""
    user: str = "nobody"
    sizes: tuple[Size, ...] = ()

    @property
    def recalls(self) -> bool:
        return self.chosen.k > 0 and self.chosen.recall != "none"


class Tasks(Value):
    """Task sets by name, `NAME` or a part of one, `NAME[:20]`: to learn from, and held out to measure with.

    alike: they are worded alike on purpose, so that only its id tells a held-out task among those to learn from
    """

    learn: tuple[str, ...] = ()
    held_out: tuple[str, ...] = Field(min_length=1)
    alike: bool = False


class Fill(Value):
    """How a store is filled from the learning tasks, one episode after the other.

    order: as listed, shuffled by the seed, or those first that can be done in the fewest steps
    attempts: at each task, until one succeeds, each sampled warmer than the one before; all tasks have had their first
        before one has its second
    guided: whether the verifier tells what it knows of an episode that goes on (see `Agent`); a task then has all of
        its attempts before the next has one. Held-out episodes are never guided
    """

    order: Literal["listed", "shuffled", "short"] = "listed"
    attempts: int = Field(default=1, ge=1)
    guided: bool = False


class Budget(Value):
    """What a whole run may spend: prompt and completion tokens together, hours of wall clock."""

    tokens: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)


class Figure(Value):
    """A figure worth keeping (see kept.py).

    of: one of `metrics.FIGURES`; `first_success` is the number of the episode of a filling that was the first to pass
    against: the setting that `setting` is compared with; goal: such as `>= 0.8`; reason: why it falls short, if it does
    """

    of: str
    setting: str
    size: Size | None = None
    against: str = ""
    goal: str | None = Field(default=None, pattern=r"^(<=|>=) -?\d+(\.\d+)?$")
    reason: str | None = None


class Published(Value):
    """What others reported of these settings, to be set beside our own: shares in 0..1, ranks from 1.

    source: who, with which model; settings: by setting and metric, such as `ner` and `rfr`
    """

    source: str = ""
    settings: dict[str, dict[str, float]] = {}


class Spec(Value):
    """A benchmark.

    sizes: successes in the store when the held-out tasks are asked; `all` is what one filling gives
    product: the kind of file that a run is to make, such as `.pptx`; the Non-Exception Rate is about it
    controls: the package in eval/ whose `controls(count)` makes the pairs that judges are gated with
    compare: pairs of settings whose difference is reported; each with the first one, if none are named
    figures: what of the report is kept, by name; published: what stands beside it in the report
    """

    name: str
    about: str = ""
    models: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    sizes: tuple[Size, ...] = Field(default=("all",), min_length=1)
    product: str = Field(default="", pattern=r"^(\.\w+)?$")
    controls: str = Field(default="", pattern=r"^\w*$")
    tasks: Tasks
    fill: Fill = Fill()
    budget: Budget = Budget()
    compare: tuple[tuple[str, str], ...] = ()
    settings: dict[str, Setting] = Field(min_length=1)
    figures: dict[str, Figure] = {}
    published: Published = Published()

    def asked(self, *, models: Sequence[str] | None, base_url: str | None, seeds: Sequence[int] | None) -> "Spec":
        """The same with other models, another server or other seeds; what is None stays."""
        settings = {name: setting if base_url is None else setting.model_copy(
            update={"chosen": setting.chosen.model_copy(update={"base_url": base_url})})
            for name, setting in self.settings.items()}
        return self.model_copy(update={"models": tuple(models or self.models), "settings": settings,
                                       "seeds": tuple(seeds or self.seeds)})

    def contrasts(self) -> tuple[tuple[str, str], ...]:
        """The pairs of settings to compare: (this one, with that one)."""
        first, *others = self.settings
        return self.compare or tuple((other, first) for other in others)


class Cell(Value):
    """A place of the grid, for exactly one episode.

    phase: `learn` fills a store, `held-out` measures
    size: of the store that is recalled from; None for a setting that recalls nothing, and while learning
    attempt: how often the store's filling tried the task before
    """

    phase: Literal["learn", "held-out"]
    model: str
    setting: str
    seed: int
    size: Size | None = None
    task: str
    attempt: int = 0

    @property
    def sampling_seed(self) -> int:
        """The same for every setting, model and size, so that they differ in nothing else."""
        text = f"{self.seed}/{self.task}/{self.attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


class Split(Value):
    """The tasks of a benchmark as they stood when it began; wrong: lines of their files that hold no task."""

    learn: tuple[Task, ...]
    held_out: tuple[Task, ...]
    wrong: tuple[str, ...] = ()

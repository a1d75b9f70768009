"""A stored run as it would be asked for and answered today: with today's tools and today's prompts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jsonschema import Draft202012Validator

from autorl import content
from autorl.errors import AutorlError
from autorl.formats.base import Format
from autorl.registry import Toolset, finish
from autorl.train.tokens import tokenise
from autorl.types import Context, Exemplar, Step, Style, Trajectory


@dataclass(frozen=True)
class Renderer:
    """Writes runs as training rows.

    tokenizer: of the model that is to be trained
    tools: that all runs are shown with; those of the packs that each was made with, when None
    """

    format: Format
    tokenizer: Any
    tools: Toolset | None = None
    _known: dict[tuple[str, ...], Toolset | None] = field(default_factory=dict, compare=False)

    def tools_of(self, run: Trajectory, *, fitting: bool = True) -> Toolset | str:
        """The tools to show a run with, or why there are none.

        fitting: whether every action of the run that went well has to be one that they take
        """
        tools = self.tools or self._of_packs(run)
        if tools is None:
            return "their tools are not here"
        if fitting and not _fit(tools, run.steps):
            return "an action no longer fits its tool"
        return tools

    def row(self, run: Trajectory, tools: Toolset, exemplars: Sequence[Exemplar] = (), *, failed: bool = False,
            warning: str = "") -> dict[str, Any]:
        """A conversation in TRL's form, with what is known of it.

        Of its messages, `asked` stand before the first answer, and those in `learned` (by index) carry loss.

        failed: whether what could not be read, or was answered by an error, is learned too
        """
        context = Context(run.task, tools.specs, tuple(exemplars), run.steps, warning=warning)
        row: dict[str, Any] = dict(self.format.to_training_row(context))
        learned = learned_messages(row["messages"], run.steps, failed=failed)
        tokens = tokenise(self.tokenizer, row["messages"], learned, row.get("tools"))
        return {
            **row, "asked": len(self.format.render(replace(context, steps=()))), "learned": learned, "run": run.id,
            "task": run.task.id,
            "exemplars": [exemplar.trajectory.id for exemplar in exemplars], "tools_hash": tools.hash,
            "tokens": max((len(each.ids) for each in tokens), default=0),
            "tokens_learned": sum(each.own for each in tokens),
        }

    def size(self, trajectory: Trajectory, style: Style) -> int:
        """The tokens of a run as an exemplar."""
        return sum(len(self.tokenizer.encode(self.format.spoken(message), add_special_tokens=False))
                   for message in self.format.exemplar(trajectory, style))

    def _of_packs(self, run: Trajectory) -> Toolset | None:
        names = run.provenance.settings.get("tools")
        packs = tuple(str(name) for name in names) if isinstance(names, list) else ()
        if packs not in self._known:
            try:
                self._known[packs] = Toolset.of(packs, content.load_pack) if packs else None
            except AutorlError:
                self._known[packs] = None
        return self._known[packs]


def learned_messages(messages: Sequence[Any], steps: Sequence[Step], *, failed: bool = False) -> list[int]:
    """Which messages of a rendered run, by index, are answers that carry loss.

    The policy's own answers are the last ones of the assistant, one a step; those before are exemplars. Of them, what
    could not be read or was answered by an error is left out, unless `failed`.
    """
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    own = answers[len(answers) - len(steps) :]
    return [index for index, step in zip(own, steps, strict=True) if failed or went_well(step)]


def went_well(step: Step) -> bool:
    """Whether a step was an action that was carried out without an error."""
    return step.action is not None and step.observation is not None and step.observation.ok


def _fit(tools: Toolset, steps: Sequence[Step]) -> bool:
    """Whether every action that went well could be taken with these tools."""
    schemas = {spec.name: spec.parameters for spec in (finish.spec, *tools.specs)}
    return all(
        step.action.name in schemas
        and Draft202012Validator(schemas[step.action.name]).is_valid(step.action.arguments)
        for step in steps if step.action and went_well(step))

"""A model and a format as one thing that acts: render, complete, parse."""

from dataclasses import dataclass, replace
from functools import lru_cache

from autorl import formats
from autorl.errors import ContextOverflow, PolicyError, Truncated, UsageError
from autorl.formats.base import Constraint, Format, Message, to_json
from autorl.models.base import Completion, Model, OnText, Request
from autorl.types import Context, Observation, Step, ToolSpec

HEAT, HOTTEST = 0.2, 1.0
"""A constrained policy whose actions fail tries others: each failure in a row adds this share of the
temperature, up to the hottest. Its form cannot suffer, and a small model would repeat itself for ever."""
MESSAGE_TOKENS = 6
"""What a chat template adds to a message, from above."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn.

    temperature: 0 for greedy; max_tokens: of one completion; seed: None for a different run each time
    constrained: whether a grammar or schema is used where the backend takes one
    tokens: whether the ids and log-probabilities of the completion's tokens are kept, where the backend gives them
    repetition: penalty on tokens that stand in the text already, 1 for none; None for the backend's own
    """

    temperature: float = 0.7
    max_tokens: int = 512
    seed: int | None = None
    constrained: bool = True
    tokens: bool = False
    repetition: float | None = None


@dataclass(frozen=True)
class Policy:
    """What chooses the actions (pi of the method). Raises UsageError for a format that the model cannot take."""

    model: Model
    format: Format
    sampling: Sampling = Sampling()

    def __post_init__(self) -> None:
        if self.format.calls and not self.model.capabilities.tool_calls:
            able = [name for name in formats.FORMATS if not formats.load(name).calls]
            raise UsageError(f"the format '{self.format.name}' takes a server that calls tools, and "
                             f"'{self.model.name}' does not", f"Use --format {', '.join(able[:-1])} or {able[-1]}")
        takes = self.model.capabilities
        if self.sampling.tokens and not (takes.token_ids or takes.logprobs):
            raise UsageError(f"'{self.model.name}' tells neither token ids nor log-probabilities, and keep_tokens asks "
                             "for them", "Use the embedded model, a vLLM server or an OpenAI-compatible one")
        if self.sampling.repetition is not None and not takes.repetition:
            raise UsageError(f"'{self.model.name}' takes no penalty on repetition, and the setting 'repetition' is "
                             f"{self.sampling.repetition:g}", "Leave it out, or use the embedded model or vLLM")

    @property
    def constrains(self) -> bool:
        """Whether what is not available cannot be chosen."""
        takes = self.model.capabilities
        return self.sampling.constrained and (takes.grammar or takes.json_schema) and not self.format.calls

    def act(self, context: Context, on_text: OnText | None = None) -> Step:
        """The next step for `context`, without its observation.

        A completion that holds no action gives a step with `error`, and as its observation the
        correction that the policy is to be told. Raises ModelUnavailable, and ContextOverflow when
        nothing is left to leave out.
        """
        before = context.steps[-1] if context.steps else None
        left_out = before.dropped if before else ()
        shown = tuple(e for e in context.exemplars if e.trajectory.id not in left_out)
        context = replace(context, exemplars=shown, elided=before.elided if before else 0)
        room = self._room()
        while True:
            context, messages, size = self._fit(context, room)
            try:
                completion = self.model.complete(self._request(context, messages, on_text))
                break
            except ContextOverflow:
                if size == 0:
                    size = self.size(messages)
                room = int(0.8 * size)  # the server counts differently than we do
        dropped = left_out + tuple(e.trajectory.id for e in shown[: len(shown) - len(context.exemplars)])
        step = Step(
            index=len(context.steps), raw=completion.text, finish_reason=completion.finish_reason,
            dropped=dropped, elided=context.elided, usage=completion.usage, seconds=completion.seconds,
            tokens_per_second=completion.tokens_per_second, policy=completion.policy or self.model.name,
            token_ids=completion.token_ids, logprobs=completion.logprobs,
        )
        try:
            return step.model_copy(update=self._read(completion))
        except PolicyError as error:
            correction = Observation(text=self.format.correction(str(error)), ok=False)
            return step.model_copy(update={"error": f"{type(error).__name__}: {error}", "observation": correction})

    def _read(self, completion: Completion) -> dict[str, object]:
        if completion.finish_reason is None:
            raise Truncated("the answer was cut off on its way")
        try:
            parsed = self.format.parse(completion.text)
        except PolicyError as error:
            if completion.finish_reason == "length":
                raise Truncated(f"the answer was cut at {self.sampling.max_tokens} tokens; be shorter") from error
            raise
        return {"thought": parsed.thought, "action": parsed.action, "cut": parsed.cut}

    def _request(self, context: Context, messages: list[Message], on_text: OnText | None) -> Request:
        constraint = Constraint()
        takes = self.model.capabilities
        if self.sampling.constrained and (takes.grammar or takes.json_schema or takes.tool_calls):
            offered = tuple(tool.model_dump_json() for tool in context.available or context.tools)
            constraint = _constraint(self.format.name, offered)
        grammar = constraint.grammar if takes.grammar else None
        json_schema = constraint.json_schema if takes.json_schema and not takes.grammar else None
        seed = self.sampling.seed
        return Request(
            messages=messages,
            stop=self.format.stop,
            max_tokens=self.sampling.max_tokens,
            temperature=self._temperature(context, constrained=bool(grammar or json_schema or constraint.call)),
            seed=None if seed is None else seed + len(context.steps),
            repetition=self.sampling.repetition,
            grammar=grammar,
            json_schema=json_schema,
            # All of them at every step: they stand first in the prompt, which is to stay the same.
            tools=self.format.offer(context.tools),
            call=constraint.call,
            tokens=self.sampling.tokens,
            run=context.run,
            on_text=on_text,
        )

    def _temperature(self, context: Context, *, constrained: bool) -> float:
        base = self.sampling.temperature
        if not constrained:
            return base
        failures = 0
        for step in reversed(context.steps):
            if step.observation is None or step.observation.ok:
                break
            failures += 1
        return max(base, min(base * (1 + HEAT * failures), HOTTEST))

    def _room(self) -> int | None:
        """Tokens that a prompt may have."""
        whole = self.model.context_tokens
        return None if whole is None else whole - self.sampling.max_tokens

    def size(self, messages: list[Message]) -> int:
        """Tokens that messages take, from above."""
        return sum(self.model.count(self.format.spoken(message)) + MESSAGE_TOKENS for message in messages)

    def _offered(self, tools: tuple[ToolSpec, ...]) -> int:
        offered = self.format.offer(tools)
        return self.model.count(to_json(offered)) if offered else 0

    def _fit(self, context: Context, room: int | None) -> tuple[Context, list[Message], int]:
        """`context` without what does not fit: exemplars first, then the oldest observations."""
        target = room
        while True:
            messages = self.format.render(context)
            size = 0 if room is None else self.size(messages) + self._offered(context.tools)
            if target is None or size <= target:
                return context, messages, size
            if context.exemplars:
                context = replace(context, exemplars=context.exemplars[1:])
            elif context.elided < len(context.steps) - 1:
                # Elide more than is needed now: what stays keeps its place in the prompt cache for a while.
                target = int(0.8 * (room or 0))
                context = replace(context, elided=context.elided + 1)
            elif size <= (room or 0):
                return context, messages, size
            else:
                raise ContextOverflow(
                    f"the task and its last step take {size} tokens and the context of '{self.model.name}' holds "
                    f"{room} beside an answer", "Shorten the task, use fewer tools, or a model with a longer context")


@lru_cache(maxsize=64)
def _constraint(name: str, specs: tuple[str, ...]) -> Constraint:
    return formats.load(name).constrain(tuple(ToolSpec.model_validate_json(spec) for spec in specs))

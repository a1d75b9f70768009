"""Runs as the messages of a chat with tool calls, in TRL's spelling and in OpenAI's.

A step is the assistant's message with one call (its thought as `content`) and the tool's message with what came of
it. A run that ended with the action `finish` ends with the assistant's answer. In TRL's form arguments are an object
and results follow their calls; in OpenAI's, arguments are JSON in a text and results name the id of their call.

What the messages do not carry: how the run ended, steps without an action, verdicts, trust, files, provenance, the
task's id and what its verifier reads, the thought of a last `finish`, and of an observation all but its text. Rows in
TRL's form are taken for examples of how it is done: there, a result that comes last ends the run.
"""

from collections import Counter
from typing import Any, NamedTuple

from autorl.replay.exchange.lines import NESTING, BadRow, read_json, write_json
from autorl.types import FINISH, Action, Observation, Status, Step, Task, Trajectory

NO_RESULT = "Error: the trace holds no result of this call"
_ARGUMENTS = NESTING - 10
"""Levels that arguments may have which come as JSON in a text: they are to fit into a row again."""


class Written(NamedTuple):
    """Messages, and how many steps had no action or no observation and are not among them."""

    messages: list[dict[str, Any]]
    left_out: int


def write(run: Trajectory, *, openai: bool) -> Written:
    """The messages of a run, in OpenAI's spelling or in TRL's."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": run.task.text}]
    whole = [step for step in run.steps if step.action and step.observation]
    for step in whole:
        assert step.action is not None
        assert step.observation is not None
        name, arguments, text = step.action.name, step.action.arguments, step.observation.text
        last = step is run.steps[-1] and messages[-1]["content"] != text
        if last and name == FINISH and arguments == {"answer": text} and step.observation.ok:
            messages.append({"role": "assistant", "content": text})
            continue
        function = {"name": name, "arguments": write_json(arguments).decode() if openai else arguments}
        call = {"id": f"call_{step.index}"} if openai else {}
        messages += [
            {"role": "assistant", "content": step.thought,
             "tool_calls": [{**call, "type": "function", "function": function}]},
            {"role": "tool", **({"tool_call_id": call["id"]} if openai else {"name": name}), "content": text},
        ]
    if openai and run.status is Status.FINISHED and messages[-1]["role"] == "tool":
        # OpenAI's own tools take no conversation for complete in which a tool has the last word.
        messages.append({"role": "assistant", "content": run.answer})
    return Written(messages, len(run.steps) - len(whole))


def read(row: Any, notes: Counter[str]) -> Trajectory:
    """A run from `messages` (or a row that has them), in either spelling; what is passed over is counted in `notes`.

    Calls made at once become steps one after the other. A text of the assistant that the user answers becomes a step
    without an action, one that has the last word becomes `finish`. What a tool says is an error if it begins with
    "Error:". The run has no id yet. Raises BadRow.
    """
    messages = row["messages"] if isinstance(row, dict) else row
    if not isinstance(messages, list) or not messages:
        raise BadRow("it holds no messages")
    trace = _Trace(notes)
    for number, message in enumerate(messages, 1):
        try:
            trace.hear(message)
        except BadRow as error:
            raise BadRow(f"message {number}: {error.what}") from error
    return trace.run()


class _Trace:
    """The steps of a conversation, as far as it was heard."""

    def __init__(self, notes: Counter[str]) -> None:
        self.notes = notes
        self.task: list[str] = []
        self.steps: list[Step] = []
        self.open: dict[str, int] = {}  # calls that have no result yet, by their id, and the step of each
        self.trl = True  # where a tool may have the last word

    def hear(self, message: Any) -> None:
        role = message.get("role") if isinstance(message, dict) else None
        if role in ("system", "developer"):
            self.notes["system messages were left out"] += 1
        elif role == "user":
            self._user(self._text(message))
        elif role == "assistant":
            self._assistant(message)
        elif role in ("tool", "function"):
            self._result(message)
        else:
            raise BadRow(f"its role is {role!r}, and none that is known")

    def run(self) -> Trajectory:
        if not self.task or not self.steps:
            raise BadRow("nobody says what to do" if not self.task else "nobody does anything")
        self._close()
        last, seen = self.steps[-1], self.steps[-1].observation
        status, reason, answer = Status.TRUNCATED, "the trace ends without an answer", ""
        if last.action and seen and (self.trl or seen.ends_run):
            status, reason, answer = Status.FINISHED, "", seen.text
        return Trajectory(id="", task=Task(text="\n\n".join(self.task)), status=status, reason=reason,
                          steps=tuple(self.steps), answer=answer)

    def _user(self, text: str) -> None:
        if not self.steps:
            self.task.append(text)
            return
        self.notes["later words of the user became steps without an action"] += 1
        if self.steps[-1].action or self.steps[-1].observation:
            self._step(error="the user spoke", raw="")
        self._see(len(self.steps) - 1, text)

    def _assistant(self, message: dict[str, Any]) -> None:
        text = self._text(message)
        calls = message.get("tool_calls") or []
        if message.get("function_call"):
            calls = [{"function": message["function_call"]}]
        if not isinstance(calls, list):
            raise BadRow("its tool_calls are no list")
        if not calls:
            self._step(error="no action", raw=text)
        if len(calls) > 1:
            self.notes["calls made at once became steps one after the other"] += len(calls)
        for number, call in enumerate(calls):
            self._call(call, text if number == 0 else "")

    def _call(self, call: Any, thought: str) -> None:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
            raise BadRow("a call has no name")
        name, said = function["name"], function.get("arguments") or {}
        raw = f"{thought}\n{name} {said if isinstance(said, str) else write_json(said).decode()}".strip()
        try:
            arguments = read_json(said, _ARGUMENTS) if isinstance(said, str) else said
            if not isinstance(arguments, dict):
                raise BadRow("they are no object")
            self._step(thought=thought, action=Action(name=name, arguments=arguments), raw=raw)
        except BadRow as error:
            self.notes["calls whose arguments cannot be read became steps without an action"] += 1
            self._step(thought=thought, error=f"the arguments of {name} cannot be read: {error.what}", raw=raw)
        self.open[str(call.get("id") or f"step {len(self.steps)}")] = len(self.steps) - 1

    def _result(self, message: dict[str, Any]) -> None:
        self.trl = self.trl and message["role"] == "tool" and not message.get("tool_call_id")
        call = str(message.get("tool_call_id") or next(iter(self.open), "that came before"))
        if call not in self.open:
            raise BadRow(f"it is the result of the call {call!r}, which nobody made")
        self._see(self.open.pop(call), self._text(message))

    def _close(self) -> None:
        """Tell the answer from a step, and fill what has no observation."""
        if self.steps and self.steps[-1].error == "no action":
            answer = self.steps.pop().raw
            before = self.steps[-1].observation if self.steps else None
            if before and before.text == answer:
                self.steps[-1] = self.steps[-1].model_copy(
                    update={"observation": before.model_copy(update={"ends_run": True})})
            else:
                self._step(action=Action(name=FINISH, arguments={"answer": answer}), raw=answer)
                self._see(len(self.steps) - 1, answer, ends_run=True)
        for index, step in enumerate(self.steps[:-1]):
            if step.observation is None:
                if step.action:
                    self.notes["calls have no result"] += 1
                self._see(index, NO_RESULT if step.action else "")

    def _step(self, **fields: Any) -> None:
        self.steps.append(Step(index=len(self.steps), **fields))

    def _see(self, index: int, text: str, *, ends_run: bool = False) -> None:
        seen = Observation(text=text, ok=ends_run or not text.startswith("Error:"), ends_run=ends_run)
        self.steps[index] = self.steps[index].model_copy(update={"observation": seen})

    def _text(self, message: dict[str, Any]) -> str:
        content = message.get("content")
        if content is None:
            content = message.get("refusal") or ""
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise BadRow("its content is neither a text nor a list of parts")
        texts = []
        for part in content:
            text = part.get("text") if isinstance(part, dict) else part
            if not isinstance(text, str):
                self.notes["parts that are no text were left out"] += 1
                text = "[a part that is no text, left out]"
            texts.append(text)
        return "\n".join(texts)

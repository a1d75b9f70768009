"""Traces of smolagents: what `agent.memory.get_full_steps()` or the `dict()` of a `RunResult` gives, as of 1.26."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from autorl.replay.exchange.lines import BadRow, read_json, write_json
from autorl.types import FINISH, Action, Observation, Provenance, Status, Step, Task, Trajectory, Usage

FINAL = "final_answer"
"""Their tool that ends a run; it becomes `finish`, which does the same here."""
CODE = "python_interpreter"
"""The name under which their code agents keep a script; it becomes an action with the argument `code`."""
MAX_STEPS = "AgentMaxStepsError"


def read(row: Any, notes: Counter[str]) -> Iterator[Trajectory]:
    """The runs of a memory, one for each of its tasks; what is passed over is counted in `notes`.

    Calls made at once become steps one after the other, of which the last has what all of them gave, as the trace
    does not tell it apart. Plans and pictures are left out. The runs have no ids yet. Raises BadRow.
    """
    steps = row["steps"] if isinstance(row, dict) else row
    if not isinstance(steps, list):
        raise BadRow("its steps are no list")
    state = row.get("state") if isinstance(row, dict) else None
    begins = [index for index, step in enumerate(steps) if isinstance(step, dict) and "task" in step]
    if not begins:
        raise BadRow("it holds no task")
    for begin, end in zip(begins, [*begins[1:], len(steps)], strict=True):
        if end == begin + 1:
            notes["tasks without a step were left out"] += 1
            continue
        yield _run(steps[begin]["task"], steps[begin + 1 : end], state if end == len(steps) else None, notes)


def _run(task: str, found: list[Any], state: Any, notes: Counter[str]) -> Trajectory:
    steps: list[Step] = []
    status, reason, answer = Status.TRUNCATED, "the trace ends without an answer", ""
    started, seconds = None, 0.0
    for item in found:
        if not isinstance(item, dict) or "step_number" not in item:
            notes["plans and other steps without an action were left out"] += 1
            continue
        timing = item.get("timing") or {}
        started = started or timing.get("start_time")
        seconds += timing.get("duration") or 0.0
        error = item.get("error") or {}
        if item.get("observations_images"):
            notes["pictures were left out"] += 1
        if error.get("type") == MAX_STEPS or state == "max_steps_error":
            status, reason = Status.OUT_OF_STEPS, str(error.get("message") or "max_steps_error")
        if error.get("type") == MAX_STEPS:  # an answer given without a step
            continue
        steps += _steps(item, error, len(steps), notes)
        if item.get("is_final_answer"):
            status, reason = Status.FINISHED, ""
            given = item.get("action_output")
            answer = _text(item.get("observations") if given is None else given)
            seen = steps[-1].observation or Observation(text=answer)
            steps[-1] = steps[-1].model_copy(update={"observation": seen.model_copy(update={"ends_run": True})})
    return Trajectory(id="", task=Task(text=task), status=status, reason=reason, steps=tuple(steps), answer=answer,
                      started=datetime.fromtimestamp(started, UTC) if started else datetime.now(UTC), seconds=seconds,
                      provenance=Provenance(format="smolagents"))


def _steps(item: dict[str, Any], error: dict[str, Any], index: int, notes: Counter[str]) -> Iterator[Step]:
    said = _text(item.get("model_output"))
    # A call that failed stands in the model's message alone.
    calls = item.get("tool_calls") or (item.get("model_output_message") or {}).get("tool_calls") or []
    tokens = item.get("token_usage") or {}
    usage = Usage(prompt_tokens=tokens.get("input_tokens") or 0, completion_tokens=tokens.get("output_tokens") or 0)
    told = [_text(part) for part in (item.get("observations"), error and f"Error: {error.get('message')}") if part]
    seen = Observation(text="\n".join(told), ok=not error)
    first: dict[str, Any] = {"raw": said, "usage": usage, "seconds": (item.get("timing") or {}).get("duration") or 0.0}
    if not calls:
        yield Step(index=index, error=str(error.get("message") or "no action"), observation=seen, **first)
    if len(calls) > 1:
        notes["calls made at once became steps one after the other"] += len(calls)
    for number, call in enumerate(calls):
        action = _action(call)
        spoken = said.partition(action.arguments["code"] or "\n")[0] if action.name == CODE else said
        yield Step(
            index=index + number, thought=_thought(spoken) if number == 0 else "", action=action,
            observation=seen if number == len(calls) - 1 else Observation(text="(told together with the next)"),
            **(first if number == 0 else {"raw": ""}))


def _action(call: Any) -> Action:
    name, arguments = call["function"]["name"], call["function"].get("arguments") or {}
    if name == FINAL:
        given = arguments.get("answer") if isinstance(arguments, dict) else arguments
        return Action(name=FINISH, arguments={"answer": _text(given)})
    if name == CODE:
        return Action(name=CODE, arguments={"code": _text(arguments or None)})
    if isinstance(arguments, str):
        try:
            arguments = read_json(arguments)
        except BadRow:
            pass
    return Action(name=name, arguments=arguments if isinstance(arguments, dict) else {"input": arguments})


def _thought(text: str) -> str:
    """What stands before the code, without the mark that begins it and the word that begins a thought."""
    for mark in ("<code>", "```python", "```py", "```"):
        text = text.rstrip().removesuffix(mark)
    return text.strip().removeprefix("Thought:").strip()


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    return write_json(value).decode()

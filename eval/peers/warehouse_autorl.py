"""autorl: its Agent with the format `act`, as for any model whose thoughts say nothing (or `react`, where the variant
says so), held to a grammar unless the variant is `free`. The grammar offers the tools and values that make sense as
things stand, which the tools themselves tell; as `unmasked`, all at any time.

It learns by keeping what succeeded in a store and recalling from it, each further attempt at a task sampled warmer. As
`guided`, the verifier is asked after every step of an attempt to learn from, never of one that is measured: what spoils
what was right ends the attempt, and is not offered to the next one.
"""

from contextlib import closing
from dataclasses import replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from warehouse_protocol import MODEL, URL, VARIANT, Job, Task, serve

from autorl import Agent, Limits, Recall, ReplayStore, Sampling, content
from autorl import Task as Asked
from autorl.errors import ToolError
from autorl.models import openai
from autorl.models.base import Capabilities, Request
from autorl.registry import RunContext, Tool
from autorl.rollout.collect import warmth
from autorl.types import Action, Check, Observation, Status, Step, Trajectory, Verdict

VERIFIER = "warehouse@2"


class LlamaCpp(openai.OpenAIServer):
    """llama.cpp's server takes a grammar, in a field of its own."""

    capabilities = Capabilities(grammar=True, json_schema=True, tool_calls=True, logprobs=True)

    def _body(self, request: Request) -> dict[str, Any]:
        return super()._body(request) | ({"grammar": request.grammar} if request.grammar else {})


def _through(job: Job, tool: Tool) -> Tool:
    """The tool, but the world that it works in is that of `job`."""

    @wraps(tool.function)
    def call(context: RunContext, **arguments: Any) -> str:
        text = job.call(tool.name, arguments)
        if text.startswith("Error: "):
            raise ToolError(text.removeprefix("Error: "))
        return text

    masked = None if VARIANT == "unmasked" else lambda context: job.available[tool.name]
    return replace(tool, function=call, available=masked)


class World:
    """The verifier: what the world says of the run at hand, while it goes on as well."""

    name, _, version = VERIFIER.partition("@")
    guides = True

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self, *run: Any) -> Verdict:
        told = self._job.verdict()
        checks = [Check(name=name, passed=passed, score=float(passed)) for name, passed in told["checks"].items()]
        return Verdict(verifier=VERIFIER, passed=told["success"], score=float(told["success"]), checks=checks)


def _success(demo: dict[str, Any], ends: str) -> Trajectory:
    """What was done elsewhere, as a run of autorl's."""
    steps = tuple(Step(index=index, thought="What is done and what comes next", finish_reason="stop", raw="",
                       action=Action(name=step["name"], arguments=step["arguments"]),
                       observation=Observation(text=step["observation"], ends_run=step["name"] == ends))
                  for index, step in enumerate(demo["steps"]))
    return Trajectory(id=demo["id"], task=Asked(id=demo["id"], text=demo["text"]), status=Status.FINISHED, steps=steps,
                      answer="Done.", verdict=Verdict(verifier=VERIFIER, passed=True, score=1.0))


def work(job: Job):
    openai.TIMEOUT = job.patience
    tools = tuple(_through(job, tool) for tool in content.load_pack("warehouse").groups[job.world])
    scratch = TemporaryDirectory()
    agent = Agent(model=LlamaCpp(MODEL, base_url=URL, attempts=1), tools=tools, workspaces=Path(scratch.name),
                  format="react" if VARIANT == "react" else "act", limits=Limits(steps=job.max_steps),
                  sampling=Sampling(job.temperature, job.max_tokens, constrained=VARIANT != "free"),
                  recall=Recall(job.k, job.budget, same_task=False))
    learned = ReplayStore(job.folder / "replay.db")

    def solve(task: Task, with_: Agent) -> None:
        with_.solve(Asked(id=task["id"], text=task["text"]), verify=World(job))

    if not job.learned:
        guided = VARIANT == "guided"
        for task, attempt in job.lessons(task_by_task=guided):
            warmer = replace(agent.sampling, temperature=warmth(job.temperature, attempt, 0))
            with job.run(task, phase="learn", attempt=attempt):
                solve(task, replace(agent, store=learned, sampling=warmer, guided=guided))

    def do(task: Task, _=scratch) -> None:
        if not task["demos"]:
            solve(task, replace(agent, memory=learned))
            return
        with TemporaryDirectory() as folder, closing(ReplayStore(Path(folder) / "replay.db")) as given:
            given.add([_success(demo, job.ends) for demo in task["demos"]])
            solve(task, replace(agent, memory=given))

    return do


if __name__ == "__main__":
    serve(work)

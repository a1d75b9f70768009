"""icrl-py: its Agent on its LiteLLMProvider, which plans, then thinks and acts in turn, a completion each, and shows
steps of successes that it retrieves for each of these. It learns by `train`, and keeps what succeeded.

It has no calls of tools: an action is text, the name of a tool and its arguments as JSON, of which the first one
counts. Its prompts are those of its README, with the tools and the form of an action put in.
"""

import json
import re
import shutil

from icrl import Agent, LiteLLMProvider, Step, Trajectory
from warehouse_protocol import KEY, MODEL, URL, Job, Task, serve

PLAN = """You are a helpful agent that works with tools. The tools:
{tools}
When the task is done, call {ends}.

Goal: {{goal}}

Here are examples of similar tasks that were completed successfully:
{{examples}}

Create a step-by-step plan to accomplish the goal."""

REASON = """The tools:
{tools}
When the task is done, call {ends}.

Goal: {{goal}}
Plan: {{plan}}

Previous steps:
{{history}}

Current observation:
{{observation}}

Examples of similar situations:
{{examples}}

Think step by step about what you observe and what to do next."""

ACT = """The tools:
{tools}
When the task is done, call {ends}.

Goal: {{goal}}
Plan: {{plan}}

Steps so far:
{{history}}

Current observation: {{observation}}
Your reasoning: {{reasoning}}

Examples of similar situations:
{{examples}}

What is the next action? Respond with only the action: the name of one tool and its arguments as one JSON object, \
such as {example}"""

BEGINNING = "Nothing is done yet."


class World:
    """The environment that the agent acts in: one run in the world of `job`."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._names = [tool["name"] for tool in job.tools]

    def reset(self, goal: str) -> str:
        return BEGINNING

    def step(self, action: str) -> tuple[str, bool, bool]:
        told = self._told(action)
        return told, self._job.over, self._job.over and self._job.success()

    def _told(self, action: str) -> str:
        """The first tool that the text names, with the first JSON object after it."""
        found = re.search(rf"\b({'|'.join(self._names)})\b", action)
        if not found:
            return f"Error: no tool is named. Tools: {', '.join(self._names)}"
        start = action.find("{", found.end())
        try:
            arguments = json.JSONDecoder().raw_decode(action, start)[0] if start >= 0 else {}
        except ValueError as error:
            return f"Error: the arguments are no JSON object: {error}"
        inner = arguments.get("arguments") if isinstance(arguments, dict) else None
        return self._job.call(found[1], inner if isinstance(inner, dict) else arguments)


def said(step: dict) -> str:
    return f"{step['name']} {json.dumps(step['arguments'])}"


def successes(task: Task) -> list[Trajectory]:
    return [Trajectory(goal=demo["text"], plan="\n".join(said(step) for step in demo["steps"]), success=True, steps=[
        Step(observation=seen, reasoning="I will do the next step.", action=said(step))
        for seen, step in zip([BEGINNING, *(step["observation"] for step in demo["steps"])],
                              [*demo["steps"]], strict=False)  # what the last step came to ended the run
    ]) for demo in task["demos"]]


def work(job: Job):
    listed = "\n".join(f"{tool['name']} {json.dumps(tool['parameters'].get('properties', {}))}: {tool['description']}"
                       for tool in job.tools)
    example = said({"name": job.ends, "arguments": {}}).replace("{", "{{").replace("}", "}}")
    listed = listed.replace("{", "{{").replace("}", "}}")
    prompts = [each.format(tools=listed, ends=job.ends, example=example) for each in (PLAN, REASON, ACT)]
    model = LiteLLMProvider(model=f"openai/{MODEL}", temperature=job.temperature, max_tokens=job.max_tokens,
                            api_base=URL, api_key=KEY, num_retries=0, timeout=job.patience)

    def agent(folder: str, seeds: list[Trajectory]) -> Agent:
        return Agent(model, folder, *prompts, k=job.k, max_steps=job.max_steps, seed_trajectories=seeds)

    if not job.learned:
        for task, attempt in job.lessons():
            with job.run(task, phase="learn", attempt=attempt):
                agent(job.memory, []).train_sync(World(job), task["text"])

    def do(task: Task) -> None:
        folder = job.memory
        if task["demos"]:
            folder = str(job.folder / "given")
            shutil.rmtree(folder, ignore_errors=True)
        agent(folder, successes(task)).run_sync(World(job), task["text"])

    return do


if __name__ == "__main__":
    serve(work)

"""DSPy: `dspy.ReAct` with its default adapter (text fields, and JSON mode where these do not parse), caches off.

It learns by `BootstrapFewShot`, with the verdict as the metric: four successes at most, of which it shows one step
each, as it does where a predictor is asked several times. Successes that are given become demonstrations of ReAct's own
predictor, one for every step.
"""

import dspy
from warehouse_protocol import KEY, MODEL, URL, Job, Task, serve

PROGRAM = "program.json"


def work(job: Job):
    dspy.configure(lm=dspy.LM(f"openai/{MODEL}", api_base=URL, api_key=KEY, cache=False, num_retries=0,
                              temperature=job.temperature, max_tokens=job.max_tokens, timeout=job.patience))
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    asked = dspy.Signature("task -> answer", f"Do the task with the tools. When it is done, call {job.ends}.")

    class Worker(dspy.ReAct):
        """It ends with the run: what it asks after that is refused."""

        def forward(self, **inputs):
            try:
                return super().forward(**inputs)
            except Exception:
                if not job.over:
                    raise
                return dspy.Prediction(answer="")

    def program() -> Worker:
        return Worker(asked, tools=[_tool(job, tool) for tool in job.tools], max_iters=job.max_steps)

    agent = program()
    if job.learn:
        if not job.learned:
            _bootstrapped(job, program()).save(str(job.folder / PROGRAM))
        agent.load(str(job.folder / PROGRAM))

    def do(task: Task) -> None:
        if task["demos"]:
            agent.react.demos = [step for demo in task["demos"] for step in _steps(agent, demo)]
        agent(task=task["text"])

    return do


def _bootstrapped(job: Job, student: dspy.ReAct) -> dspy.ReAct:
    attempts: dict[str, int] = {}

    class Attempt(type(student)):
        """Each attempt of the teacher's is a run."""

        def forward(self, **inputs):
            task = next(task for task in job.learn if task["text"] == inputs["task"])
            attempt = attempts[task["id"]] = attempts.get(task["id"], -1) + 1
            prediction = dspy.Prediction(answer="")
            if job.may_try(task, attempt):
                with job.run(task, phase="learn", attempt=attempt):
                    prediction = super().forward(**inputs)
            prediction.solved = task["id"] in job.solved
            return prediction

    student.__class__ = Attempt
    teleprompter = dspy.BootstrapFewShot(
        metric=lambda example, prediction, trace=None: prediction.solved, max_bootstrapped_demos=job.k,
        max_labeled_demos=0, max_rounds=job.attempts, max_errors=10**6)
    examples = [dspy.Example(task=task["text"]).with_inputs("task") for task in job.learn]
    return teleprompter.compile(student, trainset=examples)


def _steps(agent: dspy.ReAct, demo: dict) -> list[dspy.Example]:
    trajectory, steps = {}, []
    for place, step in enumerate(demo["steps"]):
        thought = "I will do the next step."
        steps.append(dspy.Example(
            augmented=True, task=demo["text"], trajectory=agent._format_trajectory(trajectory), next_thought=thought,
            next_tool_name=step["name"], next_tool_args=step["arguments"]))
        trajectory |= {f"thought_{place}": thought, f"tool_name_{place}": step["name"],
                       f"tool_args_{place}": step["arguments"], f"observation_{place}": step["observation"]}
    return steps


def _tool(job: Job, tool: dict) -> dspy.Tool:
    def call(**arguments):
        return job.call(tool["name"], arguments)

    return dspy.Tool(call, name=tool["name"], desc=tool["description"],
                     args=tool["parameters"].get("properties", {}), arg_types={})


if __name__ == "__main__":
    serve(work)

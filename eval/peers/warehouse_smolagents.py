"""smolagents: a ToolCallingAgent or, as the variant `code`, a CodeAgent (with `use_structured_outputs_internally`, so
that the server holds it to JSON), both on its OpenAIModel. A ToolCallingAgent requires a call of the server; where the
text is none that the server reads, it reads the text itself.

It does not learn from run to run. Successes are shown through `instructions`, which stand in the system prompt, written
as the agent's own prompt writes its examples.
"""

import json

from smolagents import CodeAgent, LogLevel, OpenAIModel, Tool, ToolCallingAgent
from warehouse_protocol import KEY, MODEL, URL, VARIANT, Job, Task, serve


class WorldTool(Tool):
    skip_forward_signature_validation = True
    output_type = "string"

    def __init__(self, job: Job, tool: dict) -> None:
        self.name, self.description = tool["name"], tool["description"]
        self.inputs = {name: {"description": name, **schema}
                       for name, schema in tool["parameters"].get("properties", {}).items()}
        self._job = job
        super().__init__()

    def forward(self, *args, **arguments):
        return self._job.call(self.name, {**dict(zip(self.inputs, args, strict=False)), **arguments})


def as_calls(demo: dict) -> str:
    """As the examples in toolcalling_agent.yaml."""
    lines = [f'Task: "{demo["text"]}"', ""]
    for step in demo["steps"]:
        call = json.dumps({"name": step["name"], "arguments": step["arguments"]}, indent=2)
        lines += [f"Action:\n{call}", f"Observation: {json.dumps(step['observation'])}", ""]
    return "\n".join(lines)


def as_code(demo: dict) -> str:
    """As the examples in structured_code_agent.yaml."""
    lines = [f'Task: "{demo["text"]}"', ""]
    for step in demo["steps"]:
        arguments = ", ".join(f"{name}={value!r}" for name, value in step["arguments"].items())
        lines += [json.dumps({"thought": "I will do the next step.", "code": f"print({step['name']}({arguments}))\n"}),
                  f"Observation: {json.dumps(step['observation'])}", ""]
    return "\n".join(lines)


def instructions(job: Job, task: Task, write) -> str:
    told = f"When the task is done, call {job.ends}."
    examples = [write(demo) for demo in task["demos"]]
    return "\n---\n".join([told, *(["Here are tasks that were done with these tools:", *examples] if examples else [])])


def work(job: Job):
    model = OpenAIModel(MODEL, api_base=URL, api_key=KEY, temperature=job.temperature, max_tokens=job.max_tokens,
                        client_kwargs={"max_retries": 0, "timeout": job.patience})
    tools = [WorldTool(job, tool) for tool in job.tools]

    def do(task: Task) -> None:
        options = {"tools": tools, "model": model, "max_steps": job.max_steps, "verbosity_level": LogLevel.OFF}
        if VARIANT == "code":
            agent = CodeAgent(**options, instructions=instructions(job, task, as_code),
                              use_structured_outputs_internally=True)
        else:
            agent = ToolCallingAgent(**options, instructions=instructions(job, task, as_calls))
        agent.run(task["text"])

    return do


if __name__ == "__main__":
    serve(work)

"""Makes smolagents.jsonl: traces that smolagents itself wrote, of agents whose model is a script.

    pip install smolagents==1.26.0
    python tests/data/make_smolagents.py > tests/data/smolagents.jsonl
"""

import json
from typing import Any

from smolagents import CodeAgent, LogLevel, ToolCallingAgent, tool
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)
from smolagents.monitoring import TokenUsage


@tool
def weather(city: str) -> str:
    """What the weather is like.

    Args:
        city: where
    """
    return f"It rains in {city}."


@tool
def divide(one: float, other: float) -> float:
    """Divide.

    Args:
        one: what is divided
        other: by what
    """
    return one / other


class Script(Model):
    """Says one thing after the other: a text, or a list of calls with the text before them."""

    def __init__(self, *lines: Any) -> None:
        super().__init__(model_id="script")
        self.lines = list(lines)

    def generate(self, messages: Any, **_: Any) -> ChatMessage:
        line = self.lines.pop(0)
        text, calls = (line, []) if isinstance(line, str) else (line[0], line[1:])
        made = [ChatMessageToolCall(id=f"call_{n}", type="function",
                                    function=ChatMessageToolCallFunction(name=name, arguments=arguments))
                for n, (name, arguments) in enumerate(calls)]
        return ChatMessage(role=MessageRole.ASSISTANT, content=text, tool_calls=made or None,
                           token_usage=TokenUsage(input_tokens=100, output_tokens=10))


def calling(*lines: Any, **options: Any) -> ToolCallingAgent:
    agent = ToolCallingAgent([weather, divide], Script(*lines), verbosity_level=LogLevel.OFF, **options)
    agent.prompt_templates["system_prompt"] = "Call a tool."
    return agent


def steps(agent: Any, *tasks: str, full: bool = False) -> Any:
    for number, task in enumerate(tasks):
        agent.run(task, reset=number == 0)
    return agent.memory.get_full_steps() if full else agent.memory.get_succinct_steps()


def traces() -> Any:
    yield "one call, then the answer", steps(calling(
        ["I look.", ("weather", {"city": "Oslo"})], ["Now I know.", ("final_answer", {"answer": "Rain."})],
    ), "What is the weather in Oslo?", full=True)
    yield "two calls at once", steps(calling(
        ["Both.", ("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})],
        ["", ("final_answer", {"answer": "Rain in both."})],
    ), "Compare the weather in Oslo and Rome")
    yield "a tool that fails, a tool that is not there, and words without a call", steps(calling(
        ["Divide.", ("divide", {"one": 1, "other": 0})], ["Guess.", ("guess", {})], "It cannot be done.",
        ["", ("final_answer", {"answer": "It cannot be done."})],
    ), "Divide one by zero")
    yield "no answer within its steps", steps(calling(
        ["Once.", ("weather", {"city": "Oslo"})], ["Twice.", ("weather", {"city": "Oslo"})], "I do not know.",
        max_steps=2,
    ), "Wait for the sun in Oslo")
    yield "a plan before the first step", steps(calling(
        "1. Look. 2. Answer.", ["", ("weather", {"city": "Oslo"})], ["", ("final_answer", {"answer": "Rain."})],
        planning_interval=5,
    ), "Plan, and then tell the weather in Oslo")
    yield "two tasks in one memory", steps(calling(
        ["", ("final_answer", {"answer": "Hello."})], ["", ("final_answer", {"answer": "Goodbye."})],
    ), "Say hello", "Say goodbye")
    code = CodeAgent([weather], Script(
        'Thought: I ask first.\n<code>\nsaid = weather(city="Oslo")\nprint(said)\n</code>',
        "Thought: I try to import.\n<code>\nimport socket\n</code>",
        'Thought: I answer.\n<code>\nfinal_answer({"weather": said})\n</code>',
    ), verbosity_level=LogLevel.OFF)
    yield "code", steps(code, "Write code that tells the weather in Oslo")
    result = calling(["", ("final_answer", {"answer": 42})]).run("How many?", return_full_result=True)
    yield "a whole result", result.dict()


if __name__ == "__main__":
    for _, trace in traces():
        print(json.dumps(trace))

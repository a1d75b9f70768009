"""smolagents: a ToolCallingAgent on its OpenAI model; its console log is off."""

import sys

from protocol import KEY, serve
from smolagents import LogLevel, OpenAIModel, ToolCallingAgent, tool


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first number
        b: the second number
    """
    return a + b


def main() -> None:
    model = OpenAIModel("mock", api_base=sys.argv[1], api_key=KEY)
    agent = ToolCallingAgent(tools=[add], model=model, max_steps=20, verbosity_level=LogLevel.OFF)
    serve(agent.run)


if __name__ == "__main__":
    main()

"""autorl with everything on: a store on disk, two exemplars recalled, every run verified. `off`: without any of it."""

import sys

from protocol import ANSWER, serve, task

from autorl import Agent, ReplayStore, Trajectory, tool

STORED = 50
"""Successes that recall has to choose from when the measurement begins."""


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    a: the first number
    b: the second number
    """
    return a + b


def right(trajectory: Trajectory) -> bool:
    return trajectory.answer == ANSWER


def main() -> None:
    keep = sys.argv[2:] != ["off"]
    agent = Agent(model="openai:mock", base_url=sys.argv[1], tools=[add], store=ReplayStore() if keep else None)

    def solve(text: str) -> str:
        return agent.solve(text, verify=right if keep else None).answer

    for number in range(STORED):
        solve(task(number))
    assert not keep or len(agent.solve(task(STORED), verify=right).recalled) == agent.recall.k
    serve(solve, first=STORED + 1)


if __name__ == "__main__":
    main()

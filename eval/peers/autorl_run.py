"""autorl with everything on: a store on disk, two exemplars recalled, every run verified. `off`: without the store."""

import sys
import tempfile
from pathlib import Path

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
    with tempfile.TemporaryDirectory() as folder:
        store = ReplayStore(Path(folder) / "replay.db") if keep else None
        agent = Agent(model="openai:mock", base_url=sys.argv[1], tools=[add], store=store,
                      workspaces=Path(folder) / "runs")

        def solve(text: str) -> str:
            trajectory = agent.solve(text, verify=right if keep else None)
            # The first run of all has nothing to recall, every later one has.
            assert not keep or trajectory.verified, trajectory
            return trajectory.answer

        for number in range(STORED if keep else 1):
            solve(task(number))
        serve(solve, first=STORED)


if __name__ == "__main__":
    main()

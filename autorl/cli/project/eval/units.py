"""Solves the tasks of tasks/units.jsonl one after the other, and counts how many were answered right.

A right answer is kept and recalled for the tasks after it. Run it with: python eval/units.py
"""

from pathlib import Path

from autorl import Agent, Limits, ReplayStore, Task, Trajectory


def is_right(trajectory: Trajectory) -> bool:
    """Whether the tool was used, and the wanted number stands in one of its results."""
    wanted = trajectory.task.requirements["answer"]
    return any(wanted in step.observation.text for step in trajectory.steps if step.observation)


if __name__ == "__main__":
    lines = Path(__file__).parent.parent.joinpath("tasks/units.jsonl").read_text().splitlines()
    agent = Agent(tools=["units"], store=ReplayStore(), limits=Limits(steps=8))
    for line in lines:
        done = agent.solve(Task.model_validate_json(line), verify=is_right)
        print(f"{done.task.text:<45} {done.status:<13} {'right' if done.verified else 'wrong'}")

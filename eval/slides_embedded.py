"""Twenty slide tasks with the embedded model, constrained, from an empty store: where learning starts from.

Each task begins with nothing but the seeds of the slides pack, so the tasks do not help each other. Kept as
finished_of_20, verified_of_20, seconds_per_task_max and cached_share in eval/results/engine.json, of `local` as it
comes: with the policy that autorl brings. `--bare` asks the model without it, and keeps the same as bare_*.

    python eval/slides_embedded.py [--bare] [--seed 0] [--format NAME]
"""

import argparse
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

from kept import keep, show
from pptx import Presentation

from autorl import Agent, Sampling, Task, Trajectory, content
from autorl.models.local import brought

TASKS = 20


def opens(trajectory: Trajectory, folder: Path) -> bool:
    """Whether the run left a deck that opens."""
    decks = [folder / made.path for made in trajectory.artifacts if made.path.endswith(".pptx")]
    try:
        return bool(decks) and all(len(Presentation(str(deck)).slides) > 0 for deck in decks)
    except Exception:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the sampling")
    parser.add_argument("--bare", action="store_true", help="the model without the policy that autorl brings")
    parser.add_argument("--format", help="react, act or structured; what the policy learned, or react, by default")
    parser.add_argument("--no-keep", action="store_true", help="print the figures and keep nothing")
    args = parser.parse_args()

    lines = content.find("tasks", "slides.jsonl").read_text("utf-8").splitlines()[:TASKS]
    tasks = [Task.model_validate_json(line) for line in lines]
    done: list[Trajectory] = []
    decks = 0
    ours = None if args.bare else brought()
    model = f"local+{ours.name}" if ours else "local"
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent(model, format=args.format, sampling=Sampling(seed=args.seed), workspaces=Path(folder))
        agent.policy.model.count("")  # loading the weights is no part of a task
        for task in tasks:
            trajectory = agent.solve(task)
            good = trajectory.status == "finished" and opens(trajectory, Path(folder) / trajectory.id)
            decks += good
            done.append(trajectory)
            score = trajectory.verdict.score if trajectory.verdict else 0.0
            made, passed = "deck opens" if good else "no deck", "passed" if trajectory.verified else "not passed"
            print(f"{task.id}  {trajectory.status:<13} {made:<10}  {passed:<10} {score:.2f}",
                  f"{len(trajectory.steps):>3} steps  {trajectory.seconds:5.1f} s  {task.text[:60]}", flush=True)
    later = [step.usage for trajectory in done for step in trajectory.steps[1:]]
    seconds = [trajectory.seconds for trajectory in done]
    figures = {
        "finished_of_20": {"value": decks, "unit": "tasks", "n": len(done), "goal": ">= 19"},
        "verified_of_20": {"value": sum(t.verified for t in done), "unit": "tasks", "n": len(done)},
        "seconds_per_task_max": {"value": round(max(seconds), 1), "unit": "s", "n": len(done), "goal": "<= 60"},
        "cached_share": {
            "value": round(sum(u.cached_tokens for u in later) / sum(u.prompt_tokens for u in later), 4),
            "unit": "share of prompt tokens from the second step of a run on", "n": len(later), "goal": ">= 0.9",
        },
    }
    print(f"\nmedian {statistics.median(seconds):.1f} s a task, "
          f"{sum(t.usage.completion_tokens for t in done) / len(done):.0f} tokens written a task, by {model}")
    if args.bare:
        figures = {f"bare_{name}": each for name, each in figures.items()}
    print(show(figures))
    if not args.no_keep:
        keep("engine", figures, command=shlex.join(["python", "eval/slides_embedded.py", *sys.argv[1:]]))


if __name__ == "__main__":
    main()

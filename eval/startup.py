"""How soon the command line answers: `autorl --help` beside `import typer`, which it cannot do without.

    python eval/startup.py [--runs 30] [--no-keep]

Both are started in turns, so that whatever else the machine does falls on both alike. Also refuses (exit code 1) a
`--help` that imports one of the heavy modules, which belong where they are used.
"""

import argparse
import random
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kept import keep, show

HEAVY = {"openai", "torch", "numpy", "sqlalchemy", "xllamacpp"}
WARM_UP = 3
"""Starts before the measurement, which compile and read the files once."""


def help_command() -> list[str]:
    """What follows `python` to run `autorl --help`: the console script of this environment, or the module."""
    script = Path(sys.executable).parent / "autorl"
    return [*([str(script)] if script.exists() else ["-m", "autorl"]), "--help"]


def seconds(command: list[str]) -> float:
    """Wall clock of a process that must succeed."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    wall = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr[-2000:]}")
    return wall


def imported(command: list[str]) -> set[str]:
    """Top-level names of all modules that a command imports."""
    done = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, re.MULTILINE)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="starts of each (default 30)")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    ours, theirs = help_command(), ["-c", "import typer"]
    for command in (ours, theirs) * WARM_UP:
        seconds(command)
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(given.runs)]

    def ratio(drawn: list[tuple[float, float]]) -> float:
        return statistics.median(one for one, _ in drawn) / statistics.median(other for _, other in drawn)

    chance = random.Random(0)
    resampled = sorted(ratio(chance.choices(pairs, k=len(pairs))) for _ in range(2000))
    figures = {"help_vs_typer": {
        "value": ratio(pairs), "unit": "ratio", "interval": [resampled[50], resampled[1949]], "n": len(pairs),
        "goal": "<= 2.5",
    }}
    print(f"autorl --help {1000 * statistics.median(one for one, _ in pairs):.0f} ms, "
          f"import typer {1000 * statistics.median(other for _, other in pairs):.0f} ms")
    print(show(figures))
    if not given.no_keep:
        keep("engine", figures, f"python eval/startup.py {shlex.join(sys.argv[1:])}".strip())
    if heavy := HEAVY & imported(ours):
        raise SystemExit(f"--help imports {', '.join(sorted(heavy))}: import it where it is used")


if __name__ == "__main__":
    main()

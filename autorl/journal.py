"""What a run writes down while it goes on. The replay store is one; `Journal` itself keeps nothing."""

from pathlib import Path

from autorl.types import Observation, Step, Trajectory, Verdict


class Journal:
    """Called at every turn of a run, and returned from only when what it was told is safe."""

    def began(self, trajectory: Trajectory) -> None:
        """A run starts, or starts again after a resume."""

    def decided(self, run: str, step: Step) -> None:
        """The policy has spoken; its action has not been carried out yet."""

    def observed(self, run: str, index: int, observation: Observation) -> None:
        """The environment has answered step `index`."""

    def ended(self, trajectory: Trajectory) -> None:
        """The run is over: its status, reason, answer and artifacts stand."""

    def keep_files(self, trajectory: Trajectory, workspace: Path) -> None:
        """What the run made lies in this folder, and may be changed there later."""

    def judged(self, run: str, verdict: Verdict) -> None:
        """Somebody said whether the run did what was asked."""


class Watcher(Journal):
    """A journal for those who only look on; what it raises ends the run."""

    def text(self, piece: str) -> None:
        """A piece of a completion has come."""

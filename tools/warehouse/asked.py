"""What a task asks for, as its requirements say it."""

from typing import NamedTuple

from autorl.errors import UsageError
from autorl.types import Task

from .invent import world as world_named
from .world import State, World


class Asked(NamedTuple):
    """The world of a task, how it begins, how it is to end, and the fewest calls for that, the finish among them."""

    world: World
    start: State
    goal: State
    optimal: int

    @classmethod
    def of(cls, task: Task) -> "Asked":
        """Raises UsageError for a task that does not say it."""
        wanted = task.requirements
        try:
            return cls(world_named(wanted["world"]), State.from_json(wanted["start"]), State.from_json(wanted["goal"]),
                       int(wanted["optimal"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"the task '{task.id}' does not say what the warehouse is to be like in the end "
                             f"({type(error).__name__}: {error})",
                             "Its requirements need: world, start, goal, optimal") from error

    @property
    def requirements(self) -> dict[str, object]:
        return {"group": f"warehouse {self.world.name}", "world": self.world.name, "optimal": self.optimal,
                "start": self.start.to_json(), "goal": self.goal.to_json()}

"""LLM agents that learn from their own successes: first in their context, then in their weights."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autorl.agent import Agent
    from autorl.errors import AutorlError, ToolError
    from autorl.models.recorded import Recorded
    from autorl.models.scripted import Scripted
    from autorl.policy import Sampling
    from autorl.registry import Pack, RunContext, tool
    from autorl.replay.recall import Recall
    from autorl.replay.store import ReplayStore
    from autorl.types import Check, Limits, Status, Task, Trajectory, Verdict

_HOMES = {
    "Agent": "agent", "AutorlError": "errors", "ToolError": "errors", "Recorded": "models.recorded",
    "Scripted": "models.scripted", "Sampling": "policy", "Pack": "registry", "RunContext": "registry",
    "tool": "registry", "Recall": "replay.recall", "ReplayStore": "replay.store", "Check": "types",
    "Limits": "types", "Status": "types", "Task": "types", "Trajectory": "types", "Verdict": "types",
}

__all__ = [
    "Agent", "AutorlError", "Check", "Limits", "Pack", "Recall", "Recorded", "ReplayStore", "RunContext", "Sampling",
    "Scripted", "Status", "Task", "ToolError", "Trajectory", "Verdict", "tool",
]


def __getattr__(name: str) -> Any:
    # Imported when first used: `autorl --help` must not wait for a database layer.
    if name not in _HOMES:
        raise AttributeError(f"module 'autorl' has no attribute '{name}'")
    return getattr(import_module(f"autorl.{_HOMES[name]}"), name)

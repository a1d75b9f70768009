"""A run of a benchmark as a data set: every context as it was asked, and everything that was made."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from autorl import __version__, content, formats
from autorl.bench import ledger
from autorl.bench.episode import tools_for
from autorl.bench.ledger import Episode
from autorl.bench.run import LEDGER, RUNS, begun_with
from autorl.bench.spec import Spec
from autorl.errors import UsageError
from autorl.registry import Toolset
from autorl.replay.recall import shown_before
from autorl.replay.store import ReplayStore
from autorl.types import Context, Trajectory


def export(folder: Path, target: Path) -> int:
    """Write the run in `folder` to `target`, a new or empty folder, and return how many episodes that were.

    `manifest.json` names every episode with its cell, its outcome, and its files with their hashes. In `runs/RUN/` lie
    `contexts.jsonl`, a step a line (the messages as the model was asked, its completion, the observation), and `files/`
    with what it made. Raises UsageError if `target` is not empty, or if the prompts or tools are no longer those that
    were asked with, so that the contexts cannot be told; or if it cannot be written.
    """
    spec, tasks = begun_with(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already, and not empty", "Name a new folder")
    episodes = [entry for entry in ledger.read(folder / LEDGER) if isinstance(entry, Episode)]
    try:
        with closing(ReplayStore(folder / RUNS)) as runs:
            listed = [_exported(spec, runs, episode, target / "runs" / episode.run) for episode in episodes]
        manifest = {"autorl": __version__, "definition": spec.model_dump(mode="json"),
                    "tasks": tasks.model_dump(mode="json"), "episodes": listed}
        (target / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error}", "Name another folder, or make room there") from error
    return len(episodes)


def _exported(spec: Spec, runs: ReplayStore, episode: Episode, place: Path) -> dict[str, Any]:
    """Write an episode to `place`, and return what the manifest says of it."""
    trajectory = runs.get(episode.run)
    place.mkdir(parents=True)
    with (place / "contexts.jsonl").open("w", encoding="utf-8") as file:
        for line in _contexts(spec, runs, episode, trajectory):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {**episode.model_dump(mode="json", exclude={"kind"}), "files": _files(runs, trajectory, place),
            "verdict": trajectory.verdict and trajectory.verdict.model_dump(mode="json")}


def _contexts(spec: Spec, runs: ReplayStore, episode: Episode, trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    """What the policy was asked at each step, told anew from the stored run, and what came of it."""
    chosen = spec.settings[episode.cell.setting].chosen
    form, tools = formats.load(trajectory.provenance.format), _toolset(tools_for(trajectory.task, chosen.tools))
    made = trajectory.provenance
    if (form.prompt_hash, tools.hash) != (made.prompt_hash, made.tools_hash):
        raise UsageError(f"the prompts or tools are not those that the run {trajectory.id} was asked with",
                         "Export with the version of autorl and of the project that made it")
    exemplars = shown_before(runs, trajectory, tools.seeds)
    if len(exemplars) < len(trajectory.recalled):
        raise UsageError(f"an exemplar that the run {trajectory.id} was shown is gone", "It cannot be exported whole")
    for step in trajectory.steps:
        context = Context(
            trajectory.task, tools.specs, tuple(e for e in exemplars if e.trajectory.id not in step.dropped),
            trajectory.steps[: step.index], elided=step.elided, warning=str(made.recall.get("warning", "")))
        yield {"step": step.index, "messages": form.render(context), "completion": step.raw,
               "action": step.action and step.action.model_dump(mode="json"), "error": step.error,
               "observation": step.observation and step.observation.text}


def _files(runs: ReplayStore, trajectory: Trajectory, place: Path) -> list[dict[str, Any]]:
    """Copy what a run made to `place`; a file that is gone is listed as such."""
    listed = []
    for artifact in trajectory.artifacts:
        kept = runs.file(trajectory.id, artifact)
        if kept is not None:
            path = place / "files" / artifact.path
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, path)
        listed.append({**artifact.model_dump(), "there": kept is not None})
    return listed


@lru_cache(maxsize=256)
def _toolset(tools: tuple[str, ...]) -> Toolset:
    return Toolset.of(tools, content.load_pack)

"""What is lost, torn or inconsistent in a store whose writers were killed.

`lost`: a call was acknowledged, and what it wrote is not there or is something else. `torn`: a part of a whole is there
without the rest, or twice. `inconsistent`: what the store keeps up for recall and lists is not what its other tables
say, or its database finds fault with itself. The last are worked out here once more, from the rows alone.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from autorl import ReplayStore
from autorl.errors import AutorlError, UnknownName
from autorl.replay import files
from autorl.replay.standing import CAP
from autorl.types import Observation, Status, Trajectory

from .load import SHARED, judged, planned
from .log import Call, Said

REAPED = "its process ended before the run did"


@dataclass
class Findings:
    """What is wrong, and of how much: acknowledged calls, runs in the store, calls that the store refused."""

    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    inconsistent: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    acknowledged: int = 0
    runs: int = 0
    resumed: int = 0

    @property
    def sound(self) -> bool:
        return not (self.lost or self.torn or self.inconsistent)

    def plus(self, other: "Findings") -> "Findings":
        return Findings(**{name: getattr(self, name) + getattr(other, name) for name in vars(self)})


def audit(store: ReplayStore, said: Said) -> Findings:
    """Hold the store against what was said of it. All writers must be dead, and nobody else may write."""
    found = Findings(acknowledged=said.acknowledged)
    found.refused = [f"{call.do} {call.what}: {call.failed}" for call in said.calls if call.failed]
    by_run: dict[str, list[Call]] = defaultdict(list)
    for call in said.of("began", "decided", "observed", "ended", "files"):
        by_run[call.what["run"]].append(call)
    for run, calls in by_run.items():
        _run(store, run, calls, found)
    rows = _rows(store)
    _imports(store, said, found)
    _unique(rows, said, found)
    _others(rows, said, found)
    announced = {*SHARED, *by_run, *(run for call in said.of("add") for run in call.what["runs"])}
    found.torn += [f"{run}: nobody wrote it" for run in rows["runs"].keys() - announced]
    found.runs = len(rows["runs"])
    began = Counter(call.what["run"] for call in said.of("began") if call.acknowledged)
    found.resumed = sum(times > 1 for times in began.values())
    found.torn += _shapes(rows)
    found.inconsistent += [*_standing(rows), *_words(store, rows), *_vectors(store, rows, said)]
    found.inconsistent += [f"check: {problem}" for problem in store.check()]
    return found


def _run(store: ReplayStore, name: str, calls: list[Call], found: Findings) -> None:
    """A run that was written step by step holds all that was acknowledged, and a beginning of what was planned."""
    run = planned(name)

    def highest(do: str, *, acknowledged: bool) -> int:
        return max((call.what["step"] + 1 for call in calls
                    if call.do == do and (call.acknowledged or not acknowledged)), default=0)

    def acknowledged(do: str) -> bool:
        return any(call.do == do and call.acknowledged for call in calls)

    try:
        kept = store.get(name)
    except UnknownName:
        if any(call.acknowledged for call in calls):
            found.lost.append(f"{name}: the run is not there")
        return
    except AutorlError as error:
        found.lost.append(f"{name}: {error}")
        return
    if _head(kept) != _head(run):
        found.lost.append(f"{name}: another task, provenance or start than was written")
    seen = sum(step.observation is not None for step in kept.steps)
    for what, there, do in (("steps", len(kept.steps), "decided"), ("observations", seen, "observed")):
        if there < (least := highest(do, acknowledged=True)):
            found.lost.append(f"{name}: {there} {what} of {least} acknowledged ones")
        if there > highest(do, acknowledged=False):
            found.torn.append(f"{name}: {there} {what}, more than were ever written")
    for kept_step, step in zip(kept.steps, run.steps, strict=False):
        wanted = step if kept_step.observation else step.model_copy(update={"observation": None})
        if kept_step != wanted:
            found.lost.append(f"{name}: step {step.index} is not what was written")
    if kept.status is run.status and any(call.do == "ended" for call in calls):
        if (kept.reason, kept.answer, kept.artifacts, kept.seconds) != (run.reason, run.answer, run.artifacts,
                                                                        run.seconds):
            found.torn.append(f"{name}: its end is there in part")
        if len(kept.steps) != len(run.steps):
            found.torn.append(f"{name}: it ended without all of its steps")
    elif acknowledged("ended"):
        found.lost.append(f"{name}: its end; it is {kept.status} ({kept.reason})")
    elif (kept.status, kept.reason) != (Status.FAILED, REAPED):
        found.torn.append(f"{name}: neither ended nor reaped, but {kept.status} ({kept.reason})")
    if acknowledged("files"):
        found.lost += [f"{name}: {problem}" for artifact in run.artifacts
                       if (problem := files.problem(store._database.artifacts, name, artifact))]


def _head(run: Trajectory) -> tuple[Any, ...]:
    return run.task, run.provenance, run.started, run.recalled


def _imports(store: ReplayStore, said: Said, found: Findings) -> None:
    """What was added at once is there as a whole, or not at all."""
    for call in said.of("add"):
        there = []
        for name in call.what["runs"]:
            run = planned(name)
            if name in call.what["judged"]:
                run = run.model_copy(update={"verdict": judged(name, f"{name} add")})
            try:
                there.append(store.get(name) == run)
            except AutorlError:
                there.append(False)
        if call.acknowledged and not all(there):
            found.lost.append(f"{there.count(False)} of {len(there)} runs that were added: {call.what['runs'][0]} ...")
        elif any(there) and not all(there):
            found.torn.append(f"{there.count(True)} of {len(there)} runs that were added: {call.what['runs'][0]} ...")


def _unique(rows: dict[str, Any], said: Said, found: Findings) -> None:
    """Every acknowledged verdict and change of trust is there once; none is there twice, or was never given."""
    judgements = Counter((row["run"], json.loads(row["body"])["why"]) for row in rows["verdicts"])
    added = {(run, f"{run} add"): call.acknowledged for call in said.of("add") for run in call.what["judged"]}
    added |= {(run, f"{run} add"): True for run in SHARED}
    given = {(call.what["run"], call.what["why"]): call.acknowledged for call in said.of("judged")} | added
    changes = Counter((row["run"], row["why"]) for row in rows["trust_changes"] if row["who"] == "siege")
    changed = {(call.what["run"], call.what["why"]): call.acknowledged for call in said.of("trust")}
    for what, there, meant in (("verdict", judgements, given), ("change of trust", changes, changed)):
        found.lost += [f"{run}: the {what} {why}" for (run, why), known in meant.items()
                       if known and not there[run, why]]
        found.torn += [f"{run}: the {what} {why} is there {count} times" for (run, why), count in there.items()
                       if count > 1]
        found.torn += [f"{run}: the {what} {why}, which nobody gave" for run, why in there.keys() - meant.keys()]


def _others(rows: dict[str, Any], said: Said, found: Findings) -> None:
    """Policies and caps."""
    for call in said.of("policy"):
        there = rows["policies"].get(call.what["id"])
        if there is None:
            found.lost += [f"the policy {call.what['id']}"] if call.acknowledged else []
        elif there != set(call.what["runs"]):
            found.torn.append(f"the policy {call.what['id']} names {sorted(there)}")
    caps = said.of("cap")
    if any(call.acknowledged for call in caps) and rows["caps"].get("team") not in {c.what["most"] for c in caps}:
        found.lost.append(f"the cap of team: it is {rows['caps'].get('team')}")


def _vectors(store: ReplayStore, rows: dict[str, Any], said: Said) -> Iterator[str]:
    """Every task that is said to have its vector has the right one, and the numbers of vectors have no hole."""
    name = store.embedder.name
    kept = {row["task"]: row for row in rows["embeddings"] if row["model"] == name}
    if sorted(row["number"] for row in kept.values()) != list(range(len(kept))):
        yield f"the numbers of the {len(kept)} vectors have holes, or stand twice"
    upto = next((row["upto"] for row in rows["embedders"] if row["model"] == name), 0)
    if upto == 0 and any(call.acknowledged for call in said.of("embedded")):
        yield "no vector was kept, though all of them had been"
    for task in (row["id"] for row in rows["numbers"] if row["number"] <= upto and row["id"] not in kept):
        yield f"the task {task} is said to have a vector, and has none"
    wanted = store.embedder.embed([rows["tasks"][task] for task in kept]) if kept else ()
    for (task, row), vector in zip(kept.items(), wanted, strict=True):
        if row["vector"] != vector.tobytes():
            yield f"the vector of the task {task} is not what its text gives"


def _rows(store: ReplayStore) -> dict[str, Any]:
    """The rows to work things out from, read without the store's own questions."""
    def question(connection: sa.Connection) -> dict[str, Any]:
        def all_of(query: str) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(sa.text(query)).mappings()]

        policies: dict[str, set[str]] = {row["id"]: set() for row in all_of("SELECT id FROM policies")}
        for row in all_of("SELECT policy, run FROM policy_runs"):
            policies[row["policy"]].add(row["run"])
        return {
            "policies": policies, "runs": {row["id"]: row for row in all_of("SELECT * FROM runs")},
            "tasks": {row["id"]: row["text"] for row in all_of("SELECT id, text FROM tasks")},
            "numbers": all_of("SELECT id, number FROM tasks"), "embedders": all_of("SELECT * FROM embedders"),
            "embeddings": all_of("SELECT task, model, number, vector FROM embeddings"),
            "steps": all_of("SELECT run, step FROM steps"),
            "observations": all_of("SELECT run, step FROM observations"),
            "calls": all_of("SELECT run, step, body FROM steps"),
            "answers": all_of("SELECT run, step, body FROM observations"),
            "verdicts": all_of("SELECT id, run, passed, score, body FROM verdicts ORDER BY id"),
            "injections": all_of("SELECT run, exemplar FROM injections"),
            "artifacts": all_of("SELECT run FROM artifacts"),
            "trust_changes": all_of("SELECT run, trust, why, who FROM trust_changes ORDER BY id"),
            "records": {row["exemplar"]: row for row in all_of("SELECT * FROM records")},
            "caps": {row["name"]: row["cap"] for row in all_of("SELECT name, cap FROM sources")},
            "recallable": all_of("SELECT r.run, r.task, r.score, r.steps, r.source, t.names FROM recallable r "
                                 "LEFT JOIN toolsets t ON t.number = r.toolset"),
        }

    return store._database.read(question)


def _shapes(rows: dict[str, Any]) -> Iterator[str]:
    """Rows that refer to nothing, and runs whose steps have holes."""
    for table in ("steps", "observations", "verdicts", "injections", "artifacts", "trust_changes", "recallable"):
        for run in {row["run"] for row in rows[table]} - rows["runs"].keys():
            yield f"{table} of a run that is not there: {run}"
    for run in rows["runs"].values():
        if run["task"] not in rows["tasks"]:
            yield f"{run['id']}: its task is not there"
        if run["status"] == Status.RUNNING:
            yield f"{run['id']}: it is said to go on, and its writer is dead"
    taken, answered = _numbers(rows["steps"]), _numbers(rows["observations"])
    for run, numbers in taken.items():
        if sorted(numbers) != list(range(len(numbers))):
            yield f"{run}: its steps are {sorted(numbers)}"
        elif missing := numbers - answered[run] - {len(numbers) - 1}:
            yield f"{run}: the observations {sorted(missing)} are not there, and later steps are"
    for run, numbers in answered.items():
        if numbers - taken[run]:
            yield f"{run}: observations {sorted(numbers - taken[run])} without their steps"


def _numbers(rows: list[dict[str, Any]]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        found[row["run"]].add(row["step"])
    return found


def _standing(rows: dict[str, Any]) -> Iterator[str]:
    """What recall and lists go by, worked out from the other tables."""
    newest = {row["run"]: row for row in rows["verdicts"]}
    trust = {row["run"]: row["trust"] for row in rows["trust_changes"]}
    lengths = Counter(row["run"] for row in rows["steps"])
    called: dict[str, set[str]] = defaultdict(set)
    answers = {(row["run"], row["step"]): Observation.model_validate_json(row["body"]) for row in rows["answers"]}
    for row in rows["calls"]:
        answer = answers.get((row["run"], row["step"]))
        if answer and answer.ok:
            called[row["run"]].add(json.loads(row["body"])["action"]["name"])
    tainted = {run for (run, _), answer in answers.items() if answer.tainted}

    eligible: dict[str, set[str]] = defaultdict(set)
    for name, run in rows["runs"].items():
        verdict = newest.get(name)
        if (run["passed"], run["score"]) != ((bool(verdict["passed"]), verdict["score"]) if verdict else (None, None)):
            yield f"{name}: it says passed {run['passed']} {run['score']}, its newest verdict {verdict}"
        if run["trust"] != trust.get(name, "trusted"):
            yield f"{name}: it is {run['trust']}, and was last set to {trust.get(name)}"
        ended = run["status"] not in (Status.RUNNING, Status.FAILED)
        if ended and (run["length"], set(json.loads(run["tools"]))) != (lengths[name], called[name]):
            yield f"{name}: it says {run['length']} steps, {run['tools']}; it has {lengths[name]}, {called[name]}"
        if ended and name in tainted and name not in trust:
            yield f"{name}: it read what came from outside, and was never quarantined"
        if run["status"] == Status.FINISHED and run["trust"] == "trusted" and run["passed"]:
            eligible[run["source"]].add(name)

    for row in rows["recallable"]:
        run = rows["runs"].get(row["run"])
        if run and (row["task"], row["score"], row["steps"], row["source"], row["names"]) != (
                run["task"], run["score"], run["length"], run["source"], run["tools"]):
            yield f"{row['run']}: recall knows it as {row}"
    for source in {row["source"] for row in rows["recallable"]} | eligible.keys():
        inside = [row["run"] for row in rows["recallable"] if row["source"] == source]
        cap = rows["caps"].get(source, None if source == "local" else CAP)
        room = len(eligible[source]) if cap is None else min(cap, len(eligible[source]))
        if wrong := set(inside) - eligible[source]:
            yield f"recall may show {sorted(wrong)} of {source}, which it must not"
        if len(inside) != room:
            yield f"recall may show {len(inside)} runs of {source}, and ought to {room}"

    judgements: dict[str, list[bool]] = defaultdict(list)
    for run, exemplar in {(row["run"], row["exemplar"]) for row in rows["injections"]}:
        if run in newest:
            judgements[exemplar].append(bool(newest[run]["passed"]))
    for exemplar in judgements.keys() | rows["records"].keys():
        wanted = sum(judgements[exemplar]), len(judgements[exemplar])
        row = rows["records"].get(exemplar, {"wins": 0, "shown": 0, "strict": 0, "expected": 0.0})
        if (row["wins"], row["shown"]) != wanted or row["strict"] != row["shown"]:
            yield f"{exemplar}: its record is {row}, and ought to be {wanted}"
        if not 0 <= row["expected"] <= row["shown"]:
            yield f"{exemplar}: of {row['shown']} runs {row['expected']} were expected to pass"


def _words(store: ReplayStore, rows: dict[str, Any]) -> Iterator[str]:
    """Every task is found by its own words."""
    for task, text in rows["tasks"].items():
        if task not in dict(store.by_words(text, limit=len(rows["tasks"]))):
            yield f"the task {task} is not found by its words"

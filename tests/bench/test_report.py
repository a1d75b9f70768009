"""A report says what its runs say, for every figure."""

import json
import re
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from autorl import ReplayStore
from autorl.bench import compare, definition, export, figures, kept, report, run, text
from autorl.bench.ledger import Episode
from autorl.bench.run import RUNS
from autorl.bench.spec import Budget
from autorl.errors import UsageError
from autorl.models.scripted import Scripted
from tests.bench.world import GIVEN, SPEC, begun, episodes, make_project, opens_doors

WITH_FIGURES = SPEC.replace("seeds = [0, 1]", 'seeds = [0, 1]\ncompare = [["agent+replay", "agent"]]') + '''
[figures]
replay_success = { of = "success", setting = "agent+replay", size = 2, goal = ">= 0.8" }
replay_minus_agent = { of = "success", setting = "agent+replay", against = "agent", size = "all" }
rfr_agent = { of = "rfr_failed_last", setting = "agent", size = "all" }
episodes_to_first_success = { of = "first_success", setting = "agent+replay" }
'''


def _mistaken(request):
    """Never knows the code."""
    return opens_doors(request).replace('code": ', 'code": 1')


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run that is complete, with seven held-out tasks."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("done")
        patch.setenv("AUTORL_HOME", str(folder / "home"))
        patch.chdir(folder)
        made = begun(held_out=7, spec=WITH_FIGURES)
        run.resume(made, given=GIVEN)
        yield made


def test_every_figure_is_that_of_the_stored_runs_it_names(done):
    made = report.of(done)
    assert (made.status, made.done, made.planned, made.left_out) == ("complete", 98, 98, {})
    with closing(ReplayStore(done / RUNS)) as runs:
        for row in made.rows:
            by_task = defaultdict(list)
            for name in row.runs:
                kept_run = runs.get(name)
                by_task[kept_run.task.id].append(kept_run.verified)
            assert row.figures["success"].n == len(by_task) == 7
            assert row.figures["success"].value == pytest.approx(
                sum(sum(each) / len(each) for each in by_task.values()) / 7)
            assert row.figures["tokens"].value == pytest.approx(
                sum(runs.get(name).usage.total for name in row.runs) / len(row.runs))
            assert row.figures["ner"].value == row.figures["success"].value  # a door opens exactly when it is right
    assert [(row.setting, row.size) for row in made.rows] == [
        ("agent", None), *((name, size) for name in ("agent+replay", "random") for size in (0, 2, "all"))]


def test_replay_is_shown_to_help_where_it_does_and_not_where_it_cannot(done):
    says = {(c.setting, c.size): c.says for c in report.of(done).contrasts if c.metric == "success"}
    assert says == {("agent+replay", 0): "no difference shown", ("agent+replay", 2): "more",
                    ("agent+replay", "all"): "more"}
    written = text.plain(report.of(done))
    assert "no difference shown" in written
    assert "better" in written
    assert "Left out" not in written


def test_fillings_tell_when_the_first_success_came_and_what_each_size_took(done):
    found = episodes(done)
    for filled in report.of(done).fillings:
        mine = [e for e in found if e.cell.phase == "learn" and e.cell.seed == filled.seed]
        assert filled.runs == [e.run for e in mine]
        assert filled.first == next(n for n, e in enumerate(mine, 1) if e.verified)
        two, everything = filled.reached
        assert sum(e.verified for e in mine[: two.episodes]) == two.size == two.successes == 2
        assert (everything.size, everything.episodes) == ("all", len(mine))
        assert everything.tokens == sum(e.usage.total for e in mine)


def test_exemplars_tell_to_how_many_they_were_shown_and_what_came_of_it(done):
    made = report.of(done)
    without = {(e.cell.task, e.cell.seed): e.verified for e in made.episodes if e.cell.setting == "agent"}
    assert made.exemplars
    for shown in made.exemplars:
        those = [e for e in made.episodes if (e.cell.setting, e.cell.size) == (shown.setting, shown.size)
                 and shown.exemplar in [r.run for r in e.recalled]]
        assert (shown.shown, shown.passed) == (len(those), sum(e.verified for e in those))
        if shown.against:
            gained = [e.verified - without[e.cell.task, e.cell.seed] for e in those]
            assert shown.gained == pytest.approx(sum(gained) / len(gained))
    assert {shown.against for shown in made.exemplars} == {"agent", ""}


def test_rankings_are_in_both_conventions(done):
    standing = next(s for s in report.of(done).standings if s.size == "all")
    assert standing.rfr_failed_last["agent"].value > standing.rfr["agent"].value == 1.0
    assert standing.strength["agent"].value < standing.strength["agent+replay"].value
    assert set(standing.strength) == {"agent", "agent+replay", "random"}


def test_a_report_goes_to_json_and_markdown(done):
    made = report.of(done)
    again = json.loads(json.dumps(report.to_json(made)))
    assert again["rows"][0]["figures"]["success"]["n"] == 7
    assert [Episode.model_validate(each) for each in again["episodes"]] == made.episodes
    tables = [line for line in text.markdown(made).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in tables if "setting" in line}) > 1
    assert all(line.endswith("|") for line in tables)


def test_what_is_kept_is_what_the_definition_names(done, tmp_path):
    made = figures.of(report.of(done))
    assert set(made) == {"replay_success", "replay_minus_agent", "rfr_agent", "episodes_to_first_success"}
    assert made["replay_success"]["goal"] == ">= 0.8"
    assert made["episodes_to_first_success"]["value"] == sum(f.first for f in report.of(done).fillings) / 2
    path = kept.keep("doors", made, "autorl bench run doors --keep", tmp_path)
    assert json.loads(path.read_text())["figures"]["replay_success"]["value"] == 1.0
    assert "goal >= 0.8: met" in kept.show(made)


@pytest.mark.parametrize(("value", "told"), [(0.7, "the doors are heavy"), (0.9, None)])
def test_why_a_figure_falls_short_is_kept_while_it_does(tmp_path, value, told):
    figure = {"value": value, "goal": ">= 0.8", "reason": "the doors are heavy"}
    path = kept.keep("doors", {"opened": figure}, "by hand", tmp_path)
    assert json.loads(path.read_text())["figures"]["opened"].get("reason") == told


def test_what_a_complete_run_cannot_have_is_told_and_not_kept(tmp_path):
    """Nobody succeeds, so that no store comes to two successes; what recalls nothing is the same at every size."""
    spec = WITH_FIGURES.replace("compare = [", 'compare = [["agent", "again"], ') + """
agent_success = { of = "success", setting = "agent", size = "all" }
agent_minus_again = { of = "success", setting = "agent", against = "again", size = "all" }

[settings.again]
"""
    folder = begun(held_out=1, spec=spec)
    run.resume(folder, given={"scripted:door-opener": Scripted(_mistaken)})
    made = figures.of(report.of(folder))
    assert {name for name, figure in made.items() if figure["value"] is None} == {
        "replay_success", "episodes_to_first_success"}
    assert made["agent_success"]["value"] == made["agent_minus_again"]["value"] == 0.0
    kept.keep("doors", {"replay_success": {"value": 1.0}}, "before", tmp_path)
    path = kept.keep("doors", made, "autorl bench run doors --keep", tmp_path)
    assert "replay_success" not in json.loads(path.read_text())["figures"]
    assert re.search("replay_success +none", kept.show(made))


@pytest.mark.parametrize(("seeds", "told"), [("[0, 1]", True), ("[0, 1, 2]", False)])
def test_a_report_of_few_seeds_says_so(seeds, told):
    made = report.of(begun(spec=SPEC.replace("[0, 1]", seeds)))
    assert ("Fewer than 3 seeds" in text.plain(made)) == told


def test_a_report_of_half_a_run_counts_what_is_left_out():
    folder = begun(spec=WITH_FIGURES)
    run.resume(folder, given=GIVEN, budget=Budget(tokens=10_000))
    made = report.of(folder)
    assert (made.status, 0 < made.done < made.planned == 42) == ("budget", True)
    ((why, count),) = made.left_out.items()
    assert (count, "10,000 tokens" in why) == (made.planned - made.done, True)
    assert f"Left out: {count} episodes" in text.plain(made)
    with pytest.raises(UsageError, match=r"the report has no .*replay_minus_agent"):
        figures.of(made)


def test_a_size_that_no_store_came_to_is_told():
    folder = begun(spec=SPEC.replace('sizes = [0, 2, "all"]', "sizes = [2, 50]"))
    run.resume(folder, given=GIVEN)
    made = report.of(folder)
    assert sum(made.left_out.values()) == 2 * 2 * 3  # two settings, two seeds, three tasks
    for filled in made.fillings:
        store = f"seed {filled.seed}, never came to 50 successes, but to {sum(filled.passed)} in {len(filled.passed)} "
        assert sum(store in why for why in made.left_out) == 1
    assert made.status == "complete"


def test_a_run_that_has_not_begun_has_a_report():
    made = report.of(begun())
    assert (made.status, made.done, made.rows) == ("new", 0, [])
    assert "0 of 42" in text.plain(made)


def test_two_runs_are_compared_over_the_tasks_they_share(done, monkeypatch):
    make_project(Path.cwd(), held_out=8, spec=WITH_FIGURES)
    doors = definition.load("doors").asked(models=["scripted:other"], base_url=None, seeds=[3])
    other = run.begin(doors, definition.read_tasks(doors))
    run.resume(other, given={"scripted:other": Scripted(_mistaken)})
    changes = compare.compare(report.of(done), report.of(other))
    found = {(c.setting, c.size): c for c in changes if c.metric == "success"}
    assert {c.by.n for c in found.values()} == {7}
    assert found["agent+replay", 0].models == ("scripted:door-opener", "scripted:other")
    # Whoever never succeeds fills no store, so that no cell of size 2 was played.
    assert ("agent+replay", 2) not in found
    assert found["agent+replay", "all"].says == "less"
    assert "worse" in text.of_comparison(list(found.values()))
    with pytest.raises(UsageError, match="no task in common"):
        compare.compare(report.of(done), report.of(run.begin(*run.begun_with(done))))


def test_an_export_holds_every_context_as_it_was_asked_and_every_file(tmp_path):
    folder = begun(held_out=2)
    model = Scripted(opens_doors, name="door-opener")
    run.resume(folder, given={"scripted:door-opener": model})
    target = tmp_path / "data"
    assert export.export(folder, target) == len(episodes(folder))
    manifest = json.loads((target / "manifest.json").read_text())
    asked = []
    for entry in manifest["episodes"]:
        place = target / "runs" / entry["run"]
        lines = [json.loads(line) for line in (place / "contexts.jsonl").read_text().splitlines()]
        assert len(lines) == entry["steps"]
        asked += [json.dumps(line["messages"]) for line in lines]
        for made in entry["files"]:
            assert (place / "files" / made["path"]).stat().st_size == made["bytes"]
        assert bool(entry["files"]) == entry["produced"]
    assert sorted(asked) == sorted(json.dumps(request.messages) for request in model.requests)
    assert any("Now do this one in the same way" in messages for messages in asked)
    with pytest.raises(UsageError, match="not empty"):
        export.export(folder, target)


def test_kept_results_that_are_broken_are_named(monkeypatch):
    make_project(Path.cwd())
    results = Path("eval/results")
    results.mkdir()
    (results / "engine.json").write_text('{"figures": {"x": {"value": "much"}}}')
    with pytest.raises(UsageError, match=r"engine.json holds no kept results"):
        kept.results()

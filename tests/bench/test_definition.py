"""A definition says what it means, or what is wrong with it: the file, the key and the value."""

from pathlib import Path

import pytest

from autorl.bench import definition
from autorl.errors import UnknownName, UsageError
from tests.bench.world import SPEC, make_project


@pytest.fixture(autouse=True)
def project():
    make_project(Path.cwd())


def load(*changes):
    text = SPEC
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path("eval/doors.toml").write_text(text)
    return definition.load("doors")


def test_what_a_setting_leaves_out_comes_from_common_and_else_from_the_defaults(monkeypatch):
    monkeypatch.setenv("AUTORL_TEMPERATURE", "0.1")
    Path("autorl.toml").write_text("max_tokens = 99\n")
    spec = load(("[settings.agent]", "[settings.agent]\nmax_steps = 3"))
    assert (spec.settings["agent"].chosen.max_steps, spec.settings["random"].chosen.max_steps) == (3, 6)
    chosen = spec.settings["random"].chosen
    assert (chosen.tools, chosen.temperature, chosen.max_tokens) == (("doors",), 0.7, 512)  # not the user's own


def test_a_setting_that_recalls_fills_its_own_store_unless_it_names_another():
    spec = load()
    assert {name: setting.fill for name, setting in spec.settings.items() if setting.recalls} == {
        "agent+replay": "agent+replay", "random": "agent+replay"}


FIGURE = "[figures.x]\nsetting = "


@pytest.mark.parametrize(("old", "new", "says"), [
    ("seeds = [0, 1]", "seeds = []", r"'seeds' is \[\], which cannot be"),
    ("seeds = [0, 1]", "seeds = [1, 1]", "'seeds' names something twice"),
    ("seeds = [0, 1]", "seeds = [0, 1", "doors.toml cannot be read"),
    ('sizes = [0, 2, "all"]', "sizes = [-1]", "'sizes.0.* is -1, which cannot be"),
    ("k = 0", 'k = "two"', "'settings.agent.k' is 'two', which cannot be"),
    ("k = 0", "kk = 0", "'settings.agent.kk' is 0, which cannot be"),
    ("k = 0", "threads = 3", "'settings.agent.threads' is not for a benchmark to set"),
    ("k = 0", "seed = 3", "'settings.agent.seed' is not for a benchmark to set"),
    ("k = 0", 'user = "me"', "no simulated user named 'me'"),
    ('fill = "agent+replay"', 'fill = "agent+reply"', "no setting named 'agent.reply'. Did you mean 'agent.replay'"),
    ("[fill]", "[fil]", "'fil' is .*, which cannot be"),
    ("attempts = 2", "attempts = 0", "'fill.attempts' is 0, which cannot be"),
    ('models = ["scripted:door-opener"]', "", "'models' is missing"),
    ("scripted:door-opener", "opnai:x", "no model provider named 'opnai:x'"),
    ("product", 'compare = [["random", "agnt"]]\nproduct', "no setting named 'agnt'. Did you mean 'agent'"),
    ("[fill]", f"{FIGURE}'agent'\nof = 'succes'\n[fill]", "no metric named 'succes'. Did you mean 'success'"),
    ("[fill]", f"{FIGURE}'agent'\nof = 'ner'\ngoal = 'much'\n[fill]", "'figures.x.goal' is 'much'"),
    ("[fill]", f"{FIGURE}'random'\nof = 'ner'\nsize = 3\n[fill]", "'figures.x.size' is 3, and 'sizes'"),
    ("k = 0", "k = 0\nsizes = [7]", "settings.agent.sizes' are .7., and 'sizes' are"),
    ("[fill]", f"{FIGURE}'agent'\nof = 'ner'\nagainst = 'random'\n[fill]", "Add the pair to 'compare'"),
])
def test_what_is_wrong_is_named(old, new, says):
    with pytest.raises(UsageError, match=says) as raised:
        load((old, new))
    assert "doors.toml" in str(raised.value)


def test_task_sets_can_be_taken_in_part():
    spec = load(('"doors/learn"', '"doors/learn[:2]", "doors/learn[3:]"'),
                ('"doors/held-out"', '"doors/held-out[1:2]"'))
    split = definition.read_tasks(spec)
    assert [task.id for task in split.learn] == ["door-1", "door-2", "door-4", "door-5"]
    assert [task.id for task in split.held_out] == ["door-1002"]


def test_held_out_tasks_among_those_to_learn_from_are_refused_by_id_and_by_text():
    with pytest.raises(UsageError, match=r"held-out ones: 'door-1002'"):
        definition.read_tasks(load(('"doors/learn"', '"doors/learn", "doors/held-out[1:2]"')))
    with pytest.raises(UsageError, match=r"'door-\d' says the same \(likeness .*\) as 'door-\d+'"):
        definition.read_tasks(load(("alike = true", "alike = false")))


def test_an_id_that_two_tasks_have_and_a_set_that_is_not_there_are_named():
    with pytest.raises(UsageError, match="two tasks of a split have the id 'door-1'"):
        definition.read_tasks(load(('"doors/learn"', '"doors/learn", "doors/learn[:1]"')))
    with pytest.raises(UnknownName, match="windows/learn"):
        definition.read_tasks(load(("doors/learn", "windows/learn")))


def test_a_benchmark_without_tasks_is_refused():
    for missing in ("learn", "held_out"):
        with pytest.raises(UsageError, match=f"there is no task in 'tasks.{missing}' of doors"):
            definition.read_tasks(load((f'{missing} = ["doors/', f'{missing} = ["doors/learn[:0]"]\n# ["')))
    assert definition.read_tasks(load(('learn = ["doors/learn"]', ""), ('sizes = [0, 2, "all"]', "sizes = [0]")))


def test_a_wrong_line_is_named_and_the_rest_runs_on_demand():
    with Path("tasks/doors/learn.jsonl").open("a") as file:
        file.write('{"txt": "?"}\n')
    with pytest.raises(UsageError, match="line 6"):
        definition.read_tasks(load())
    split = definition.read_tasks(load(), skip_wrong=True)
    assert (len(split.learn), len(split.wrong)) == (5, 1)
    assert "doors/learn, line 6" in split.wrong[0]


def test_other_models_seeds_and_servers_can_be_asked():
    spec = load().asked(models=["vllm:x"], base_url="http://127.0.0.1:1/v1", seeds=[7])
    assert (spec.models, spec.seeds) == (("vllm:x",), (7,))
    assert {setting.chosen.base_url for setting in spec.settings.values()} == {"http://127.0.0.1:1/v1"}
    assert load().asked(models=None, base_url=None, seeds=None) == load()


def test_every_benchmark_that_is_brought_along_is_sound():
    Path("autorl.toml").unlink()
    names = definition.names()
    assert {"smoke", "slides-embedded"} <= set(names)
    for name in names:
        definition.read_tasks(definition.load(name))

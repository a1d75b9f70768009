import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from autorl import Agent, Recall, ReplayStore, content
from autorl.errors import AutorlError, ModelUnavailable, UnknownName, UsageError
from autorl.models.local import ADAPTER, policies_folder, sound_adapter
from autorl.train import policies
from autorl.train.policies import add, delete, find, format_to_learn, in_force
from tests import needs
from tests.children import started
from tests.conformance.stores import write
from tests.train import peft_folders
from tests.worlds import PASSED, a_run


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of the embedded model stands one whose adapters are made in no time, and autorl brings no policy."""
    needs.require(bool(find_spec("safetensors") and find_spec("gguf")), "safetensors and gguf",
                  "pip install -e '.[train]'")
    base = peft_folders.base(tmp_path / "base")
    monkeypatch.setattr(policies, "torch_weights", lambda model: base)
    monkeypatch.setattr(content, "builtin", lambda: tmp_path / "autorl")
    return base


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A policy that autorl brings: what a home has of it, without the weights for PEFT."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("AUTORL_HOME", str(tmp_path / "other-home"))
        name = add(ReplayStore(tmp_path / "other.db"), trained(tmp_path, seed=9, runs=["of-another-store"],
                                                               about={"choice": {"format": "act"}}))
        policies.publish(name, tmp_path / "autorl" / "policies", told="Made again so.\n")
    return name


def test_local_is_the_policy_that_autorl_brings_until_somebody_says_otherwise(
    tmp_path: Path, store: ReplayStore, ours: str
) -> None:
    assert in_force(store, "local") == in_force(store, "local") == f"local+{ours}"
    assert in_force(store, "local", "none") == "local"
    assert [(step.policy, step.who) for step in store.promotions("local")] == [(ours, "autorl")]
    assert sound_adapter(ours).is_file()
    with pytest.raises(UnknownName, match=f"no policy named 'policy@7'.*{ours}"):
        sound_adapter("policy@7")
    assert policies.problems(ours) == []
    assert Agent(model=f"local+{ours}").policy.format.name == "act"
    kept = find(store, ours[:12])
    assert policies.elsewhere(kept) == 1
    own = add(store, trained(tmp_path))
    store.promote("local", own, why="mine is better", who="me")
    assert in_force(store, "local") == f"local+{own}"
    assert store.roll_back("local", why="it is not", who="me") == ours
    assert in_force(store, "local") == f"local+{ours}"
    store.promote("local", None, why="no policy at all", who="me")
    assert in_force(store, "local") == "local"


def test_what_is_trained_learns_the_format_of_what_it_may_replace(store: ReplayStore, ours: str) -> None:
    assert format_to_learn(store, "local") == "act"
    assert [format_to_learn(store, *asked) for asked in (("local", "none"), ("vllm:other",))] == ["react", "react"]
    shutil.rmtree(policies.policy_folder(ours))
    store.promote("local", ours, why="although it is lost", who="me")
    assert format_to_learn(store, "local") == "react"


def test_a_later_autorl_brings_another_policy(tmp_path: Path, store: ReplayStore, ours: str) -> None:
    assert in_force(store, "local") == f"local+{ours}"
    folder = tmp_path / "autorl" / "policies"
    later = folder / "policy@0123456789"
    (folder / ours).rename(later)
    assert in_force(store, "local") == f"local+{later.name}"
    store.promote("local", None, why="no policy at all", who="me")
    later.rename(folder / "policy@9876543210")
    assert in_force(store, "local") == "local", "what somebody said stands"


def test_a_home_without_the_policy_that_autorl_brings_lists_and_finds_it(store: ReplayStore, ours: str) -> None:
    assert find(store, ours).base == "local"
    assert [kept.id for kept in store.policies()] == [ours]
    assert store.promoted("local") == ours, "what is shown is what is asked"


def test_what_autorl_brings_is_not_asked_when_it_is_damaged(store: ReplayStore, ours: str) -> None:
    path = policies.policy_folder(ours) / ADAPTER
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelUnavailable, match=rf"{path} is damaged.*Install autorl again"):
        sound_adapter(ours)


def trained(tmp_path: Path, seed: int = 0, **training: object) -> Path:
    about = {"base": "local", "dataset": "d" * 64, "runs": [], **training}
    return peft_folders.adapter(tmp_path / f"trained-{seed}", seed=seed, training=about)


def test_a_policy_is_named_after_its_weights_and_knows_its_runs(tmp_path: Path, store: ReplayStore) -> None:
    run = write(store, a_run(verdict=PASSED))
    name = add(store, trained(tmp_path, runs=[run.id, run.id]))
    kept = find(store, name)
    assert name == f"policy@{(kept.adapter or '')[:10]}"
    assert (kept.base, kept.dataset, kept.runs, kept.revoked, kept.deleted) == ("local", "d" * 64, (run.id,), (), None)
    assert policies.problems(name) == []
    assert policies.training(name)["base"] == "local"
    assert add(store, trained(tmp_path, runs=[run.id])) == name, "the same weights are the same policy"
    assert len(store.policies()) == 1


def test_a_policy_is_asked_in_the_format_that_it_learned_unless_told_otherwise(
    tmp_path: Path, store: ReplayStore
) -> None:
    name = f"local+{add(store, trained(tmp_path, about={'choice': {'format': 'act'}}))}"
    other = f"local+{add(store, trained(tmp_path, seed=1))}"
    asked = {model: Agent(model=model).policy.format.name for model in (name, other, "local")}
    assert asked == {name: "act", other: "react", "local": "react"}
    assert Agent(model=name, format="structured").policy.format.name == "structured"


def test_a_policy_of_another_store_is_kept_with_the_runs_that_are_known(tmp_path: Path, store: ReplayStore) -> None:
    run = write(store, a_run(verdict=PASSED))
    kept = find(store, add(store, trained(tmp_path, runs=[run.id, "of-another-store", "another"])))
    assert kept.runs == (run.id,)
    assert policies.elsewhere(kept) == 2


def test_an_epoch_of_a_training_is_a_policy_of_the_same_runs(tmp_path: Path, store: ReplayStore) -> None:
    run = write(store, a_run(verdict=PASSED))
    whole = trained(tmp_path, runs=[run.id])
    epoch = peft_folders.adapter(whole / "epochs" / "1", seed=7)
    kept = find(store, add(store, epoch))
    assert kept.runs == (run.id,)
    assert kept.id != add(store, whole)


def test_a_revoked_run_is_told_of_the_policies_that_were_trained_on_it(tmp_path: Path, store: ReplayStore) -> None:
    good, bad = (write(store, a_run(f"Task {n}", verdict=PASSED)) for n in range(2))
    name = add(store, trained(tmp_path, runs=[good.id, bad.id]))
    assert store.trust(bad.id, "revoked", "copied", "me") == [name]
    assert find(store, name).revoked == (bad.id,)


def test_a_policy_is_found_by_the_beginning_of_its_name(tmp_path: Path, store: ReplayStore) -> None:
    names = [add(store, trained(tmp_path, seed)) for seed in range(3)]
    for name in names:
        assert find(store, name[:-1]).id == find(store, name.removeprefix("policy@")).id == name
    for wrong in ("policy@zz", "", "policy@"):
        with pytest.raises(UnknownName):
            find(store, wrong)
    twin = f"{names[0]}f"
    store.keep_policy(twin, base="local", trained_on=[])
    with pytest.raises(UsageError, match=rf"several policies begin with .*{twin}"):
        find(store, names[0][:-1])
    assert find(store, names[0]).id == names[0], "a whole name is one, whatever else begins so"


def test_what_is_promoted_is_what_the_model_is_asked_with(tmp_path: Path, store: ReplayStore) -> None:
    first, second = (add(store, trained(tmp_path, seed)) for seed in range(2))
    assert in_force(store, "local") == "local"
    store.promote("local", first, why="better", who="me")
    assert in_force(store, "local") == f"local+{first}"
    assert in_force(store, "local", "none") == "local"
    assert in_force(store, "local", second[:12]) == f"local+{second}"
    assert in_force(store, f"local+{second}") == f"local+{second}", "a name that says its policy keeps it"
    assert in_force(store, "openai:gpt") == "openai:gpt"
    with pytest.raises(UsageError, match="is a policy of local, and the model is openai:gpt"):
        in_force(store, "openai:gpt", first)
    shutil.rmtree(policies_folder() / first)
    with pytest.raises(UsageError, match=rf"{first} is promoted for local, and its files are not in .*--policy none"):
        in_force(store, "local")


def test_a_rollback_goes_back_step_by_step_and_past_what_was_deleted(tmp_path: Path, store: ReplayStore) -> None:
    one, two, three = (add(store, trained(tmp_path, seed)) for seed in range(3))
    for policy in (one, two, two, three):
        store.promote("local", policy, why="better", who="me")
    delete(store, two)
    assert store.roll_back("local", why="worse", who="me") == one
    assert store.promoted("local") == one
    assert store.roll_back("local", why="worse", who="me") is None
    assert store.promoted("local") is None
    with pytest.raises(UsageError, match="no policy of local is promoted"):
        store.roll_back("local", why="worse", who="me")
    store.promote("local", three, why="again", who="me")
    store.promote("local", None, why="the bare one", who="me")
    assert store.promoted("local") is None
    assert store.roll_back("local", why="worse", who="me") == three
    told = [(step.policy, step.undoes) for step in store.promotions("local")]
    assert told == [(one, False), (two, False), (three, False), (one, True), (None, True), (three, False),
                    (None, False), (three, True)], "what happened stays, and the same twice is once"


def test_a_promoted_policy_is_not_deleted_and_a_deleted_one_not_promoted(tmp_path: Path, store: ReplayStore) -> None:
    run = write(store, a_run(verdict=PASSED))
    name = add(store, trained(tmp_path, runs=[run.id]))
    store.promote("local", name, why="better", who="me")
    with pytest.raises(UsageError, match=f"{name} is promoted for local"):
        delete(store, name)
    assert policies.problems(name) == []
    store.roll_back("local", why="worse", who="me")
    delete(store, name)
    assert not (policies_folder() / name).exists()
    assert find(store, name, deleted=True).runs == (run.id,), "what it came from stays known"
    with pytest.raises(UsageError, match="were deleted"):
        in_force(store, "local", name)
    with pytest.raises(UsageError, match=f"{name} cannot be promoted for local: it was deleted"):
        store.promote("local", name, why="better", who="me")
    add(store, trained(tmp_path, runs=[run.id]))
    assert in_force(store, "local", name) == f"local+{name}"


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, store: ReplayStore, tiny: Path) -> None:
    folder = trained(tmp_path)
    with pytest.raises(UsageError, match="was trained on local, and is no adapter of local:other.gguf"):
        add(store, folder, base="local:other.gguf")
    (tiny / "config.json").write_text(json.dumps({**peft_folders.CONFIG, "hidden_size": 24}))
    with pytest.raises(UsageError, match="is for another model"):
        add(store, folder)
    assert store.policies() == []
    assert not policies_folder().exists()


def test_damaged_files_are_named_and_made_again(tmp_path: Path, store: ReplayStore) -> None:
    folder = trained(tmp_path)
    name = add(store, folder)
    path = policies_folder() / name / "adapter.gguf"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert policies.problems(name) == [f"{path} is damaged: its hash is not the one in SHA256SUMS"]
    with pytest.raises(ModelUnavailable, match=rf"{path} is damaged.*policies add"):
        sound_adapter(name)
    assert add(store, path.parent) == name
    assert policies.problems(name) == []
    assert sound_adapter(name) == path
    with pytest.raises(UnknownName, match=name):
        sound_adapter("policy@ffff")


def test_a_trained_file_that_changed_since_is_refused(tmp_path: Path, store: ReplayStore) -> None:
    folder = trained(tmp_path, adapter_sha256="0" * 64)
    with pytest.raises(UsageError, match=r"adapter_model.safetensors is damaged: its hash is not the one in"):
        add(store, folder)
    (folder / "training.json").write_text("{")
    with pytest.raises(UsageError, match=r"training.json is damaged"):
        add(store, folder)


def test_a_full_disk_leaves_no_half_policy(tmp_path: Path, home: Path) -> None:
    folder = trained(tmp_path)
    code = f"""
import resource
from pathlib import Path
from autorl import ReplayStore
from autorl.errors import AutorlError
from autorl.train import policies
policies.torch_weights = lambda model: Path({str(tmp_path / 'base')!r})
store = ReplayStore()
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    policies.add(store, Path({str(folder)!r}))
except AutorlError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert "could not be kept" in done.stdout
    assert "Is there room?" in done.stdout
    assert list(policies_folder().glob("*")) == []


def add_until_killed(home: Path, base: Path, folder: Path) -> None:
    os.environ["AUTORL_HOME"] = str(home)  # the child is a fork of what an earlier test started
    policies.torch_weights = lambda model: base
    policies._seal = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
    add(ReplayStore(home / "replay.db"), folder)


def test_a_process_that_is_killed_while_it_keeps_a_policy_leaves_none(tmp_path: Path, home: Path, tiny: Path) -> None:
    folder = trained(tmp_path)
    child = started(add_until_killed, home, tiny, folder)
    child.join(300)
    assert child.exitcode == -signal.SIGKILL
    store = ReplayStore()
    assert store.policies() == []
    (half,) = policies_folder().iterdir()
    assert half.name.startswith(".new-")
    name = add(store, folder)
    assert policies.problems(name) == []


def test_what_a_killed_process_left_half_made_is_swept_away(tmp_path: Path, store: ReplayStore) -> None:
    old, new = (policies_folder() / f".new-{age}" for age in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    add(store, trained(tmp_path))
    assert (old.exists(), new.exists()) == (False, True), "another process may be at work in the new one"


def test_a_gate_verdict_stays_when_the_policy_is_kept_again(tmp_path: Path, store: ReplayStore) -> None:
    name = add(store, trained(tmp_path))
    store.judge_policy(name, '{"passed": true}')
    add(store, trained(tmp_path))
    assert find(store, name).gate == '{"passed": true}'
    with pytest.raises(UnknownName, match="policy@none"):
        store.judge_policy("policy@none", "{}")


def test_a_person_s_text_of_a_promotion_is_redacted(tmp_path: Path, store: ReplayStore) -> None:
    name = add(store, trained(tmp_path))
    store.promote("local", name, why="key sk-proj-" + "a1B2" * 12, who="me")
    assert "a1B2" not in store.promotions("local")[0].why


def test_a_store_without_policies_costs_nothing_and_asks_the_bare_model(store: ReplayStore) -> None:
    assert store.policies() == []
    assert Agent(model=in_force(store, "scripted:none"), recall=Recall(k=0)).model == "scripted:none"
    with pytest.raises(AutorlError, match=r"no policy named 'x'"):
        in_force(store, "local", "x")

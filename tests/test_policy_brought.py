"""The policy in policies/, which `local` uses unless told otherwise."""

import json
from pathlib import Path

import pytest

from autorl import ReplayStore, formats
from autorl.bench import definition
from autorl.models.local import ADAPTER, TRAINING, brought, learned_format, sound_adapter, split
from autorl.train import policies


@pytest.fixture
def ours() -> Path:
    folder = brought()
    assert folder, "autorl brings a policy"
    return folder


def test_it_is_sound_small_and_alone(ours: Path) -> None:
    assert policies.problems(ours.name) == []
    assert sound_adapter(ours.name) == ours / ADAPTER
    assert sum(path.stat().st_size for path in ours.iterdir()) < 12e6
    assert [path.name for path in ours.parent.iterdir() if path.is_dir()] == [ours.name]
    assert "## What it is worth" in (ours / "README.md").read_text("utf-8")


def test_what_it_learned_is_what_is_asked(ours: Path) -> None:
    about = json.loads((ours / TRAINING).read_text("utf-8"))["about"]
    learned = learned_format(f"local+{ours.name}")
    assert learned == about["choice"]["format"]
    assert about["prompt_hash"] == formats.load(learned).prompt_hash, (
        "the texts of its format are not those that it learned: python eval/distil_slides.py --publish")


def test_it_stands_for_local_and_the_benchmark_measures_it(ours: Path, store: ReplayStore) -> None:
    name = policies.in_force(store, "local")
    assert name == f"local+{ours.name}"
    asked = {setting.model for setting in definition.load("slides-embedded").settings.values() if setting.model}
    assert asked == {name}
    assert split(name) == ("local", ours.name)

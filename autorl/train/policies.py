"""Policies: adapters by name, with what they came from, and which of them stands for its base model.

A policy is named after its adapter, `policy@` and the beginning of its hash, so the same weights have the same name on
every machine. What is known of it is in the store; its files are a folder of this machine, AUTORL_HOME/policies/NAME:
what PEFT saved, what the trainer noted, and the same adapter for llama.cpp.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from autorl import formats
from autorl.errors import AutorlError, UnknownName, UsageError
from autorl.models.local import (
    ADAPTER,
    SUMS,
    TRAINING,
    brought,
    learned_format,
    policies_folder,
    policy_folder,
    split,
)
from autorl.replay.lineage import Kept
from autorl.replay.store import ReplayStore
from autorl.train.adapters import CONFIG, WEIGHTS, Adapter, Base, base_of, check, read, to_gguf
from autorl.train.base import torch_weights

NONE = "none"
"""Instead of a policy: the bare base model."""
AUTORL = "autorl"
"""Who promotes the policy that comes with it."""
_TOLD = ("README.md", "curve.svg")
_DIGITS = 10
_NEW, _UNFINISHED = ".new-", 3600.0


def add(store: ReplayStore, trained: Path, *, base: str | None = None, parent: str | None = None) -> str:
    """Keep the adapter that lies in the PEFT folder `trained` as a policy, and return its name.

    base: the model that it was trained on, as for `torch_weights`; what its training.json says, or `local`, when None
    parent: the policy that made the runs which it was trained on
    The training.json of the folder (of the whole training, for one of its epochs) tells the data set and the runs. Kept
    again, nothing changes, but that what was damaged or deleted is made anew.
    Raises UsageError for an adapter that is damaged, is not plain LoRA, or was made for another model; MissingExtra;
    AutorlError when the disk is full.
    """
    adapter = read(trained)
    about = _training(trained) or (_training(trained.parent.parent) if trained.parent.name == "epochs" else {})
    told = about.get("base")
    if base and told and base != told:
        raise UsageError(f"the adapter in {trained} was trained on {told}, and is no adapter of {base}",
                         "Leave --base out, or name the folder of another adapter")
    base = base or told or "local"
    model = base_of(torch_weights(base))
    check(adapter, model)
    policy = f"policy@{adapter.sha256[:_DIGITS]}"
    folder = policies_folder() / policy
    if _damage(folder):
        _keep_files(adapter, model, about, folder, for_llama=base.partition(":")[0] == "local")
    store.keep_policy(policy, base=base, adapter=adapter.sha256, trained_on=dict.fromkeys(about.get("runs", ())),
                      parent=parent, dataset=about.get("dataset", ""))
    return policy


def bring(store: ReplayStore) -> None:
    """Have `store` know the policy that autorl brings, and that it stands for `local` until somebody says otherwise.

    Raises UsageError where the note of how it was trained is damaged.
    """
    folder = brought()
    if folder is None:
        return
    if folder.name not in {kept.id for kept in store.policies()}:
        about = _training(folder)
        store.keep_policy(folder.name, base=about.get("base", "local"), adapter=about.get("adapter_sha256"),
                          trained_on=dict.fromkeys(about.get("runs", ())), dataset=about.get("dataset", ""))
    if store.promoted("local") != folder.name and all(step.who == AUTORL for step in store.promotions("local")):
        store.promote("local", folder.name, why="it comes with autorl", who=AUTORL)


def publish(policy: str, parent: Path, *, told: str = "") -> Path:
    """Copy what llama.cpp needs of a policy into `parent`, sealed, as autorl brings one; its folder there.

    PEFT's weights stay here: what is brought is asked, and not trained on.

    told: Markdown, put at the end of its card
    Raises UsageError where its files are damaged.
    """
    if wrong := problems(policy):
        raise UsageError("; ".join(wrong), "Make its files again: autorl policies add FOLDER")
    made, folder = policy_folder(policy), parent / policy
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in (ADAPTER, TRAINING, *_TOLD):
        if (made / name).is_file():
            shutil.copyfile(made / name, folder / name)
    if told:
        with (folder / _TOLD[0]).open("a", encoding="utf-8") as card:
            card.write(told)
    _seal(folder)
    return folder


def find(store: ReplayStore, name: str, *, deleted: bool = False) -> Kept:
    """The policy `name`: its name, or a beginning of it that no other has, with or without `policy@`.

    deleted: also one whose files are gone
    Raises UnknownName, and UsageError where several begin so or its files were deleted.
    """
    bring(store)
    begins = name if name.startswith("policy@") else f"policy@{name}"
    known = store.policies()
    found = [kept for kept in known if kept.id == name] or [kept for kept in known if kept.id.startswith(begins)]
    if not found or begins == "policy@":
        raise UnknownName("policy", name, [kept.id for kept in known], "Train one: autorl train sft")
    if len(found) > 1:
        raise UsageError(f"several policies begin with '{begins}': {', '.join(kept.id for kept in found)}",
                         "Write more of its name")
    if found[0].deleted and not deleted:
        raise UsageError(f"the files of {found[0].id} were deleted on {found[0].deleted:%Y-%m-%d}",
                         "Train it again on the same runs: autorl policies show names them")
    return found[0]


def in_force(store: ReplayStore, model: str, wanted: str | None = None) -> str:
    """The name of the model to ask when `model` is asked for: with the policy that is `wanted`, or is promoted for it.

    wanted: a policy, as for `find`; `none` for the bare base; None for what is promoted: for `local`, the policy that
        autorl brings, until somebody says otherwise
    A model that names its policy itself keeps it, unless another is wanted. Raises what `find` raises, and UsageError
    for a policy of another model, or one whose files are not on this machine.
    """
    base, policy = split(model)
    how = "wanted"
    if wanted == NONE:
        return base
    if wanted is not None:
        kept = find(store, wanted)
        if kept.base != base:
            raise UsageError(f"{kept.id} is a policy of {kept.base}, and the model is {base}",
                             f"Ask for its own model (--model {kept.base}), or for none (--policy none)")
        policy = kept.id
    elif policy is None and base.partition(":")[0] == "local":
        bring(store)
        policy, how = store.promoted(base), "promoted"
    if policy is None:
        return base
    if not (policy_folder(policy) / ADAPTER).is_file():
        raise UsageError(f"{policy} is {how} for {base}, and its files are not in {policies_folder()}",
                         "Copy its folder from where it was trained, or ask the bare model: --policy none")
    return f"{base}+{policy}"


def format_to_learn(store: ReplayStore, base: str, wanted: str | None = None) -> str:
    """The format for a new policy of `base`, where none is wanted: that of the policy in whose place it may come.

    wanted: as for `in_force`
    """
    try:
        stands = in_force(store, base, wanted)
    except UsageError:  # its files are lost, which is no reason not to train another
        stands = base
    return learned_format(stands) or formats.DEFAULT


def delete(store: ReplayStore, name: str) -> Kept:
    """Delete the files of a policy; what it came from stays known. Raises UsageError for one that is promoted."""
    kept = find(store, name, deleted=True)
    store.delete_policy(kept.id)
    shutil.rmtree(policies_folder() / kept.id, ignore_errors=True)
    return kept


def problems(policy: str) -> list[str]:
    """What is wrong with the files of a policy on this machine; empty when they are as they were made."""
    return _damage(policy_folder(policy))


def training(policy: str) -> dict[str, Any]:
    """What the trainer noted of a policy; empty where it noted nothing, or not on this machine."""
    return _training(policy_folder(policy))


def elsewhere(kept: Kept) -> int:
    """How many of the runs that a policy was trained on are not in its store, which so cannot tell of them."""
    return len(set(training(kept.id).get("runs", ())) - set(kept.runs))


def _keep_files(adapter: Adapter, model: Base, about: dict[str, Any], folder: Path, *, for_llama: bool) -> None:
    """Make the folder of a policy from its PEFT folder, all of it or nothing. Raises AutorlError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_NEW) as scratch:
            new = Path(scratch) / folder.name
            new.mkdir()
            for path in (adapter.folder / name for name in (WEIGHTS, CONFIG, *_TOLD)):
                if path.is_file():
                    shutil.copyfile(path, new / path.name)
            if about:
                (new / TRAINING).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
            if for_llama:
                to_gguf(adapter, model, new / ADAPTER)
            _seal(new)
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
    except OSError as error:
        raise AutorlError(f"the policy {folder.name} could not be kept in {folder.parent}: {error}",
                          "Is there room? AUTORL_HOME names another place") from error


def _training(folder: Path) -> dict[str, Any]:
    """What the trainer noted beside an adapter. Raises UsageError if the note or the adapter is not what it was."""
    path = folder / TRAINING
    if not path.is_file():
        return {}
    try:
        about = dict(json.loads(path.read_text("utf-8")))
        fits = isinstance(about.get("dataset", ""), str) and all(isinstance(run, str) for run in about.get("runs", []))
    except (OSError, ValueError, TypeError):
        fits = False
    if not fits:
        raise UsageError(f"{path} is damaged", "Copy it again from where it was made, or remove it: then nothing is "
                         "known of what the adapter was trained on")
    expected = about.get("adapter_sha256")
    # What autorl brings has no weights but llama.cpp's.
    if expected and folder != brought() and _digest(folder / WEIGHTS) != expected:
        raise UsageError(f"{folder / WEIGHTS} is damaged: its hash is not the one in {path}",
                         "Copy it again from where it was made, or train it again")
    return about


def _seal(folder: Path) -> None:
    """Write the hashes of all files, and have everything on the disk."""
    lines = [f"{_digest(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS).write_text("".join(lines), "utf-8")
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def _damage(folder: Path) -> list[str]:
    try:
        lines = (folder / SUMS).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        return [f"{folder / SUMS} cannot be read: {error}"]
    wrong = []
    for line in lines:
        digest, _, name = line.partition("  ")
        path = folder / Path(name).name
        if not path.is_file():
            wrong.append(f"{path} is missing")
        elif _digest(path) != digest:
            wrong.append(f"{path} is damaged: its hash is not the one in {SUMS}")
    return wrong


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half made."""
    for path in folder.glob(f"{_NEW}*"):
        if time.time() - path.stat().st_mtime > _UNFINISHED:
            shutil.rmtree(path, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""`autorl train`: from runs in the store to adapters."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from autorl.cli.output import Json, Store, give, open_store, say
from autorl.train import ranks

if TYPE_CHECKING:
    from autorl.replay.store import ReplayStore
    from autorl.train.dataset import Choice, Dataset
    from autorl.train.fit import Progress, Trained
    from autorl.train.hyper import Hyper
    from autorl.train.pairs import Pairing

app = typer.Typer(no_args_is_help=True, help="Train adapters on runs (extra: train).",
                  result_callback=lambda _: ranks.leave())
Base = Annotated[str, typer.Option(help="The model to train: local, a folder, or OWNER/NAME of the hub.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the result. [default: one under AUTORL_HOME/training]",
                                          show_default=False)]
Rows = Annotated[Path | None, typer.Option("--dataset", help="A data set made before. [default: one is made now]",
                                           show_default=False)]
TaskSet = Annotated[str | None, typer.Option("--tasks", help="Learn from runs of this task set only, such as "
                                                             "slides/learn.")]
Format = Annotated[str | None, typer.Option(help="How the policy will be asked. [default: the settings' format, "
                                                 "that of the policy that stands, or react]", show_default=False)]
MaxTokens = Annotated[int, typer.Option(min=64, help="Of a row; longer ones are left out, never cut.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the rows, at most.")]
Rate = Annotated[float | None, typer.Option("--learning-rate", help="At its highest.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Rows an optimiser step.")]
AtOnce = Annotated[int | None, typer.Option(min=1, help="Rows that go through the model together.")]
Seed = Annotated[int | None, typer.Option(help="Of the adapter's beginning and the rows' order.")]
PerTask = Annotated[int | None, typer.Option(min=1, help="Runs (or pairs) of one task, at most.")]
Share = Annotated[float | None, typer.Option("--exemplars-share", min=0, max=1,
                                             help="Share of the rows that are shown recalled runs.")]
Without = Annotated[list[str] | None, typer.Option(help="A run to leave out; may be given again.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be trained on, how long it would take, and "
                                                        "how much memory; train nothing.")]


@app.callback()
def train() -> None:
    ranks.only_the_first_speaks()


@app.command()
def dataset(
    out: Annotated[Path, typer.Option(help="Folder for it.")],
    tasks: TaskSet = None, format: Format = None, per_task: PerTask = None, exemplars_share: Share = None,
    max_tokens: MaxTokens = 2048, without: Without = None, base: Base = "local", store: Store = None,
    as_json: Json = False,
) -> None:
    """Write what a policy would be trained on: the best runs, as conversations, and a manifest that names them.

    For example: autorl train dataset --tasks slides/learn --out rows
    """
    from autorl.train import dataset as datasets
    from autorl.train.base import load_tokenizer, torch_weights

    kept = open_store(store)
    choice = _choice(lambda: kept, base, tasks, format, per_task, exemplars_share, max_tokens, without)
    made = datasets.make(kept, out, choice, tokenizer=load_tokenizer(torch_weights(base)))
    if as_json:
        give({"folder": str(out), **made.manifest})
        return
    _say_dataset(made)


@app.command()
def sft(
    rows: Rows = None, out: Out = None, tasks: TaskSet = None, format: Format = None, per_task: PerTask = None,
    exemplars_share: Share = None, max_tokens: MaxTokens = 2048, without: Without = None, base: Base = "local",
    again: Annotated[str | None, typer.Option(help="Train this policy again with its settings, on what is left of its "
                                                   "runs and their like.")] = None,
    epochs: Epochs = None, learning_rate: Rate = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Of the adapter.")] = None, batch: Batch = None,
    at_once: AtOnce = None,
    packing: Annotated[bool | None, typer.Option("--packing", help="Without padding between them, where that is safe.",
                                                 show_default=False)] = None,
    seed: Seed = None,
    parent: Annotated[str | None, typer.Option(help="The policy that made the runs.")] = None,
    dry_run: DryRun = False, store: Store = None, as_json: Json = False,
) -> None:
    """Fine-tune an adapter on verified successes, and keep it as a policy. Killed and called again, it goes on.

    For example: autorl train sft --tasks slides/learn
    """
    from autorl.train import dataset as datasets
    from autorl.train import policies
    from autorl.train import sft as training
    from autorl.train.hyper import Hyper

    kept = _opened(store)
    hyper = Hyper()
    choice = _choice(kept, base, tasks, format, per_task, exemplars_share, max_tokens, without)
    if again:
        base, choice, hyper = ranks.from_first(
            lambda: training.again(policies.training(policies.find(kept(), again).id)))
        choice = replace(choice, without=(*choice.without, *(without or ())))
    hyper = _changed(hyper, epochs, learning_rate, batch, at_once, seed, rank=rank, packing=packing)
    found = _rows(rows, kept, base, lambda folder, tokenizer: datasets.make(kept(), folder, choice,
                                                                            tokenizer=tokenizer))
    if not as_json:
        _say_dataset(found)
    if dry_run:
        estimate = asdict(training.estimate(found, base=base, hyper=hyper))
        _give_estimate(estimate, as_json)
        return
    folder = _folder(out, "sft", found, base, hyper)
    trained = training.train(found, folder, base=base, hyper=hyper, watch=None if as_json else _tell(folder))
    policy = ranks.from_first(lambda: policies.add(kept(), folder, base=base, parent=parent))
    _give_policy(trained, policy, as_json)


@app.command()
def preference(
    rows: Rows = None, out: Out = None, tasks: TaskSet = None, format: Format = None, per_task: PerTask = None,
    max_tokens: MaxTokens = 2048, base: Base = "local",
    method: Annotated[Literal["dpo", "kto"], typer.Option(help="dpo compares the runs of a pair, kto takes each by "
                                                               "itself.")] = "dpo",
    start: Annotated[str | None, typer.Option(help="The policy to go on from, which is then the reference. "
                                                   "[default: the bare model]", show_default=False)] = None,
    beta: Annotated[float, typer.Option(min=0, help="How dearly leaving the reference is paid for.")] = 0.1,
    runs: Annotated[list[str] | None, typer.Option("--run", help="Pair this run; may be given again. [default: all]",
                                                   show_default=False)] = None,
    since: Annotated[str | None, typer.Option(help="Pair runs from this moment on, such as 2026-01-31T12:00: the "
                                                   "policy's own latest.")] = None,
    epochs: Epochs = None, learning_rate: Rate = None, batch: Batch = None, at_once: AtOnce = None, seed: Seed = None,
    store: Store = None, as_json: Json = False,
) -> None:
    """Teach a policy what it should rather do, from runs of the same task and prompt that passed and that failed.

    For example: autorl train preference --tasks slides/learn --start policy@7f3a
    """
    from autorl.models.local import policies_folder
    from autorl.train import policies
    from autorl.train import preference as training

    kept = _opened(store)
    begin = ranks.from_first(lambda: policies.find(kept(), start) if start else None)
    hyper = _changed(training.HYPER, epochs, learning_rate, batch, at_once or (2 if method == "kto" else None), seed)
    pairing = _pairing(kept, base, tasks, format, per_task, max_tokens, runs, since)
    found = _rows(rows, kept, base, lambda folder, tokenizer: training.make(kept(), folder, pairing,
                                                                            tokenizer=tokenizer))
    if not as_json:
        _say_pairs(found)
    folder = _folder(out, method, found, base, (hyper, beta, start))
    trained = training.train(found, folder, base=base, method=method, hyper=hyper, beta=beta, watch=None if as_json
                             else _tell(folder), start=policies_folder() / begin.id if begin else None)
    policy = ranks.from_first(lambda: policies.add(kept(), folder, base=base, parent=begin.id if begin else None))
    _give_policy(trained, policy, as_json)


@app.command()
def reward(
    rows: Rows = None, out: Out = None, tasks: TaskSet = None, per_task: PerTask = None, max_tokens: MaxTokens = 2048,
    base: Base = "local", epochs: Epochs = None, learning_rate: Rate = None, batch: Batch = None,
    at_once: AtOnce = None, seed: Seed = None, store: Store = None, as_json: Json = False,
) -> None:
    """Train a reward model on runs of the same task that passed and that failed; it picks the best of several attempts.

    For example: autorl train reward --tasks slides/learn
    """
    from autorl.train import reward as training

    kept = _opened(store)
    hyper = _changed(training.HYPER, epochs, learning_rate, batch, at_once, seed)
    pairing = _pairing(kept, base, tasks, None, per_task, max_tokens, None, None)
    found = _rows(rows, kept, base, lambda folder, tokenizer: training.make(kept(), folder, pairing,
                                                                            tokenizer=tokenizer))
    if not as_json:
        _say_pairs(found)
    folder = _folder(out, "reward", found, base, hyper)
    trained, score = training.train(found, folder, base=base, hyper=hyper, watch=None if as_json else _tell(folder))
    low, high = score.interval
    if as_json:
        give({**_plain(trained), "held_out_right": score.right, "held_out_pairs": score.n, "interval": [low, high]})
        return
    say(f"A reward model is in {trained.folder}: it orders {score.right} of {score.n} held-out pairs rightly "
        f"({low:.0%} to {high:.0%})", style="bold")
    if low <= 0.5:
        say("That may be chance: it is not let judge anything. Train it on more runs.", style="yellow")


def _choice(store: "Callable[[], ReplayStore]", base: str, tasks: str | None, format: str | None, per_task: int | None,
            share: float | None, max_tokens: int, without: list[str] | None) -> "Choice":
    from autorl.train.dataset import Choice

    given: dict[str, Any] = {"per_task": per_task, "exemplars": share}
    return Choice(format=_format(store, base, format), max_tokens=max_tokens, without=tuple(without or ()),
                  tasks=_ids(tasks), **{name: value for name, value in given.items() if value is not None})


def _pairing(store: "Callable[[], ReplayStore]", base: str, tasks: str | None, format: str | None,
             per_task: int | None, max_tokens: int, runs: list[str] | None, since: str | None) -> "Pairing":
    from autorl.train.pairs import Pairing

    given = {"per_task": per_task} if per_task else {}
    return Pairing(format=_format(store, base, format), max_tokens=max_tokens, tasks=_ids(tasks),
                   runs=tuple(runs) if runs else None, since=_moment(since), **given)


def _format(store: "Callable[[], ReplayStore]", base: str, given: str | None) -> str:
    """The format that is given, here or in the settings; else that of the policy that stands for the base now."""
    from autorl.settings import resolve
    from autorl.train.policies import format_to_learn

    return resolve({"format": given}).format or ranks.from_first(lambda: format_to_learn(store(), base))


def _ids(tasks: str | None) -> tuple[str, ...] | None:
    from autorl import tasks as task_sets

    return tuple(task.id for task in task_sets.load(tasks).tasks) if tasks else None


def _moment(text: str | None) -> Any:
    from datetime import datetime

    from autorl.errors import UsageError

    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except ValueError as error:
        raise UsageError(f"--since is '{text}', which is no moment", "Write 2026-01-31 or 2026-01-31T12:00") from error


def _changed(hyper: "Hyper", epochs: int | None, rate: float | None, batch: int | None, at_once: int | None,
             seed: int | None, **more: Any) -> "Hyper":
    given = {"epochs": epochs, "learning_rate": rate, "batch": batch, "at_once": at_once, "seed": seed, **more}
    return replace(hyper, **{name: value for name, value in given.items() if value is not None})


def _opened(store: str | None) -> "Callable[[], ReplayStore]":
    """The store, opened when it is asked for: of several processes that train, only the first one may."""
    return cache(lambda: open_store(store))


def _rows(given: Path | None, store: "Callable[[], ReplayStore]", base: str,
          make: Callable[[Path, Any], "Dataset"]) -> "Dataset":
    """The data set that was named, or one made now and kept under its hash."""
    from autorl.settings import home
    from autorl.train.base import load_tokenizer, torch_weights
    from autorl.train.dataset import Dataset

    def read() -> Dataset:
        if given:
            found = Dataset.read(given)
            found.check_trust(store())
            return found
        shelf = home() / "training"
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf) as scratch:
            made = make(Path(scratch) / "rows", load_tokenizer(torch_weights(base)))
            folder = shelf / f"rows-{made.hash[:12]}"
            if not folder.exists():
                made.folder.rename(folder)
        return Dataset.read(folder)

    return ranks.from_first(read)


def _folder(given: Path | None, kind: str, found: "Dataset", base: str, settings: Any) -> Path:
    """Where the result goes; the same training gets the same place, so that it can be taken up again."""
    import hashlib

    from autorl.settings import home

    name = hashlib.sha256(repr((found.hash, base, settings)).encode()).hexdigest()[:12]
    return given or home() / "training" / f"{kind}-{name}"


def _tell(folder: Path) -> "Callable[[Progress], None]":
    say(f"Training in {folder}")

    def watch(at: "Progress") -> None:
        loss = f"held-out loss {at.held_out:.4f}" if at.held_out is not None else f"loss {at.loss:.4f}"
        say(f"  step {at.step:>4} of {at.steps}  epoch {at.epoch:.2f}  {loss}  {at.seconds_left:.0f} s left")

    return watch


def _say_dataset(found: "Dataset") -> None:
    about = found.manifest
    left_out = ", ".join(f"{count} {why}" for why, count in {**about["dropped"], **about["notes"]}.items())
    say(f"{about['rows']} rows of {about['tasks']} tasks, {about['with_exemplars']} with exemplars; "
        f"{about['tokens']:,} tokens, {about['tokens_learned']:,} of them learned; in {found.folder}")
    if left_out:
        say(f"  left out: {left_out}", style="dim")


def _say_pairs(found: "Dataset") -> None:
    left_out = ", ".join(f"{count} {why}" for why, count in found.manifest["dropped"].items() if count)
    say(f"{found.manifest['rows']} pairs of {found.manifest['tasks']} tasks; in {found.folder}")
    if left_out:
        say(f"  left out: {left_out}", style="dim")


def _give_estimate(estimate: dict[str, Any], as_json: bool) -> None:
    if as_json:
        give(estimate)
        return
    say(f"Would learn from {estimate['rows']} rows ({estimate['held_out_rows']} held out), {estimate['tokens']:,} "
        f"tokens an epoch, in {estimate['steps']} steps")
    each = f" in each of {ranks.count()} processes" if ranks.count() > 1 else ""
    say(f"Takes about {estimate['seconds'] / 60:.0f} minutes at {estimate['tokens_per_second']:.0f} tokens/s, and "
        f"{estimate['memory_mb']:,} MB of memory{each} (measured here)", style="bold")


def _give_policy(trained: "Trained", policy: str, as_json: bool) -> None:
    if as_json:
        give({"policy": policy, **_plain(trained)})
        return
    say(f"{policy} is in {trained.folder}: epoch {trained.best} of {len(trained.epochs)}, {trained.seconds:.0f} s"
        f"{', taken up again' if trained.resumed else ''}. Is it better? autorl gate none {policy}", style="bold")


def _plain(trained: "Trained") -> dict[str, Any]:
    return {"folder": str(trained.folder), "epochs": [str(folder) for folder in trained.epochs], "best": trained.best,
            "losses": trained.losses, "held_out_losses": trained.held_out, "seconds": trained.seconds,
            "resumed": trained.resumed}

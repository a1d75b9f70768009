"""`autorl replay export | import`."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from autorl.cli.output import Json, Store, give, open_store, say

if TYPE_CHECKING:
    from autorl.replay.exchange import Exported, Imported


def export(
    file: Annotated[str, typer.Argument(help="The file to write, or - for the standard output.")],
    form: Annotated[Literal["autorl", "trl", "openai"], typer.Option(
        help="autorl loses nothing; trl and openai are messages with tools.")] = "autorl",
    good: Annotated[bool | None, typer.Option(
        "--good/--all", show_default=False, help="Only what may be recalled and trained on (finished, passed, trusted, "
        "within the cap of its source), or every run that has ended. [default: --all for autorl, else --good]")] = None,
    files: Annotated[Path | None, typer.Option(help="A folder that gets a copy of the files that the runs made.",
                                               show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Write runs as JSON lines, by id.

    For example: autorl replay export runs.jsonl --form trl
    """
    from autorl.content import load_pack
    from autorl.errors import UsageError
    from autorl.replay.exchange import export as write
    from autorl.replay.exchange import written

    if file == "-" and as_json:
        raise UsageError("--json is one value on the standard output, where - has the runs go", "Name a file")
    kept = open_store(store)
    which = form != "autorl" if good is None else good
    if file == "-":
        done = write(kept, sys.stdout.buffer, form, load_pack=load_pack, good=which, copies=files)
        sys.stdout.buffer.flush()
    else:
        with written(Path(file), force=force) as to:
            done = write(kept, to, form, load_pack=load_pack, good=which, copies=files)
    if as_json:
        give({"file": file, "form": form, **vars(done)})
        return
    tell = partial(print, file=sys.stderr) if file == "-" else say
    for line in _told_of_export(done, file, files):
        tell(line)


def import_(
    file: Annotated[str, typer.Argument(help="JSON lines, or one JSON document; - for the standard input.")],
    form: Annotated[Literal["autorl", "trl", "openai", "smolagents"] | None, typer.Option(
        help="Take rows of this form alone. [default: each row's own]", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="Where the runs are from; its cap holds for them. [default: the "
                                               "file's name]", show_default=False)] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Believe the verdicts in the file, and let its runs be "
                                        "recalled, up to the cap of the source.")] = False,
    as_it_was: Annotated[bool, typer.Option("--as-it-was", help="This is a store of yours: believe all that it says "
                                            "of trust, verdicts, sources and caps (form autorl).")] = False,
    files: Annotated[Path | None, typer.Option(help="The folder that `export --files` made.",
                                               show_default=False)] = None,
    errors: Annotated[Path | None, typer.Option(help="A file that gets every bad row's place and problem.",
                                                show_default=False)] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Keep runs from elsewhere: quarantined and unverified, unless you say otherwise.

    For example: autorl replay import traces.jsonl --source anna
    """
    from autorl.errors import UsageError
    from autorl.replay.exchange import import_runs

    if trust and as_it_was:
        raise UsageError("--trust and --as-it-was exclude each other", "--as-it-was is for a store of yours")
    if file != "-" and not Path(file).is_file():
        raise UsageError(f"there is no file {file}")
    name = source or ("stdin" if file == "-" else Path(file).name)
    kept = open_store(store)
    with ExitStack() as open_files:
        stream = sys.stdin.buffer if file == "-" else open_files.enter_context(_opened(Path(file), "rb"))
        report = open_files.enter_context(_opened(errors, "w")) if errors else None
        done = import_runs(
            kept, stream, source=name, form=form, copies=files,
            believe="everything" if as_it_was else "verdicts" if trust else "nothing",
            told=lambda problem: print(problem, file=report) if report else None)
    if done.bad and not done.runs:
        raise UsageError(f"nothing of {file} can be imported: {done.problems[0]}",
                         "autorl replay import --help tells the forms")
    if as_json:
        give({"file": file, "source": name, **vars(done)})
    else:
        for line in _told_of_import(done, file):
            say(line)
    if done.cut_off or (as_it_was and done.bad):
        raise typer.Exit(5)  # whoever moves a store should not take this for all of it


import_.__name__ = "import"  # the command's; Python keeps the word for itself


def _opened(path: Path, mode: str) -> IO[Any]:
    from autorl.errors import UsageError

    try:
        return path.open(mode)
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}") from error


def _told_of_export(done: "Exported", file: str, copies: Path | None) -> Iterator[str]:
    yield f"{done.runs:,} runs written to {'the standard output' if file == '-' else file}, {done.bytes:,} bytes."
    if done.left_out:
        yield f"Left out: {_counted(done.left_out)}."
    if done.steps_left_out:
        yield f"{done.steps_left_out:,} steps without an action were left out."
    if done.tools:
        yield f"Schemas of their tools: {_counted(done.tools)}."
    if copies:
        yield f"{done.files:,} files copied to {copies}, {len(done.missing_files):,} are gone."
        yield from (f"  gone: {missing}" for missing in done.missing_files[:20])


def _told_of_import(done: "Imported", file: str) -> Iterator[str]:
    yield (f"{done.runs:,} runs read from {file} ({_counted(done.forms) or 'none'}): {done.new:,} new, "
           f"{done.there:,} there already, {done.bad:,} bad rows.")
    if done.new:
        yield (f"Of the new ones {done.quarantined:,} are quarantined, and {done.over_cap:,} over the cap of their "
               "source.")
    yield from (f"  {what}: {count:,}" for what, count in done.notes.items())
    if done.files or done.missing_files:
        yield f"Files: {done.files:,} kept, {done.missing_files:,} missing (export --files DIR, import --files DIR)."
    if done.cut_off:
        yield f"{file} is not whole: {done.cut_off}."
    yield from (f"  {problem}" for problem in done.problems)
    if done.bad > len(done.problems):
        yield f"  and {done.bad - len(done.problems):,} more: --errors FILE has them all"
    if done.quarantined:
        yield "To look at them: autorl replay list, show RUN. To let one be recalled: autorl feedback RUN --good, " \
              "and autorl replay trust RUN"


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in found.items())

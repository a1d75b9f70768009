"""The command line: one file a command group, which parses and prints and does nothing else."""

import sys
from typing import Annotated

import typer

from autorl.cli import (
    bench,
    collect,
    doctor,
    gate,
    improve,
    init,
    models,
    output,
    policies,
    replay,
    serve,
    solve,
    tasks,
    tools,
    train,
)

app = typer.Typer(
    name="autorl", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,  # a help page by rich takes three times as long
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 done but not verified, 2 wrong usage, 3 a limit was reached, "
           "4 the model could not be reached, 5 any other failure.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from autorl import __version__

        print(f"autorl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and end.")]
    = False,
) -> None:
    """Agents that learn from their own successes.

    For example: autorl solve "Make a five-slide deck about honey bees"
    """


app.command("solve")(solve.solve)
app.command("feedback")(solve.feedback)
app.command("collect")(collect.collect)
app.add_typer(replay.app, name="replay")
app.add_typer(tools.app, name="tools")
app.add_typer(tasks.app, name="tasks")
app.add_typer(models.app, name="models")
app.add_typer(train.app, name="train")
app.command("gate")(gate.gate)
app.command("improve")(improve.improve)
app.add_typer(policies.app, name="policies")
app.add_typer(serve.app, name="serve")
app.add_typer(bench.app, name="bench")
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)


def main() -> None:
    """The `autorl` command. What is raised on purpose ends as one line and an exit code, never as a traceback.

    So does what the operating system refuses, such as room on a full disk.
    """
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from autorl.errors import AutorlError, SystemRefused

        if isinstance(error, OSError):
            error = SystemRefused.of(error)
        if not isinstance(error, AutorlError):
            raise
        output.fail(error, as_json="--json" in sys.argv[1:])
        sys.exit(error.exit_code)

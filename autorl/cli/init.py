"""`autorl init`: a project folder with one working example of each thing."""

from pathlib import Path
from typing import Annotated

import typer

from autorl.cli.output import Json, give, say


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")] = Path(),
    as_json: Json = False,
) -> None:
    """Make a project folder with an example of each thing that can go into it. For example: autorl init work"""
    from autorl.errors import UsageError

    template = Path(__file__).with_name("project")
    files = {path.relative_to(template): path for path in sorted(template.rglob("*"))
             if path.is_file() and "__pycache__" not in path.parts}
    there = [str(name) for name in files if (folder / name).exists()]
    if there:
        raise UsageError(f"{folder.resolve()} has {there[0]} already", "Name another folder: autorl init FOLDER")
    try:
        for name, source in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}", "Name another folder") from error
    if as_json:
        give({"folder": str(folder.resolve()), "files": [str(name) for name in files]})
        return
    say(f"A project in {folder.resolve()}:")
    for name in files:
        say(f"  {name}")
    say(f"\nTry it:\n  cd {folder}\n  autorl solve \"How long is a 26.2 mile run in kilometres?\"")

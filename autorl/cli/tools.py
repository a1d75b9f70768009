"""`autorl tools list | show | call`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from autorl.cli.output import Json, give, say

app = typer.Typer(no_args_is_help=True, help="See and try the tools. For example: autorl tools list")


@app.command("list")
def list_tools(as_json: Json = False) -> None:
    """Every tool pack with its tools. For example: autorl tools list"""
    from autorl import content
    from autorl.describe import signature

    packs = {name: content.load_pack(name) for name in content.packs()}
    if as_json:
        give([{"pack": name, "tools": [tool.name for tool in pack.tools],
               "groups": {group: [tool.name for tool in tools] for group, tools in pack.groups.items()},
               "verifiers": [f"{v.name}@{v.version}" for v in pack.verifiers.values()]}
              for name, pack in packs.items()])
        return
    for name, pack in packs.items():
        say(name, style="bold")
        for tool in pack.tools:
            say(f"  {signature(tool.spec)}: {tool.spec.description}")
        for group, tools in pack.groups.items():
            say(f"  {name}:{group}: {', '.join(tool.name for tool in tools)}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A pack or a tool.")], as_json: Json = False,
) -> None:
    """A tool with its parameters and JSON Schema, or the tools of a pack. For example: autorl tools show add_slide"""
    import json

    from autorl.describe import signature

    found = _find(name)
    if as_json:
        give([tool.spec.model_dump() for tool in found])
        return
    for tool in found:
        spec = tool.spec
        say(signature(spec), style="bold")
        say(f"  {spec.description}")
        limit = "no time limit" if tool.timeout is None else f"at most {tool.timeout:g} s"
        notes = [limit] + ["its output is not trusted"] * tool.untrusted + ["ends the run"] * tool.ends_run + [
            "changes nothing"] * tool.read_only
        say(f"  {', '.join(notes)}", style="dim")
        say(json.dumps(spec.parameters, indent=2, ensure_ascii=False))


@app.command()
def call(
    pack: Annotated[str, typer.Argument(help="The pack, NAME or NAME:GROUP.")],
    tool: Annotated[str, typer.Argument(help="The tool.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments, as a JSON object.")] = "{}",
    workspace: Annotated[Path, typer.Option(help="The folder it works in.")] = Path(),
    read: Annotated[list[Path] | None, typer.Option(help="A further folder that it may read.")] = None,
    task: Annotated[str, typer.Option(help="What the run is about, for tools that look at it.")] = "-",
    as_json: Json = False,
) -> None:
    """Call one tool, as an agent would. For example: autorl tools call files list_files '{}'"""
    import json

    from autorl import content
    from autorl.errors import UsageError
    from autorl.registry import RunContext, Toolset
    from autorl.types import Action, Task
    from autorl.workspace import Workspace

    tools = Toolset.of([pack], content.load_pack)
    tools.named(tool)
    try:
        values = json.loads(arguments)
    except ValueError as error:
        raise UsageError(f"the arguments are no JSON: {error}", """For example: '{"title": "Bees"}'""") from error
    if not isinstance(values, dict):
        raise UsageError(f"the arguments are a {type(values).__name__}, expected a JSON object")
    context = RunContext(Workspace(workspace, read or ()), Task(text=task))
    observation = tools.carry_out(Action(name=tool, arguments=values), context)
    if as_json:
        give(observation.model_dump())
    else:
        say(observation.text)
    raise typer.Exit(0 if observation.ok else 5)


def _find(name: str) -> "list[Any]":
    from autorl import content
    from autorl.errors import UnknownName

    packs = content.packs()
    if name.partition(":")[0] in packs:
        pack, _, group = name.partition(":")
        loaded = content.load_pack(pack)
        if group and group not in loaded.groups:
            raise UnknownName("group", group, loaded.groups)
        return list(loaded.groups[group] if group else loaded.tools)
    tools: dict[str, Any] = {}
    for pack in packs:
        loaded = content.load_pack(pack)
        for group_tools in (loaded.tools, *loaded.groups.values()):
            tools.update({tool.name: tool for tool in group_tools})
    if name not in tools:
        raise UnknownName("tool", name, {*tools, *packs})
    return [tools[name]]

"""`autorl serve vllm | install | list | stop`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from autorl.cli.output import Json, give, say

app = typer.Typer(no_args_is_help=True, help="Serve a model. For example: autorl serve vllm local")


@app.command(context_settings={"allow_extra_args": True})
def vllm(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A folder of weights, a model of the hub, or local for the embedded one. "
                                              "Options of vLLM's own come last, after --")],
    name: Annotated[str | None, typer.Option(help="To be found by, as vllm:NAME. [default: the end of MODEL]")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="A policy of this home, or NAME=FOLDER of a LoRA adapter; "
                                                          "may be given again.")] = None,
    python: Annotated[Path | None, typer.Option(help="Environment that has vLLM. [default: what `autorl serve install` "
                                                     "made]")] = None,
    port: Annotated[int | None, typer.Option(help="On loopback. [default: a free one]")] = None,
    tool_parser: Annotated[str, typer.Option(help="How the model writes calls of tools, in vLLM's terms.")] = "hermes",
    chat_template: Annotated[Path | None, typer.Option(help="In place of the model's own.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds that it may take to start.")] = 900,
    as_json: Json = False,
) -> None:
    """Run a vLLM server on loopback until control-C, found by `--model vllm:NAME` once it has answered.

    For example: autorl serve vllm local --name tiny -- --max-model-len 4096
    """
    import signal
    import sys
    import time

    from autorl.errors import ModelUnavailable
    from autorl.models import serving, vllm_environment

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def tell(text: str, style: str = "") -> None:
        # With --json, stdout has the one value that says where the server is, once it is ready.
        print(text, file=sys.stderr) if as_json else say(text, style)

    environment = vllm_environment.find(python)
    weights = _weights(model)
    name = name or ("embedded" if model == "local" else Path(model).name)
    adapters = _adapters(policy or [], weights)
    signal.signal(signal.SIGTERM, stop)
    began = time.monotonic()
    try:
        with serving.serving(environment, weights, name=name, port=port, adapters=adapters, tool_parser=tool_parser,
                             chat_template=chat_template, extra=context.args, tell=tell, patience=wait) as served:
            tell(f"\nReady after {time.monotonic() - began:.0f} s at {served.url}. Use it: --model vllm:{name}",
                 "bold green")
            for adapter in adapters:
                tell(f"With the policy {adapter.name}: --model vllm:{name}+{adapter.name}")
            if not served.tool_calls:
                tell(f"The chat template of {model} shows it no tools, so --format native is refused. To give one that "
                     "does: --chat-template FILE", "yellow")
            if as_json:
                give(served.model_dump())
                sys.stdout.flush()
            while served.lives:
                time.sleep(0.5)
            raise ModelUnavailable(f"the server ended by itself; its log is {served.log}")
    except KeyboardInterrupt:
        tell("\nStopped")


@app.command()
def install(
    folder: Annotated[Path | None, typer.Argument(help="Where to. [default: the user's cache folder]")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="For a machine without a GPU.")] = False,
    as_json: Json = False,
) -> None:
    """Make the environment that vLLM runs from. For example: autorl serve install --cpu"""
    from autorl.models import vllm_environment

    python = vllm_environment.install(folder or vllm_environment.default(), cpu=cpu)
    found = {"python": str(python), "vllm": vllm_environment.check(python)}
    if as_json:
        give(found)
    else:
        say(f"{found['vllm']} is in {python.parents[1]}")


@app.command("list")
def list_servers(as_json: Json = False) -> None:
    """The servers that were started here, and what they count. For example: autorl serve list"""
    from autorl.errors import ModelUnavailable
    from autorl.models import serving
    from autorl.models.vllm import Server

    found = []
    for _, word in serving.words():
        state = "dead" if not word.lives else "ready" if word.ready else "starting"
        counted: dict[str, Any] = {}
        if state == "ready":
            try:
                counters = Server(word.name, base_url=word.url).counters()
                counted = {"running": counters.running, "waiting": counters.waiting,
                           "prompt_tokens": counters.prompt_tokens, "prefix_cache_hit_rate": counters.hit_rate}
            except ModelUnavailable as error:
                state = f"does not answer ({error.what})"
        found.append({**word.model_dump(exclude={"ready"}), "state": state, **counted})
    if as_json:
        give(found)
        return
    for each in found:
        rate = f", {each['running']} running, {each['waiting']} waiting, {each['prefix_cache_hit_rate']:.1%} of " \
               f"{each['prompt_tokens']:,} prompt tokens from the prefix cache" if "running" in each else ""
        say(f"vllm:{each['name']}  {each['url']}  {each['state']}{rate}")
    if not found:
        say("No server was started here. For example: autorl serve vllm local")


@app.command()
def stop(
    name: Annotated[str, typer.Argument(help="Of the server, as in vllm:NAME.")],
    as_json: Json = False,
) -> None:
    """Stop the servers of a name. For example: autorl serve stop tiny"""
    from autorl.errors import UnknownName
    from autorl.models import serving

    named = [(path, word) for path, word in serving.words() if word.name == name]
    if not named:
        raise UnknownName("server", name, {word.name for _, word in serving.words()})
    for path, word in named:
        if word.lives:
            serving.stop(word.pid)
        path.unlink(missing_ok=True)
    if as_json:
        give({"stopped": [word.url for _, word in named]})
    else:
        say(f"Stopped {', '.join(word.url for _, word in named)}")


def _weights(model: str) -> str:
    if model != "local":
        return model
    from autorl.train.base import torch_weights

    return str(torch_weights("local"))


def _adapters(given: list[str], weights: str) -> list[Any]:
    from autorl.errors import UsageError
    from autorl.models.local import policies_folder
    from autorl.models.vllm import Adapter
    from autorl.train import adapters

    found = []
    for each in given:
        name, _, folder = each.partition("=")
        adapter = Adapter(name, Path(folder).expanduser() if folder else policies_folder() / name)
        if not (adapter.folder / adapters.CONFIG).is_file():
            raise UsageError(f"--policy {each}: there is no {adapters.CONFIG} in {adapter.folder}",
                             "Name a policy of `autorl policies list`, or NAME=FOLDER of a PEFT adapter")
        if Path(weights).is_dir():
            adapters.check(adapters.read(adapter.folder), adapters.base_of(Path(weights)))
        found.append(adapter)
    return found

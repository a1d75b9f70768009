"""`autorl doctor`: what is here, what works, and the command that mends what does not."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import typer

from autorl.cli.output import Json, give, say

EXTRAS = {
    "huggingface_hub": ("hub", "models from the Hugging Face hub: local:hf:REPO/FILE.gguf"),
    "psycopg": ("postgres", "a replay store in PostgreSQL: AUTORL_STORE=postgresql+psycopg://..."),
}
SOUND_SQLITE = (3, 51, 3)


class Finding(NamedTuple):
    about: str
    state: Literal["ok", "note", "bad"]
    found: str
    remedy: str = ""


def doctor(
    model: Annotated[str | None, typer.Option(help="The model to try instead of the one in the settings.")] = None,
    base_url: Annotated[str | None, typer.Option(help="URL of its server.")] = None,
    as_json: Json = False,
) -> None:
    """Check the installation: model, store, tools, extras. For example: autorl doctor"""
    given = {"model": model, "base_url": base_url}
    examined: list[Callable[[dict[str, Any]], list[Finding]]] = [
        _python, _settings, _store, _model, _tools, _sandbox, _extras]
    findings: list[Finding] = []
    for examine in examined:
        findings += _guarded(examine, given)
    if as_json:
        give({"sound": all(f.state != "bad" for f in findings), "findings": [f._asdict() for f in findings]})
    else:
        marks = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "bad": ("BAD ", "bold red")}
        for finding in findings:
            mark, style = marks[finding.state]
            say(f"{mark} {finding.about}: {finding.found}", style=style)
            if finding.remedy:
                say(f"       -> {finding.remedy}")
    raise typer.Exit(5 if any(f.state == "bad" for f in findings) else 0)


def _guarded(examine: Callable[[dict[str, Any]], list[Finding]], given: dict[str, Any]) -> list[Finding]:
    from autorl.errors import AutorlError

    try:
        return examine(given)
    except AutorlError as error:
        return [Finding(examine.__name__.strip("_"), "bad", error.what, error.remedy)]


def _python(_: dict[str, Any]) -> list[Finding]:
    from autorl import __version__

    where = f"autorl {__version__}, Python {sys.version.split()[0]} at {sys.executable}"
    return [Finding("installed", "ok", where)]


def _settings(given: dict[str, Any]) -> list[Finding]:
    from autorl import content, settings

    settings.resolve(given)
    home, project = settings.home(), content.project()
    findings = [Finding("home", "ok", f"{home} (AUTORL_HOME moves it)")]
    found = str(project) if project else "none here"
    findings.append(Finding("project", "ok" if project else "note", found, "" if project else "autorl init FOLDER"))
    return findings


def _store(_: dict[str, Any]) -> list[Finding]:
    import sqlite3

    from autorl.cli.output import open_store

    store = open_store(None)
    problems = store.check()
    counts = store.counts()
    kept = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()) or "no runs yet"
    findings = [Finding("store", "bad" if problems else "ok", f"{store.where}: {kept}" if not problems else
                        f"{store.where} is damaged: {'; '.join(problems)}",
                        f"Rescue what can be read: autorl replay salvage {store.where} NEW" if problems else "")]
    missing = store.check_files()
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    findings.append(Finding("files", "note" if missing else "ok", "; ".join(missing[:5]) + more or "what runs made is "
                            "there as they made it", "Put them back from a backup, or solve the tasks again"
                            if missing else ""))
    findings += [Finding("store", "note", *told) for told in store.notes()]
    if not isinstance(store.where, Path):
        return findings
    number = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
    old = number < SOUND_SQLITE
    findings.append(Finding(
        "SQLite", "note" if old else "ok",
        sqlite3.sqlite_version + (" has the WAL-reset bug (fixed in 3.51.3); the store goes round it by letting one "
                                  "process write at a time" if old else ""),
        "Other programs should not write to the store while autorl runs" if old else ""))
    return findings


def _model(given: dict[str, Any]) -> list[Finding]:
    from autorl import models, settings
    from autorl.cli.output import open_store
    from autorl.errors import AutorlError
    from autorl.models import weights
    from autorl.models.base import Request
    from autorl.train.policies import in_force

    chosen = settings.resolve(given)
    if chosen.model == "local":
        path = weights.location()
        if not path.is_file():
            return [Finding("model", "bad", "local, but its weights are not fetched", "autorl models fetch")]
        if not weights.sound(path):
            return [Finding("model", "bad", f"local, but {path} is not the expected file",
                            "autorl models fetch --again")]
    try:
        model = models.load(in_force(open_store(None), chosen.model, chosen.policy), base_url=chosen.base_url)
        reply = model.complete(Request([{"role": "user", "content": "Say yes."}], max_tokens=16, temperature=0))
    except AutorlError as error:
        return [Finding("model", "bad", error.what, error.remedy)]
    return [Finding("model", "ok", f"{model.name} answers in {reply.seconds:.1f} s "
                                   f"({reply.tokens_per_second:.0f} tokens/s): {reply.text.strip()[:40]!r}")]


def _tools(_: dict[str, Any]) -> list[Finding]:
    from autorl import content
    from autorl.errors import AutorlError

    findings = []
    for name in content.packs():
        try:
            pack = content.load_pack(name)
            findings.append(Finding(f"tools {name}", "ok", ", ".join(tool.name for tool in pack.tools)))
            findings += [Finding(f"tools {name}", "note", f"there is no {what}", remedy)
                         for what, remedy in pack.lacking().items()]
        except AutorlError as error:
            findings.append(Finding(f"tools {name}", "bad", error.what, error.remedy))
    return findings


def _sandbox(_: dict[str, Any]) -> list[Finding]:
    from autorl import sandbox, settings

    layers = sandbox.layers()
    held = ", ".join(f"{name} ({how})" for name, how in layers.held.items()) or "nothing"
    missing = "".join(f"; no {name} ({why})" for name, why in layers.missing.items())
    if layers.enough:
        return [Finding("sandbox", "ok", f"scripts are confined by {held}{missing}")]
    allowed = settings.resolve().unsandboxed
    runs = "run all the same (the setting 'unsandboxed')" if allowed else "are refused"
    return [Finding("sandbox", "note", f"scripts {runs}, for they would be confined by {held} only{missing}",
                    sandbox.REMEDY)]


def _extras(_: dict[str, Any]) -> list[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    findings = []
    for module, (extra, gives) in EXTRAS.items():
        try:
            findings.append(Finding(f"extra {extra}", "ok", f"{module} {version(module)}: {gives}"))
        except PackageNotFoundError:
            findings.append(Finding(f"extra {extra}", "note", f"not installed; it gives {gives}",
                                    f"pip install 'autorl-agent[{extra}]'"))
    return findings

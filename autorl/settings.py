"""Settings: command line > environment > autorl.toml > defaults, resolved once into one value."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from platformdirs import user_data_path
from pydantic import Field, ValidationError

from autorl import content
from autorl.errors import UnknownName, UsageError
from autorl.types import RecallMode, Value

PREFIX = "AUTORL_"


class Settings(Value):
    """All that can be set, with its default. Each is `--name`, AUTORL_NAME and a key of autorl.toml."""

    model: str = Field("local", description="provider:model; see `autorl models list`")
    policy: str | None = Field(None, description="a policy that was trained on the model, or none for the bare model; "
                                                 "the promoted one when not set")
    base_url: str | None = Field(None, description="URL of an OpenAI-compatible server, ending in /v1")
    tools: tuple[str, ...] = Field(("slides",), description="tool packs, as NAME or NAME:GROUP")
    format: str | None = Field(None, description="how a step is written: react, act, structured or native; when not "
                                                 "set, as the policy learned it, or else react")
    exemplars: Literal["full", "compact", "auto"] = Field("auto", description="how exemplars are shown: every step, "
                                                          "the actions alone, or what there is room for")
    constrained: bool = Field(True, description="constrain completions by a grammar where the backend takes one")
    temperature: float = Field(0.7, ge=0, le=2, description="of the sampling; 0 is greedy")
    seed: int | None = Field(None, description="of the sampling; a different run each time when not set")
    repetition: float | None = Field(None, gt=0, le=2, description="penalty on tokens that stand in the text already, "
                                     "1 for none; the backend's own when not set (no option of the command line)")
    max_tokens: int = Field(512, ge=16, description="of one completion")
    keep_tokens: bool = Field(False, description="keep the ids and log-probabilities of the tokens that the model gave "
                                                 "(no option of the command line)")
    recall: RecallMode = Field("verified+useful", description="which past runs are shown: verified+useful, or, to "
                               f"compare with it, {', '.join(get_args(RecallMode)[:-1])}")
    failures: bool = Field(False, description="tell in one line what went wrong before on tasks like this")
    k: int = Field(2, ge=0, le=16, description="exemplars to recall; 0 switches replay off")
    budget: int = Field(1500, ge=0, description="tokens that the exemplars of a prompt may take")
    max_steps: int = Field(20, ge=1, description="completions of a run")
    max_seconds: float = Field(600, gt=0, description="wall clock of a run")
    readable: tuple[Path, ...] = Field((), description="folders that tools may read, and never write to")
    store: str | None = Field(None, description="replay store: a file, or a URL postgresql+psycopg://USER@HOST/DATABASE")
    embedder: str = Field("wordllama", description="what tells which tasks are alike: wordllama, or openai:MODEL "
                                                 "(no option of the command line)")
    embedder_url: str | None = Field(None, description="URL of an OpenAI-compatible server for embeddings "
                                                    "(no option of the command line)")
    threads: int | None = Field(None, ge=1, description="processor threads of the embedded model; when not set, half "
                                "of the processors write and all of them read prompts. All of them are faster where "
                                "nothing else is at work, 1 is best beside another such process (no option of the "
                                "command line)")
    tenant: str | None = Field(None, description="whose prompts these are, on a vLLM server that serves several: they "
                                                 "share nothing in its cache (no option of the command line)")
    unsandboxed: bool = Field(False, description="run model-written code even where it cannot be confined "
                                                 "(no option of the command line)")


def home() -> Path:
    """Where autorl keeps what it keeps: AUTORL_HOME, or else the user's data folder."""
    named = os.environ.get(f"{PREFIX}HOME")
    return Path(named).expanduser().resolve() if named else user_data_path("autorl")


def resolve(given: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force; of `given` (the command line) what is None counts as not given.

    Raises UsageError that names the setting, its value and where it was set.
    """
    values: dict[str, Any] = {}
    whence: dict[str, str] = {}
    for source, layer in (*_files(), ("the environment", _environment()), ("the command line", given or {})):
        for name, value in layer.items():
            if name not in Settings.model_fields:
                raise UnknownName("setting", name, Settings.model_fields, f"(in {source})")
            if value is not None:
                values[name], whence[name] = value, source
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(f"the setting '{name}' is {first['input']!r}, which cannot be: {first['msg']}",
                         f"It comes from {whence.get(name, 'the defaults')}") from error


def _files() -> list[tuple[str, dict[str, Any]]]:
    folder = content.project()
    if folder is None:
        return []
    path = folder / content.CONFIG
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    return [(str(path), table)]


def _environment() -> dict[str, Any]:
    named = {key[len(PREFIX) :].lower(): value for key, value in os.environ.items() if key.startswith(PREFIX)}
    layer: dict[str, Any] = {}
    for name, value in named.items():
        if name == "home" or name not in Settings.model_fields:
            continue  # another program's variable, or a later version's, is no mistake of this call
        layer[name] = value.split(",") if name in ("tools", "readable") else value
    return layer

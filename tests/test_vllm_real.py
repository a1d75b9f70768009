"""vLLM itself, on the weights of the embedded model: its CPU build where there is no GPU.

Needs the environment that `autorl serve install --cpu` makes (or without --cpu, on a GPU).
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autorl import Agent
from autorl.errors import AutorlError, ModelUnavailable, UsageError
from autorl.models import serving, vllm_environment
from autorl.models.vllm import VLLM, Adapter
from autorl.policy import Sampling
from autorl.replay.recall import Recall
from autorl.rollout.threads import in_threads
from autorl.types import Limits
from tests import needs
from tests.conformance.models import RealModelSuite, ask
from tests.worlds import options, ping, plot

pytestmark = pytest.mark.slow
TEMPLATE = Path(__file__).with_name("data") / "chatml-tools.jinja"


@pytest.fixture(scope="module")
def weights() -> Path:
    from autorl.train.base import torch_weights

    try:
        return torch_weights("local")
    except AutorlError as error:
        needs.require(False, "the embedded model's weights for vLLM", str(error))
        raise


@pytest.fixture(scope="module")
def url(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    python = vllm_environment.default() / "bin" / "python"
    needs.require(python.is_file(), "environment with vLLM", "autorl serve install --cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORL_HOME", str(tmp_path_factory.mktemp("vllm")))
        with serving.serving(python, str(weights), name="tiny", chat_template=TEMPLATE, tell=lambda _: None,
                             extra=["--max-model-len", "4096", "--dtype", "bfloat16"]) as word:
            yield word.url


@pytest.fixture
def model(url: str) -> VLLM:
    return VLLM("tiny", [url])


class TestRealVLLM(RealModelSuite):
    pass


def test_its_context_is_known(model: VLLM) -> None:
    assert model.context_tokens == 4096


@pytest.mark.parametrize("format", ["react", "act", "structured", "native"])
def test_every_step_parses_in_every_format(model: VLLM, format: str) -> None:
    agent = Agent(model=model, tools=[ping, options, plot], format=format, recall=Recall(k=0), limits=Limits(steps=3),
                  sampling=Sampling(temperature=0.8, seed=1, max_tokens=200))
    run = agent.solve("Say that you are there")
    assert run.steps
    whole = [step for step in run.steps if step.finish_reason != "length"]
    assert whole
    assert all(step.action for step in whole), [step.raw for step in whole]


def test_token_ids_and_log_probabilities_come_with_the_answer(model: VLLM) -> None:
    completion = model.complete(ask("Count to five.", max_tokens=12, tokens=True))
    assert len(completion.token_ids) == len(completion.logprobs) == completion.usage.completion_tokens
    assert all(value <= 0 for value in completion.logprobs)


def test_the_prefix_cache_counts_what_it_saved_and_tenants_share_nothing(model: VLLM, url: str) -> None:
    long = "Here is a list: " + "apple pear plum " * 100
    before = model.counters()[0]
    for _ in range(2):
        model.complete(ask(long, max_tokens=1))
    after = model.counters()[0]
    asked = after.prompt_tokens - before.prompt_tokens
    assert 0.3 < (after.cached_tokens - before.cached_tokens) / asked < 0.7
    other = VLLM("tiny", [url], tenant="other")
    assert other.complete(ask(long, max_tokens=1)).usage.cached_tokens == 0
    assert other.complete(ask(long, max_tokens=1)).usage.cached_tokens > 0


def test_many_long_prompts_at_once_with_seeds_do_not_kill_the_engine(model: VLLM) -> None:
    """The CPU build would, if it computed them in pieces."""
    asked = [ask(f"{n} " + "apple pear plum " * 500, max_tokens=4, temperature=1.0, seed=n) for n in range(6)]
    assert len(list(in_threads(model.complete, asked, 6))) == 6


def adapter(folder: Path, weights: Path, *, wide: int = 0, size: float = 0.0) -> Path:
    """A LoRA adapter on the value layers of the model, or of one with another width."""
    from safetensors.numpy import save_file

    config = json.loads((weights / "config.json").read_text())
    hidden = wide or config["hidden_size"]
    out = config["num_key_value_heads"] * config["hidden_size"] // config["num_attention_heads"]
    chance = np.random.default_rng(0)
    tensors = {}
    for block in range(config["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{block}.self_attn.v_proj"
        tensors[f"{name}.lora_A.weight"] = chance.normal(0, 1, (8, hidden)).astype(np.float32)
        tensors[f"{name}.lora_B.weight"] = chance.normal(0, size, (out, 8)).astype(np.float32)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 8, "target_modules": ["v_proj"],
        "bias": "none", "base_model_name_or_path": str(weights), "inference_mode": True, "lora_dropout": 0.0}))
    return folder


def test_adapters_are_swapped_under_load_and_answer_as_they_should(model: VLLM, weights: Path, tmp_path: Path) -> None:
    plain = model.complete(ask("Tell me about bees.", max_tokens=12)).text
    stop = threading.Event()
    said = []

    def load() -> None:
        while not stop.is_set():
            said.extend(in_threads(lambda n: model.complete(ask(f"Say {n}.", max_tokens=6, run=str(n))), range(4), 4))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        model.swap(Adapter("policy@1", adapter(tmp_path / "one", weights)))
        same = model.complete(ask("Tell me about bees.", max_tokens=12))
        model.swap(Adapter("policy@2", adapter(tmp_path / "two", weights, size=0.5)))
        changed = model.complete(ask("Tell me about bees.", max_tokens=12))
    finally:
        stop.set()
        thread.join()
    assert (same.text, same.policy) == (plain, "vllm:tiny+policy@1"), "an adapter that adds nothing changes nothing"
    assert changed.text != plain
    assert changed.policy == "vllm:tiny+policy@2"
    assert {completion.policy for completion in said} <= {"vllm:tiny", "vllm:tiny+policy@1", "vllm:tiny+policy@2"}
    with pytest.raises(ModelUnavailable, match="does not know the model 'policy@1'"):
        VLLM("policy@1", [str(model.members[0].server.base_url)]).complete(ask())


def test_an_adapter_of_another_base_is_refused_and_the_server_goes_on(
    model: VLLM, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"'narrow' in .* another model than 'tiny': its v_proj takes 64 numbers.*576"):
        model.swap(Adapter("narrow", adapter(tmp_path / "narrow", weights, wide=64)))
    with pytest.raises(ModelUnavailable, match="does not take the adapter 'none'"):
        model.swap(Adapter("none", tmp_path / "nothing"))
    assert model.complete(ask()).text

"""The embedded model with an adapter: llama.cpp computes what PEFT computes."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autorl import Agent, Recall, models
from autorl.errors import ModelUnavailable, UnknownName
from autorl.models.local import Local, policies_folder, split
from autorl.replay.store import ReplayStore
from autorl.types import Limits
from tests import needs
from tests.conformance.models import ask
from tests.worlds import ping

pytestmark = pytest.mark.slow
PROMPTS = ("The capital of France is", "Write a list of three fruits:", "Once upon a time there was a",
           "def add(a, b):", "Bees live in")
TOKENS = 32


@pytest.fixture(scope="module")
def peft_model(embedded: Local, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The embedded model in torch, under an adapter of chance on every linear layer; with its `folder`, `tokenizer`."""
    needs.require(bool(find_spec("torch") and find_spec("peft")), "torch and peft", "pip install -e '.[train]'")
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from autorl.train.base import torch_weights

    weights = torch_weights("local")
    torch.manual_seed(0)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32),
                           LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.08)
    model.folder = tmp_path_factory.mktemp("peft")
    model.save_pretrained(model.folder)
    model.tokenizer = AutoTokenizer.from_pretrained(weights)
    return model.eval()


@pytest.fixture
def policy(peft_model: Any, store: ReplayStore) -> Iterator[str]:
    """That adapter as a policy of this test's home."""
    from autorl.train import policies

    name = policies.add(store, peft_model.folder)
    yield name
    Local.shared(f"local+{name}").close()


def spoken(model: Local) -> list[tuple[str, list[int], list[float]]]:
    """What the model says after each prompt, token by token, and how likely it found each."""
    said = []
    for prompt in PROMPTS:
        reply = model._server().handle_completions(
            {"prompt": prompt, "max_tokens": TOKENS, "n_predict": TOKENS, "temperature": 0, "top_k": 1, "logprobs": 1})
        tokens = reply["choices"][0]["logprobs"]["content"]
        said.append((prompt, [token["id"] for token in tokens], [token["logprob"] for token in tokens]))
    return said


def agreement(model: Any, said: list[tuple[str, list[int], list[float]]]) -> tuple[float, float]:
    """Of these tokens, the share that torch would have chosen too, and the mean difference of the log-probabilities."""
    import torch

    same, apart = [], []
    for prompt, tokens, likely in said:
        begun = model.tokenizer(prompt).input_ids
        with torch.no_grad():
            logits = model(torch.tensor([begun + tokens])).logits[0, len(begun) - 1 : -1]
        found = torch.log_softmax(logits, -1)
        same += (found.argmax(-1) == torch.tensor(tokens)).tolist()
        apart += [abs(found[at, token].item() - there) for at, (token, there) in enumerate(zip(tokens, likely,
                                                                                            strict=True))]
    return sum(same) / len(same), sum(apart) / len(apart)


def test_llama_cpp_computes_with_an_adapter_what_peft_computes(peft_model: Any, policy: str, embedded: Local) -> None:
    bare, adapted = spoken(embedded), spoken(Local.shared(f"local+{policy}"))
    assert [tokens for _, tokens, _ in bare] != [tokens for _, tokens, _ in adapted]
    with peft_model.disable_adapter():
        # llama.cpp rounds what it multiplies with four-bit weights: how far that goes without any adapter.
        noise_same, noise_apart = agreement(peft_model, bare)
        _, without = agreement(peft_model, adapted)
    same, apart = agreement(peft_model, adapted)
    assert same >= noise_same - 0.05
    assert apart <= 1.5 * noise_apart
    assert without > 2 * apart, "and the adapter is what they agree on"


def test_every_step_says_which_policy_made_it(policy: str, store: ReplayStore, embedded: Local) -> None:
    name = f"local+{policy}"
    done = Agent(model=name, tools=[ping], store=store, recall=Recall(k=0), limits=Limits(steps=1)).solve("Say ping")
    assert [step.policy for step in done.steps] == [name]
    assert store.get(done.id).provenance.model == name
    assert store.attempts([done.task.id], name)[done.task.id][0] == 1
    assert store.attempts([done.task.id], "local") == {}, "another policy's attempts are its own"


def test_the_weights_of_a_model_with_an_adapter_are_loaded_once(policy: str, embedded: Local) -> None:
    name = f"local+{policy}"
    model = models.load(name)
    assert models.load(name) is model is Local.shared(name)
    assert model is not embedded
    assert model.complete(ask()).text
    server = model._server()
    assert model._server() is server
    model.close()
    assert model.complete(ask()).text, "and again after its memory was given back"


def test_a_damaged_or_missing_adapter_is_named(policy: str, tmp_path: Path) -> None:
    path = policies_folder() / policy / "adapter.gguf"
    with pytest.raises(UnknownName, match=rf"no policy named 'policy@000'.*{policy}"):
        Local("local+policy@000").complete(ask())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnavailable, match=f"{path} is damaged"):
        Local(f"local+{policy}").complete(ask())
    with pytest.raises(ModelUnavailable, match=f"cannot load .*the adapter {path}.*for this model"):
        Local("local", adapter=path).complete(ask())


def test_a_name_says_its_model_and_its_policy() -> None:
    assert split("local+policy@7f") == ("local", "policy@7f")
    assert split("local:a+b.gguf+policy@7f") == ("local:a+b.gguf", "policy@7f")
    assert split("local:a+b.gguf") == ("local:a+b.gguf", None)

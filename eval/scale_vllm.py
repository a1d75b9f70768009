"""What autorl makes of a vLLM server: how much of its speed arrives, what its prefix cache saves, whether it agrees.

    python eval/scale_vllm.py [--only saturation saturation_slides prefix ...] [--no-keep]

Starts vLLM on the weights of the embedded model (`autorl serve install --cpu` makes its environment) and measures

saturation_vllm         tokens generated a second by 64 agents at once, as a part of what a bare load generator gets
                        that sends the very same bodies in the same order, 64 at once; the two take turns; 96 runs of
                        up to four steps in the warehouse, from a store that recalls and keeps, with a verifier
saturation_vllm_slides  the same with 64 runs of two steps that make slides, which are rendered to be verified
prefix_recomputed_ratio prompt tokens that the server computed for the same steps of the same runs, in autorl's layout
                        and in the naive one that puts the task before the exemplars; from the server's own counters
greedy_agreement        of 20 prompts, how many get the same 32 greedy tokens from llama.cpp and from vLLM where both
                        have the same numbers in 32 bits, in the cache too; where they part, how near the two best were
greedy_agreement_as_served  the same as they are used: vLLM in bfloat16, llama.cpp on the quantised weights

Kept in eval/results/scale.json as each is measured.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench_speed import SOME, TOOLS, Planned
from kept import keep, show
from platformdirs import user_cache_path

from autorl import Agent, ReplayStore, Sampling, content, formats
from autorl import tasks as task_sets
from autorl.models import serving, vllm_environment
from autorl.models.base import Completion, Request
from autorl.models.local import Local
from autorl.models.vllm import VLLM
from autorl.registry import Toolset
from autorl.replay.recall import Recall, recall
from autorl.train.base import torch_weights
from autorl.types import Context, Limits, Task

AT_ONCE = 64
GREEDY = 32
"""Tokens of a greedy answer."""
STORED = 4
"""Of so many tasks one is in the store as a success; the others are asked."""
RENDERED = "the decks are rendered on the processors that the server computes on, at the end of all runs at once"
"""Why less arrives where slides are made."""


class Noted(VLLM):
    """Keeps the bodies that it sends, by run, so that they can be sent again without autorl."""

    bodies: dict[str, list[dict[str, Any]]]

    def complete(self, request: Request) -> Completion:
        self.bodies.setdefault(request.run, []).append(self.members[0].server._body(request))
        return super().complete(request)


def saturation(url: str) -> dict[str, Any]:
    """Everything is on but a deck: a store that recalls and keeps each step, tools, a verifier."""
    store = ReplayStore(Path(tempfile.mkdtemp()) / "replay.db")
    filling = Agent(model=Planned(0), tools=TOOLS, store=store, recall=Recall(k=0), workspaces=Path(tempfile.mkdtemp()))
    assert all(run.verified for run in filling.solve_many(SOME[::STORED]))
    agent = Agent(tools=TOOLS, store=store, recall=Recall(k=2), limits=Limits(steps=4),
                  sampling=Sampling(max_tokens=48), workspaces=Path(tempfile.mkdtemp()))
    tasks = [task for number, task in enumerate(SOME) if number % STORED]
    return {"saturation_vllm": {**arrives(url, agent, tasks), "goal": ">= 0.95"}}


def saturation_slides(url: str) -> dict[str, Any]:
    """Decks are made and rendered beside the server."""
    agent = Agent(recall=Recall(k=1), limits=Limits(steps=2), sampling=Sampling(max_tokens=48),
                  workspaces=Path(tempfile.mkdtemp()))
    tasks = task_sets.load("slides/learn").tasks[:AT_ONCE]
    return {"saturation_vllm_slides": {**arrives(url, agent, tasks), "reason": RENDERED}}


def arrives(url: str, agent: Agent, tasks: Sequence[Task], rounds: int = 2) -> dict[str, Any]:
    """Tokens a second of `agent`, as a part of what its bodies get without autorl; the two take turns."""
    # What is loaded once is no part of it, nor what the server makes once for each number of requests together.
    warm = replace(agent, model=VLLM("tiny", [url], tenant="warm"), store=None, memory=agent.store,
                   limits=Limits(steps=1))
    list(warm.solve_many(tasks[:AT_ONCE], concurrency=AT_ONCE))
    ratios, speeds = [], []
    for number in range(rounds):
        # A tenant of its own, so that nobody finds the prompts of the one before in the cache.
        model = Noted("tiny", [url], tenant=f"agents {number}")
        model.bodies = {}
        asking = replace(agent, model=model, sampling=replace(agent.sampling, seed=number))
        ours, _ = timed(lambda asking=asking: list(asking.solve_many(tasks, concurrency=AT_ONCE)),
                        lambda runs: sum(run.usage.completion_tokens for run in runs))
        bodies = [[{**body, "cache_salt": f"bare {number}"} for body in run] for run in model.bodies.values()]
        bare, _ = timed(lambda bodies=bodies: bare_load(url, bodies), sum)
        print(f"round {number + 1}: {ours:.1f} tokens/s through autorl, {bare:.1f} bare", flush=True)
        ratios.append(ours / bare)
        speeds.append(bare)
    return {"value": statistics.mean(ratios), "unit": "ratio", "n": rounds * len(tasks),
            "interval": [min(ratios), max(ratios)], "baseline": statistics.mean(speeds)}


def timed(work: Callable[[], Any], tokens: Callable[[Any], int]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = work()
    return tokens(done) / (time.perf_counter() - began), done


def bare_load(url: str, runs: Sequence[Sequence[dict[str, Any]]]) -> list[int]:
    """Send the bodies of each run one after the other, `AT_ONCE` runs at once; gives the tokens of each answer."""
    import openai

    client = openai.OpenAI(api_key="none", base_url=url, max_retries=0, timeout=600)

    def one(run: Sequence[dict[str, Any]]) -> int:
        return sum(client.post("/chat/completions", body=body, cast_to=openai.types.chat.ChatCompletion)
                   .usage.completion_tokens for body in run)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, runs))


def prefix(url: str, runs: int = 16, steps: int = 4) -> dict[str, Any]:
    form, tools = formats.load("react"), Toolset.of(["slides"], content.load_pack)
    tasks = task_sets.load("slides/held_out").tasks[:runs]
    computed = {}
    for layout in (ours, naive):
        model = VLLM("tiny", [url], tenant=layout.__name__)
        before = model.counters()[0]
        for task in tasks:
            context = told(task, form, tools, model, steps)
            for taken in range(steps + 1):
                messages = layout(form, context, taken)
                model.complete(Request(messages, max_tokens=1, temperature=0.0))
        after = model.counters()[0]
        asked = after.prompt_tokens - before.prompt_tokens
        computed[layout] = asked - (after.cached_tokens - before.cached_tokens)
        print(f"{layout.__name__}: {asked:,} prompt tokens, {computed[layout]:,} of them computed", flush=True)
    return {"prefix_recomputed_ratio": {"value": computed[ours] / computed[naive], "unit": "ratio",
                                        "n": runs * (steps + 1), "baseline": computed[naive]}}


def told(task: Task, form: Any, tools: Toolset, model: VLLM, steps: int) -> Context:
    """A run of `task` with what is recalled for it; its steps are those of the first exemplar."""
    recalled = recall(None, task, tools=tools, how=Recall(k=2), size=lambda run, style: sum(
        model.count(form.spoken(message)) for message in form.exemplar(run, style)))
    return Context(task, tools.specs, recalled.exemplars, recalled.exemplars[0].trajectory.steps[:steps])


def ours(form: Any, context: Context, taken: int) -> list[Any]:
    return list(form.render(Context(context.task, context.tools, context.exemplars, context.steps[:taken])))


def naive(form: Any, context: Context, taken: int) -> list[Any]:
    """The same words, the task before the exemplars."""
    system, first, *rest = ours(form, context, taken)
    asking = len(ours(form, context, 0)) - 3
    asked = {"role": "user", "content": f"Task: {context.task.text}\n\nPast tasks that went well:\n{first['content']}"}
    now = {"role": "user", "content": rest[asking]["content"].replace(f"Task: {context.task.text}", "").strip()}
    return [system, asked, *rest[:asking], now, *rest[asking + 1 :]]


def greedy_as_served(url: str) -> dict[str, Any]:
    """vLLM in 16 bits against the embedded model as it is."""
    local = Local.shared("local")
    # Through its HTTP endpoint, for in-process it is asked with penalties for repetition.
    return {"greedy_agreement_as_served": agreement(url, f"{local._server().listening_address}/v1")}


def greedy(url: str) -> dict[str, Any]:
    """vLLM in 32 bits against llama.cpp in 32 bits, on the same numbers."""
    import xllamacpp

    plain = user_cache_path("autorl") / "models" / "SmolLM2-135M-Instruct.F32.gguf"
    if not plain.exists():
        in_32_bits(Local.shared("local").path, plain)
    params = xllamacpp.CommonParams()
    params.model.path = str(plain)
    params.n_ctx, params.n_parallel, params.verbosity, params.ui = 4096, 1, -1, False
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    llama = xllamacpp.Server(params)
    return {"greedy_agreement": agreement(url, f"{llama.listening_address}/v1")}


def in_32_bits(quantised: Path, plain: Path) -> None:
    """Write the GGUF file `plain` with the numbers that `quantised` stands for, so that no product is rounded to bits
    of its own: llama.cpp rounds activations to eight bits before it multiplies them with quantised weights."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter
    from gguf.quants import dequantize

    read = GGUFReader(quantised)
    part = plain.with_suffix(".part")
    writer = GGUFWriter(part, arch=read.fields["general.architecture"].contents())
    of_the_file = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture", "general.file_type",
                   "general.quantization_version")
    for name, field in read.fields.items():
        if name not in of_the_file:
            within = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], within)
    for tensor in read.tensors:
        writer.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(plain)


def agreement(vllm: str, llama: str) -> dict[str, Any]:
    """The share of prompts with the same greedy tokens, and how near to each other the two are where they part."""
    same, until, gaps = 0, [], []
    for task in task_sets.load("slides/held_out").tasks[:20]:
        theirs, ours = answered(vllm, "tiny", task.text), answered(llama, "local", task.text)
        assert theirs.prompt == ours.prompt, "the two were not asked the same"
        if theirs.text == ours.text:
            same += 1
            continue
        # By what is said until then: a token that is half a character or ends the turn is shown in two ways.
        whole = min(len(theirs.said), len(ours.said)) - 1
        parted = next((n for n in range(whole) if not ours.text.startswith("".join(theirs.said[: n + 1]))), whole)
        until.append(parted)
        gaps.append((theirs.margins[parted], ours.margins[parted]))
        print(f"  {parted} tokens, then {theirs.said[parted]!r} and {ours.said[parted]!r}: each preferred its own to "
              f"its second best by {gaps[-1][0]:.4f} and {gaps[-1][1]:.4f} in log-probability", flush=True)
    reason = None
    if gaps:
        nearest = [min(pair) for pair in gaps]
        reason = f"the others part after {statistics.median(until):.0f} tokens at the median, where the " \
                 f"log-probabilities of the two best tokens differ by {statistics.median(nearest):.3g} at the median " \
                 f"and {max(nearest):.3g} at most"
    return {"value": same / 20, "unit": "share", "n": 20, "reason": reason}


@dataclass(frozen=True)
class Answered:
    """prompt: its tokens; said: the tokens of an answer; margins: by how much each was likelier than the second best"""

    prompt: int
    text: str
    said: list[str]
    margins: list[float]


def answered(url: str, model: str, text: str) -> Answered:
    import openai

    client = openai.OpenAI(api_key="none", base_url=url, max_retries=0, timeout=600)
    reply = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], max_tokens=GREEDY,
                                           temperature=0.0, logprobs=True, top_logprobs=2)
    tokens = reply.choices[0].logprobs.content
    best = [sorted((each.logprob for each in token.top_logprobs), reverse=True) for token in tokens]
    return Answered(reply.usage.prompt_tokens, reply.choices[0].message.content, [token.token for token in tokens],
                    [one - other for one, other in best])


@contextmanager
def served(dtype: str) -> Iterator[str]:
    """A vLLM server under a home of its own."""
    python = vllm_environment.find(None)
    with serving.serving(python, str(torch_weights("local")), name="tiny", tell=lambda _: None,
                         extra=["--max-model-len", "4096", "--dtype", dtype, "--max-num-seqs", str(AT_ONCE)]) as word:
        print(f"vLLM is ready at {word.url}", flush=True)
        yield word.url


MEASURES = {"bfloat16": (prefix, saturation, saturation_slides, greedy_as_served), "float32": (greedy,)}
"""By what vLLM computes in."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [measure.__name__ for measures in MEASURES.values() for measure in measures]
    parser.add_argument("--only", nargs="*", choices=names, default=names, help="measure these alone")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    args = parser.parse_args()
    for dtype, measures in MEASURES.items():
        chosen = [measure for measure in measures if measure.__name__ in args.only]
        if not chosen:
            continue
        with served(dtype) as url:
            for measure in chosen:
                figures = measure(url)
                print(show(figures), flush=True)
                if not args.no_keep:
                    keep("scale", figures, f"python eval/scale_vllm.py --only {measure.__name__}")


if __name__ == "__main__":
    main()

"""What autorl makes of a vLLM server: how much of its speed arrives, what its prefix cache saves, whether it agrees.

    python eval/scale_vllm.py [--only saturation prefix greedy] [--no-keep]

Starts vLLM on the weights of the embedded model (`autorl serve install --cpu` makes its environment) and measures

saturation_vllm         tokens generated a second by 64 agents at once, as a part of what a bare load generator gets
                        that sends the very same bodies in the same order, 64 at once; the two take turns
prefix_recomputed_ratio prompt tokens that the server computed for the same steps of the same runs, in autorl's layout
                        and in the naive one that puts the task before the exemplars; from the server's own counters
greedy_agreement        of 20 prompts, how many get the same greedy tokens from llama.cpp and from vLLM; where they
                        part, by how much (in log-probability) vLLM preferred its own token to llama.cpp's

Kept in eval/results/scale.json.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kept import keep, show

from autorl import Agent, Sampling, content, formats
from autorl import tasks as task_sets
from autorl.models import serving, vllm_environment
from autorl.models.base import Completion, Request
from autorl.models.local import Local
from autorl.models.openai import OpenAIServer
from autorl.models.vllm import VLLM
from autorl.registry import Toolset
from autorl.replay.recall import Recall, recall
from autorl.train.base import torch_weights
from autorl.types import Context, Limits, Task

AT_ONCE = 64
GREEDY = 32
"""Tokens of a greedy answer."""


class Noted(VLLM):
    """Keeps the bodies that it sends, by run, so that they can be sent again without autorl."""

    bodies: dict[str, list[dict[str, Any]]]

    def complete(self, request: Request) -> Completion:
        self.bodies.setdefault(request.run, []).append(self.members[0].server._body(request))
        return super().complete(request)


def saturation(url: str, rounds: int = 2) -> dict[str, Any]:
    tasks = task_sets.load("slides/learn").tasks[:AT_ONCE]
    # What is loaded once is no part of it.
    Agent(model=VLLM("tiny", [url]), limits=Limits(steps=1), workspaces=Path(tempfile.mkdtemp())).solve(tasks[0])
    ratios, speeds = [], []
    for number in range(rounds):
        # A tenant of its own, so that nobody finds the prompts of the one before in the cache.
        model = Noted("tiny", [url], tenant=f"agents {number}")
        model.bodies = {}
        agent = Agent(model=model, recall=Recall(k=1), limits=Limits(steps=2),
                      sampling=Sampling(seed=number, max_tokens=48), workspaces=Path(tempfile.mkdtemp()))
        ours, _ = timed(lambda agent=agent: list(agent.solve_many(tasks, concurrency=AT_ONCE)),
                        lambda runs: sum(run.usage.completion_tokens for run in runs))
        bodies = [[{**body, "cache_salt": f"bare {number}"} for body in run] for run in model.bodies.values()]
        bare, _ = timed(lambda bodies=bodies: bare_load(url, bodies), sum)
        print(f"round {number + 1}: {ours:.1f} tokens/s through autorl, {bare:.1f} bare", flush=True)
        ratios.append(ours / bare)
        speeds.append(bare)
    return {"saturation_vllm": {"value": statistics.mean(ratios), "unit": "ratio", "n": rounds * len(tasks),
                                "interval": [min(ratios), max(ratios)], "goal": ">= 0.95",
                                "baseline": statistics.mean(speeds)}}


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


def greedy(url: str) -> dict[str, Any]:
    import openai

    local = Local.shared("local")
    # Through its HTTP endpoint, for in-process it is asked with penalties for repetition.
    llama = OpenAIServer("local", base_url=f"{local._server().listening_address}/v1")
    client = openai.OpenAI(api_key="none", base_url=url, max_retries=0, timeout=600)
    same, gaps, until = 0, [], []
    for task in task_sets.load("slides/held_out").tasks[:20]:
        messages = [{"role": "user", "content": task.text}]
        theirs = llama.complete(Request(messages, max_tokens=GREEDY, temperature=0.0)).text
        body = {"model": "tiny", "messages": messages, "max_tokens": GREEDY, "temperature": 0.0, "logprobs": True,
                "top_logprobs": 10}
        choice = client.post("/chat/completions", body=body, cast_to=openai.types.chat.ChatCompletion).choices[0]
        if choice.message.content == theirs:
            same += 1
            continue
        said = ""
        for number, token in enumerate(choice.logprobs.content):
            if not theirs.startswith(said + token.token):
                rest = theirs[len(said) :]
                others = [other.logprob for other in token.top_logprobs if other.token and rest.startswith(other.token)]
                gaps.append(token.logprob - max(others, default=float("-inf")))
                until.append(number)
                break
            said += token.token
    print(f"{same} of 20 the same; the others part after {until} tokens, where vLLM preferred its own by "
          f"{[round(gap, 3) for gap in gaps]} in log-probability", flush=True)
    reason = None
    if gaps:
        reason = f"they part after {statistics.median(until):.0f} tokens at the median, where the log-probabilities " \
                 f"that vLLM gives the two tokens differ by {statistics.median(gaps):.2f} at the median and " \
                 f"{max(gaps):.2f} at most"
    return {"greedy_agreement": {"value": same / 20, "unit": "share", "n": 20, "reason": reason}}


@contextmanager
def served(dtype: str) -> Iterator[str]:
    """A vLLM server under a home of its own."""
    python = vllm_environment.find(None)
    with serving.serving(python, str(torch_weights("local")), name="tiny", tell=lambda _: None,
                         extra=["--max-model-len", "4096", "--dtype", dtype, "--max-num-seqs", str(AT_ONCE)]) as word:
        print(f"vLLM is ready at {word.url}", flush=True)
        yield word.url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=("saturation", "prefix", "greedy"), help="measure these alone")
    parser.add_argument("--dtype", default="bfloat16", help="that vLLM computes in (default bfloat16)")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    args = parser.parse_args()
    figures = {}
    with served(args.dtype) as url:
        for measure in (prefix, greedy, saturation):
            if not args.only or measure.__name__ in args.only:
                figures |= measure(url)
    command = "python eval/scale_vllm.py" + (f" --only {' '.join(args.only)}" if args.only else "")
    if not args.no_keep:
        keep("scale", figures, command)
    print(show(figures))


if __name__ == "__main__":
    main()

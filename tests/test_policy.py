import pytest

from autorl.errors import ContextOverflow, UsageError
from autorl.formats import load
from autorl.formats.base import ELIDED
from autorl.models.base import Capabilities, Completion, Request
from autorl.models.scripted import Scripted
from autorl.policy import Policy, Sampling
from autorl.registry import finish
from autorl.types import Action, Context, Exemplar, Observation, Step, Task
from tests.worlds import a_run, a_step, numbered, ping, say

TOOLS = (ping.spec, finish.spec)
DONE = say("finish", answer="done")
LONG = "word " * 300


def policy(*answers: str | Completion, context_tokens: int | None = None, **sampling: object) -> Policy:
    model = Scripted(list(answers) or [DONE] * 50, context_tokens=context_tokens)
    return Policy(model, load("react"), Sampling(**{"max_tokens": 100, **sampling}))  # type: ignore[arg-type]


def prompt(acting: Policy, turn: int = -1) -> str:
    asked = acting.model.requests[turn].messages  # type: ignore[attr-defined]
    return "\n".join(message["content"] for message in asked)


def past(name: str, text: str = LONG) -> Exemplar:
    return Exemplar(a_run(f"Task of {name}", numbered([a_step(observation=text), a_step()]), id=name))


def test_a_penalty_on_repetition_is_refused_where_nobody_takes_it() -> None:
    with pytest.raises(UsageError, match="'scripted' takes no penalty on repetition, and the setting .* is 1.2"):
        policy(repetition=1.2)


# What comes back.


def test_an_answer_becomes_a_step() -> None:
    acting = policy(f"{say('ping', 'I look')}\nObservation: invented")
    step = acting.act(Context(Task.of("Do it"), TOOLS))
    assert (step.index, step.thought, step.action, step.error) == (0, "I look", Action(name="ping"), None)
    assert step.cut == len("Observation: invented")
    assert step.raw.endswith("invented")
    assert step.observation is None
    assert step.usage.completion_tokens > 0


def test_an_answer_without_an_action_becomes_a_correction() -> None:
    step = policy("I do not know.").act(Context(Task.of("Do it"), TOOLS))
    assert step.action is None
    assert step.error == "FormatError: there is no line 'Action:'"
    assert step.observation is not None
    assert not step.observation.ok
    assert "there is no line 'Action:'" in step.observation.text
    assert "Action Input:" in step.observation.text


@pytest.mark.parametrize("text", [DONE, "", "Thought: I"])
def test_an_answer_without_a_finish_reason_is_truncated_and_no_action(text: str) -> None:
    step = policy(Completion(text, None)).act(Context(Task.of("Do it"), TOOLS))
    assert step.action is None
    assert step.error == "Truncated: the answer was cut off on its way"


def test_an_answer_cut_at_its_tokens_counts_if_its_action_is_complete() -> None:
    whole, half = Completion(f"{DONE}\nObserv", "length"), Completion(DONE[:-3], "length")
    acting = policy(whole, half)
    assert acting.act(Context(Task.of("Do it"), TOOLS)).action is not None
    step = acting.act(Context(Task.of("Do it"), TOOLS))
    assert step.action is None
    assert step.error == "Truncated: the answer was cut at 100 tokens; be shorter"


# What is asked.


def test_the_request_is_sampled_as_set() -> None:
    acting = policy(temperature=0.1, seed=40)
    acting.act(Context(Task.of("Do it"), TOOLS))
    acting.act(Context(Task.of("Do it"), TOOLS, steps=(a_step(),)))
    first, second = acting.model.requests  # type: ignore[attr-defined]
    assert (first.temperature, first.max_tokens, first.stop) == (0.1, 100, ("\nObservation:",))
    assert (first.seed, second.seed) == (40, 41), "each step draws anew, and the same in a second run"
    assert (first.grammar, first.json_schema) == (None, None), "a backend that takes no constraint gets none"


@pytest.mark.parametrize(("takes", "constrained", "given"), [
    (Capabilities(grammar=True, json_schema=True), True, (True, False)),
    (Capabilities(json_schema=True), True, (False, True)),
    (Capabilities(grammar=True, json_schema=True), False, (False, False)),
])
def test_a_backend_is_given_the_constraint_that_it_takes(
    takes: Capabilities, constrained: bool, given: tuple[bool, bool]
) -> None:
    model = Scripted(['{"action": "ping"}'])
    model.capabilities = takes
    Policy(model, load("structured"), Sampling(constrained=constrained)).act(Context(Task.of("Do it"), TOOLS))
    request = model.requests[0]
    assert (request.grammar is not None, request.json_schema is not None) == given


# What fits.


def test_without_a_known_context_nothing_is_left_out() -> None:
    acting = policy()
    steps = numbered([a_step(observation=LONG)] * 10)
    step = acting.act(Context(Task.of("Do it"), TOOLS, (past("one"),), steps))
    assert (step.dropped, step.elided) == ((), 0)
    assert ELIDED not in prompt(acting)


def test_exemplars_go_first_the_least_valuable_before_the_others() -> None:
    acting = policy(context_tokens=1_900)
    shown = (past("worst"), past("middle"), past("best"))
    step = acting.act(Context(Task.of("Do it"), TOOLS, shown))
    assert step.dropped == ("worst",)
    assert step.elided == 0
    assert "Task of worst" not in prompt(acting)
    assert "Task of best" in prompt(acting)


def test_then_the_oldest_observations_are_elided_with_a_mark_and_it_is_said_in_the_step() -> None:
    acting = policy(context_tokens=2_600)
    steps = numbered([a_step(observation=f"{n} {LONG}") for n in range(6)])
    step = acting.act(Context(Task.of("Do it"), TOOLS, (past("one"),), steps))
    assert step.dropped == ("one",)
    assert 0 < step.elided < len(steps)
    asked = prompt(acting)
    assert asked.count(ELIDED) == step.elided
    assert "Observation: 0 word" not in asked
    assert "Observation: 5 word" in asked, "the newest observation stays"


def test_what_was_left_out_stays_out_so_that_the_prompt_only_grows() -> None:
    acting = policy(context_tokens=3_000)
    context = Context(Task.of("Do it"), TOOLS, (past("one"), past("two")))
    steps: tuple[Step, ...] = ()
    dropped, elided = 0, 0
    for n in range(12):
        step = acting.act(Context(context.task, TOOLS, context.exemplars, steps))
        assert len(step.dropped) >= dropped
        assert step.elided >= elided
        dropped, elided = len(step.dropped), step.elided
        steps = (*steps, a_step(n, observation=f"{n} {'word ' * 150}"))
    assert dropped == 2
    assert elided > 0
    sizes = [sum(acting.model.count(m["content"]) for m in request.messages) + 100
             for request in acting.model.requests]  # type: ignore[attr-defined]
    assert max(sizes) <= 3_000


def test_a_task_longer_than_the_context_says_so() -> None:
    acting = policy(context_tokens=1_000)
    with pytest.raises(ContextOverflow, match=r"the task and its last step take \d+ tokens.*'scripted' holds 900"):
        acting.act(Context(Task.of("word " * 3_000), TOOLS, (past("one"),), (a_step(),)))
    assert not acting.model.requests, "no model is asked for what cannot be"  # type: ignore[attr-defined]


def test_a_server_that_counts_differently_is_given_less() -> None:
    def narrow(request: Request) -> str:
        if sum(len(message["content"]) for message in request.messages) > 6_000:
            raise ContextOverflow("the server says that the prompt is too long")
        return DONE

    for known in (None, 100_000):
        model = Scripted(narrow, context_tokens=known)
        acting = Policy(model, load("react"), Sampling(max_tokens=100))
        steps = numbered([a_step(observation=LONG) for _ in range(6)])
        step = acting.act(Context(Task.of("Do it"), TOOLS, (past("one"),), steps))
        assert step.action is not None
        assert step.dropped == ("one",)
        assert step.elided > 0
        assert len(model.requests) > 1


def test_a_server_that_takes_nothing_ends_in_an_overflow_and_not_in_a_circle() -> None:
    def never(_: Request) -> str:
        raise ContextOverflow("the server says that the prompt is too long")

    model = Scripted(never)
    with pytest.raises(ContextOverflow):
        Policy(model, load("react")).act(Context(Task.of("Do it"), TOOLS, (past("one"),), (a_step(),)))
    assert len(model.requests) < 50


@pytest.mark.parametrize(("takes", "hotter"), [
    (Capabilities(grammar=True), True), (Capabilities(), False), (Capabilities(json_schema=True), False)])
def test_only_a_policy_that_is_held_to_its_form_is_heated_by_failures(takes: Capabilities, hotter: bool) -> None:
    """react has a grammar and no schema, so a server that takes schemas alone leaves it free."""
    model = Scripted(lambda request: say("ping"))
    model.capabilities = takes
    policy = Policy(model, load("react"), Sampling(temperature=0.5))
    failed = a_step(0).model_copy(update={"observation": Observation(text="Error: no", ok=False)})
    for steps in ((), (failed,)):
        policy.act(Context(Task(text="x"), TOOLS, steps=steps))
    first, second = (request.temperature for request in model.requests)
    assert (first, second > first) == (0.5, hotter)

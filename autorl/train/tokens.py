"""Rows as tokens: what is trained is, id by id, what will be asked and answered."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autorl.errors import UsageError

NO_LOSS = -100
"""What PyTorch takes for a token that is not to be learned."""


@dataclass(frozen=True)
class Tokens:
    """A row for training. labels: the ids again where the policy's own answers stand, NO_LOSS elsewhere."""

    ids: list[int]
    labels: list[int]

    @property
    def own(self) -> int:
        """How many tokens are to be learned."""
        return sum(label != NO_LOSS for label in self.labels)


def tokenise(tokenizer: Any, messages: Sequence[Mapping[str, Any]], learned: Collection[int],
             tools: Sequence[Mapping[str, Any]] | None = None) -> list[Tokens]:
    """A conversation as rows; nearly always one.

    learned: which messages (by index) are answers of the policy that carry loss: their text and the token that ends
        the turn, nothing else
    The tokens before each such answer are those that are served as its prompt: the chat template over the messages
    before it. A template may write what is past differently (some leave out earlier thoughts); then no single row has
    every answer after its own prompt, and a new one begins where that happens.
    Raises UsageError where the template cannot be trained on: it puts no end-of-turn token after an answer, leaves out
    the calls of tools, or an answer changes the tokens of its own prompt.
    """
    rows: list[Tokens] = []
    ids: list[int] = []
    labels: list[int] = []
    for index in sorted(learned):
        prompt = _render(tokenizer, messages[:index], tools, answer_next=True)
        answer = _answer(tokenizer, prompt, _render(tokenizer, messages[: index + 1], tools))
        for call in messages[index].get("tool_calls", ()):
            _check_call(tokenizer, call["function"]["name"], answer)
        if prompt[: len(ids)] != ids:
            rows.append(Tokens(ids, labels))
            ids, labels = [], []
        labels = labels + [NO_LOSS] * (len(prompt) - len(ids)) + answer
        ids = prompt + answer
    if ids:
        rows.append(Tokens(ids, labels))
    return rows


def prompt_tokens(tokenizer: Any, messages: Sequence[Mapping[str, Any]],
                  tools: Sequence[Mapping[str, Any]] | None = None) -> list[int]:
    """What is served when these messages are sent: the tokens that the policy answers after."""
    return _render(tokenizer, messages, tools, answer_next=True)


def ends_of_turn(tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer of the model."""
    return frozenset({tokenizer.eos_token_id})


def _answer(tokenizer: Any, prompt: list[int], whole: list[int]) -> list[int]:
    if whole[: len(prompt)] != prompt:
        raise UsageError(f"the chat template of {_name(tokenizer)} writes a prompt differently once its answer follows",
                         "Its tokens would not be those that are served: give the model another template")
    rest = whole[len(prompt) :]
    end = next((place for place, token in enumerate(rest) if token in ends_of_turn(tokenizer)), None)
    if end is None:
        raise UsageError(f"the chat template of {_name(tokenizer)} puts no {tokenizer.eos_token!r} after an answer",
                         "A model trained on it would not learn to stop: give it a template that does")
    return rest[: end + 1]


def _check_call(tokenizer: Any, name: str, answer: list[int]) -> None:
    if name not in tokenizer.decode(answer):
        raise UsageError(f"the chat template of {_name(tokenizer)} leaves out the calls of tools ('{name}')",
                         "Give the model a template that has them, or make the data set in another format: "
                         "--format react")


def _render(tokenizer: Any, messages: Iterable[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, *,
            answer_next: bool = False) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(
        [dict(message) for message in messages], tools=tools or None, add_generation_prompt=answer_next, tokenize=True,
        return_dict=True)["input_ids"]
    return ids


def _name(tokenizer: Any) -> str:
    return str(tokenizer.name_or_path) or "this model"

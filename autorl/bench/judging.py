"""A model compares what the settings made, after it has shown on paired controls that it can tell good from bad."""

import importlib
import sys
import tempfile
import types
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from autorl import content
from autorl.bench import ledger, opinions, pictures
from autorl.bench.ledger import Episode
from autorl.bench.opinions import Control, Judge, Sees, Sheet, Vote
from autorl.bench.pictures import Pictures, scaled
from autorl.bench.run import LEDGER, RUNS, begun_with
from autorl.bench.spec import Size, Spec
from autorl.errors import ContextOverflow, UsageError
from autorl.formats import prompts
from autorl.formats.grammar import literal
from autorl.models.base import Model, Request
from autorl.registry import Preview
from autorl.replay.store import ReplayStore
from autorl.verify.judge import FAULTY, FINE, TIE, Gate, Said, answer_in, both_orders, gate

PICTURE, SLIDE = 512, 1024
"""Pixels along the longer side of a slide among the others of its deck, and of one that is shown alone."""
_WORDS = 6_000
"""Characters of a deck that a judge reads; what is beyond is cut, and marked."""
_ANSWER = 2_000
"""Tokens, with room for models that think first."""
_SENTENCE = 400
"""Characters in which a judge that is held to the form says what it sees."""

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Judging:
    """What a judge was asked this time. gate: over all its controls; asked: completions; left: votes not asked for"""

    judge: Judge
    gate: Gate
    asked: int
    left: int


def judge(folder: Path, model: Model, *, sees: Sees = "pictures", controls: int = 5, size: Size | None = None,
          concurrency: int = 2, watch: Watch | None = None) -> Judging:
    """Gate `model` on paired controls, and where that goes well, let it compare all decks of the run in `folder`.

    sees: pictures, or words; controls: pairs of each kind of defect; size: of the store, by default the last one
    What it has answered before, seeing the same and asked with the same rubric, is not asked again. Every answer is on
    disk before it counts. Raises UsageError for a run whose definition names no controls, or that cannot be shown;
    and what a model raises that cannot be reached.
    """
    spec, tasks = begun_with(folder)
    rubric = prompts.text_hash(*(prompts.load(f"judge/{name}") for name in ("defect", "pair")))
    who = Judge(model=model.name, sees=sees, rubric=rubric)
    known = [o for o in opinions.read(folder)[0] if isinstance(o, Control | Vote) and o.judge == who]
    asking = _Asking(model, who)
    said = {(o.defect, o.pair): o.said for o in known if isinstance(o, Control)}
    pairs = [(pair.kind, f"{pair.theme} {pair.seed}", pair) for pair in _controls(spec, controls)]
    todo = [one for one in pairs if one[:2] not in said]

    def look(one: tuple[str, str, Any]) -> Control:
        kind, name, pair = one
        return Control(judge=who, defect=kind, pair=name, said=(
            asking.about_slide(spec, pair.task.text, pair.clean, pair.planted.slide),
            asking.about_slide(spec, pair.task.text, pair.defective, pair.planted.slide)))

    for control in _each(look, todo, folder, concurrency, watch, "control"):
        said[control.defect, control.pair] = control.said
    passed = gate((kind, each) for (kind, _), each in said.items())
    voted = {(o.sheet, o.runs) for o in known if isinstance(o, Vote)}
    matches = [match for match in _matches(spec, folder, size) if (match[0], _runs(match)) not in voted]
    if passed.open:
        texts = {task.id: task.text for task in tasks.held_out}
        with closing(ReplayStore(folder / RUNS)) as runs:
            shown = Pictures(folder, spec, runs)

            def vote(match: Match) -> Vote:
                sheet, one, other = match
                return Vote(judge=who, sheet=sheet, settings=(one.cell.setting, other.cell.setting), runs=_runs(match),
                            said=asking.about_decks(texts[sheet.task], _seen(shown, one), _seen(shown, other)))

            for _ in _each(vote, matches, folder, concurrency, watch, "vote"):
                pass
    return Judging(who, passed, asking.asked, 0 if passed.open else len(matches))


Match = tuple[Sheet, Episode, Episode]


def _matches(spec: Spec, folder: Path, size: Size | None) -> list[Match]:
    """Every two decks of every sheet of that size."""
    episodes = (entry for entry in ledger.read(folder / LEDGER) if isinstance(entry, Episode))
    wanted = spec.sizes[-1] if size is None else size
    return [(sheet, one, other) for sheet, decks in opinions.sheets(spec, episodes).items() if sheet.size == wanted
            for one, other in combinations((deck for deck in decks.values() if deck.produced), 2)]


def _runs(match: Match) -> tuple[str, str]:
    return match[1].run, match[2].run


def _seen(shown: Pictures, episode: Episode) -> Preview:
    preview = shown.of(episode)
    return preview or Preview((), why="it made nothing")


def _controls(spec: Spec, count: int) -> Iterable[Any]:
    """Pairs of a clean and a defective file for a task, from the package in eval/ that the definition names."""
    if not spec.controls:
        raise UsageError(f"the definition of {spec.name} names no controls, without which no judge is believed",
                         "Name the package in eval/ that makes them, and run it anew: controls = \"planted\"")
    namespace = sys.modules.setdefault(_NAMESPACE, types.ModuleType(_NAMESPACE, "Packages of all eval/ folders."))
    namespace.__path__ = [str(folder) for folder in content.folders("eval")]
    try:
        pairs: Iterable[Any] = importlib.import_module(f"{_NAMESPACE}.{spec.controls}").controls(count)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"eval/{spec.controls} makes no controls: {error}",
                         "It needs a function `controls(count)`") from error
    return pairs


_NAMESPACE = "autorl_eval"
_T = TypeVar("_T")


def _each(work: Callable[[_T], Control | Vote], items: Sequence[_T], folder: Path, concurrency: int,
          watch: Watch | None, what: str) -> Iterator[Any]:
    """What `work` gives for each, once that is on disk. What it raises ends it, with what was under way."""
    with ThreadPoolExecutor(concurrency, "judge") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for count, future in enumerate(as_completed(futures), 1):
                opinions.add(folder, [future.result()])
                if watch:
                    watch(f"{what} {count} of {len(items)}")
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Asking:
    """Puts the questions. asked: completions so far"""

    def __init__(self, model: Model, judge: Judge) -> None:
        self._model, self._judge = model, judge
        self._pair, self._defect = (prompts.load(f"judge/{name}") for name in ("pair", "defect"))
        self.asked = 0

    def about_slide(self, spec: Spec, task: str, deck: bytes, slide: int) -> str | None:
        """Whether a slide of `deck` is fine or faulty; None for nonsense."""
        with tempfile.NamedTemporaryFile(suffix=spec.product) as file:
            file.write(deck)
            file.flush()
            preview = pictures.preview(spec, Path(file.name), SLIDE if self._judge.sees == "pictures" else 0)
        question = self._defect.render(task=task, sees=self._judge.sees, words=preview.texts[slide - 1])
        return self._answer(question, [("The slide", self._of(preview)[slide - 1 : slide])], (FINE, FAULTY))

    def about_decks(self, task: str, one: Preview, other: Preview) -> Said:
        """Which of two decks is better, asked in both orders."""

        def ask(swapped: bool) -> str | None:
            decks = [("A", other if swapped else one), ("B", one if swapped else other)]
            question = self._pair.render(task=task, sees=self._judge.sees,
                                         decks=[(name, _cut(preview.texts)) for name, preview in decks])
            return self._answer(question, [(f"Presentation {name}", self._of(preview)) for name, preview in decks],
                                ("A", "B", TIE))

        return both_orders(ask)

    def _of(self, preview: Preview) -> Sequence[bytes]:
        if self._judge.sees == "words":
            return ()
        if len(preview.pictures) < len(preview.texts):
            raise UsageError(f"a judge that sees pictures cannot see these: {preview.why}", "Let it see words")
        return preview.pictures

    def _answer(self, question: str, shown: Sequence[tuple[str, Sequence[bytes]]], among: Sequence[str]) -> str | None:
        """What a judge answers, held to the form where it takes a grammar.

        None for nonsense, and for a question that is too long for it.
        """
        asked: Any = question
        if self._judge.sees == "pictures":
            asked = [{"type": "text", "text": question}]
            for name, some in shown:
                asked.append({"type": "text", "text": f"{name}:"})
                asked += [_part(picture, SLIDE if len(some) == 1 else PICTURE) for picture in some]
        self.asked += 1
        words = " | ".join(map(literal, among))
        form = f'root ::= [^\\n]{{1,{_SENTENCE}}} "\\nAnswer: " ({words})' if self._model.capabilities.grammar else None
        try:
            messages = [{"role": "user", "content": asked}]
            request = Request(messages, temperature=0, max_tokens=_ANSWER, grammar=form)
            return answer_in(self._model.complete(request).text, among)
        except ContextOverflow:
            return None


def _part(picture: bytes, size: int) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{b64encode(scaled(picture, size, 'JPEG')).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _cut(texts: Sequence[str]) -> list[str]:
    """The words of a deck, up to so many."""
    left, found = _WORDS, []
    for words in texts:
        found.append(words if len(words) <= left else f"{words[:left]} [... cut ...]")
        left = max(0, left - len(words))
    return found

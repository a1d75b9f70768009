"""Who ranks the settings how: the verifier's score, people, and every judge that counts; and how far they agree."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement, product

from autorl.bench import ranking, statistics
from autorl.bench.opinions import Control, Decks, Judge, Opinion, Order, Sheet, Vote
from autorl.bench.ranking import Block
from autorl.bench.spec import Size, Spec
from autorl.bench.statistics import Estimate
from autorl.verify.judge import Gate, flipped, gate, winner

Scores = Mapping[str, float | None]
VERIFIER, PEOPLE = "the verifier's score", "people"


@dataclass(frozen=True)
class Standing:
    """The settings of one model at one size, ranked against each other by a score.

    rfr, rfr_failed_last: mean rank over tasks, lower is better; without the settings that failed, as in the paper, or
    with these in the last place; strength: Bradley-Terry's, higher is better
    """

    by: str
    model: str
    size: Size | None
    rfr: dict[str, Estimate]
    rfr_failed_last: dict[str, Estimate]
    strength: dict[str, Estimate]


@dataclass(frozen=True)
class Agreement:
    """How far two rank alike: Kendall's tau-b on each sheet that both have, 1 for the same order, -1 for the opposite.

    tau: the mean over tasks; sheets: pairs of orders that went into it; tied: those left out, one of which ties all
    """

    one: str
    other: str
    tau: Estimate
    sheets: int
    tied: int


@dataclass(frozen=True)
class Judged:
    """A judge: how it did on the paired controls, and what it voted.

    counts: whether its votes do; none: of `votes`, those of which an answer was nonsense; flips: those that went the
    other way when the two were swapped
    """

    judge: Judge
    gate: Gate
    counts: bool
    votes: int
    none: int
    flips: int


@dataclass(frozen=True)
class Views:
    """blocks: by who ranked, and sheet; each a ranking with the name of who gave it. orders: of each person"""

    blocks: dict[str, list[tuple[Sheet, str, Scores]]]
    judges: list[Judged]
    orders: dict[str, int]


def views(sheets: Mapping[Sheet, Decks], opinions: Sequence[Opinion]) -> Views:
    """What everybody thinks of these sheets. Opinions on other runs than those that are on them do not count."""
    blocks: dict[str, list[tuple[Sheet, str, Scores]]] = defaultdict(list)
    for sheet, decks in sheets.items():
        blocks[VERIFIER].append((sheet, "", {name: None if episode.produced is False else episode.score
                                             for name, episode in decks.items()}))
    newest = {(o.ranker, o.sheet): o for o in opinions if isinstance(o, Order) and o.done and _seen(sheets, o)}
    for (ranker, sheet), order in newest.items():
        blocks[PEOPLE].append((sheet, ranker, {**dict.fromkeys(sheets[sheet]), **order.scores}))
    orders: dict[str, int] = defaultdict(int)
    for ranker, _ in newest:
        orders[ranker] += 1
    judges = []
    for judge in dict.fromkeys(o.judge for o in opinions if not isinstance(o, Order)):
        controls = {(o.defect, o.pair): o for o in opinions if isinstance(o, Control) and o.judge == judge}
        passed = gate((control.defect, control.said) for control in controls.values())
        votes = list({(o.sheet, o.settings): o for o in opinions if isinstance(o, Vote) and o.judge == judge
                      and _met(sheets, o)}.values())
        judges.append(Judged(judge, passed, passed.open, len(votes), sum(None in vote.said for vote in votes),
                             sum(flipped(vote.said) for vote in votes)))
        if passed.open:
            blocks[str(judge)] += [(sheet, "", {**dict.fromkeys(sheets[sheet]), **scores})
                                   for sheet, scores in _won(votes).items()]
    return Views(dict(blocks), judges, dict(orders))


def standings(spec: Spec, views: Views) -> Iterator[Standing]:
    """How the settings stand, by each who ranked them."""
    for by, blocks in views.blocks.items():
        for model in spec.models:
            for size in spec.sizes:
                some: list[Block] = [(sheet.task, scores) for sheet, _, scores in blocks
                                     if (sheet.model, sheet.size) == (model, size)]
                if some:
                    yield Standing(by, model, size, ranking.relative_fulfillment(some, "left out"),
                                   ranking.relative_fulfillment(some, "last"), ranking.bradley_terry(some))


def agreements(views: Views) -> Iterator[Agreement]:
    """How far any two who ranked agree, on what did not fail; people also with each other."""
    by_sheet = {by: _by_sheet(blocks) for by, blocks in views.blocks.items()}
    for one, other in combinations_with_replacement(by_sheet, 2):
        found: dict[str, list[float]] = defaultdict(list)
        tied = 0
        for sheet in by_sheet[one].keys() & by_sheet[other].keys():
            mine, theirs = by_sheet[one][sheet], by_sheet[other][sheet]
            for a, b in combinations(mine, 2) if one == other else product(mine, theirs):
                tau = ranking.kendall(a, b)
                if tau is None:
                    tied += 1
                else:
                    found[sheet.task].append(tau)
        mean = statistics.mean(dict(sorted(found.items())))
        if mean:
            yield Agreement(one, "each other" if one == other else other, mean, sum(map(len, found.values())), tied)


def _by_sheet(blocks: Sequence[tuple[Sheet, str, Scores]]) -> dict[Sheet, list[Scores]]:
    found: dict[Sheet, list[Scores]] = defaultdict(list)
    for sheet, _, scores in blocks:
        found[sheet].append(scores)
    return found


def _won(votes: Sequence[Vote]) -> dict[Sheet, dict[str, float]]:
    """The share of its votes that each setting won, a tie being half a win; who has no vote has no share."""
    shares: dict[Sheet, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for vote in votes:
        won = winner(vote.said)
        if won:
            for name, mine in zip(vote.settings, ("one", "other"), strict=True):
                shares[vote.sheet][name].append(0.5 if won == "tie" else float(won == mine))
    return {sheet: {name: sum(each) / len(each) for name, each in names.items()} for sheet, names in shares.items()}


def _seen(sheets: Mapping[Sheet, Decks], order: Order) -> bool:
    """Whether an order is of the runs that are on its sheet."""
    decks = sheets.get(order.sheet, {})
    return all(name in decks and decks[name].run == run for name, run in order.runs.items())


def _met(sheets: Mapping[Sheet, Decks], vote: Vote) -> bool:
    decks = sheets.get(vote.sheet, {})
    return all(name in decks and decks[name].run == run for name, run in zip(vote.settings, vote.runs, strict=True))

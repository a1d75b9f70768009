"""Task texts with the word statistics of real ones, any number of them, the same every time.

They are made up. Sentence frames and 600 everyday words are real English (words.toml); the other words of a vocabulary
of 40,000 are built from syllables and carry English endings. How often a word comes up falls with its rank as in real
text (Zipf). Every task is a wording of a matter, and every matter belongs to a topic, so that the same is asked several
times in other words and has neighbours that are only similar. One text in 25 has a German, French, Spanish or Japanese
frame. What they lack is sense: the words of a topic belong together because the dice say so, not by what they mean.
"""

import random
import re
import tomllib
from itertools import accumulate
from pathlib import Path

VOCABULARY = 40_000
TOPICS = 3_000
WORDS_OF_A_TOPIC = 60
LONGEST = 40
"""Words of the longest text."""
FOREIGN = 25
"""One matter in so many is asked in another language."""

_PARTS = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))
_LISTS: dict[str, list[str]] = {
    name: [word.replace("_", " ") for word in text.split()] for name, text in _PARTS.items() if isinstance(text, str)}
_FRAMES: dict[str, list[str]] = {"english": _PARTS["openings"], **_PARTS["languages"]}
_LANGUAGES = [name for name in _FRAMES if name != "english"]
_FIXED = {"kind": "kinds", "who": "audiences", "name": "given_names", "place": "places"}
"""What every wording of a matter has in common, by its slot."""
_BEGINNING = re.compile(r"(?:^|(?<=[.?!] ))[a-z]")
_CHANGED = 0.12
"""How likely another wording has another word of the topic in a place."""


class Texts:
    """Texts by number. seed: another one gives other words and other texts"""

    def __init__(self, seed: int = 0) -> None:
        dice = random.Random(seed)
        self._seed = seed
        self.words = _vocabulary(dice)
        self._frequency = _zipf(len(self.words))
        self._rank = {word: rank for rank, word in enumerate(self.words)}
        self._topics = [_some(dice, self.words, self._frequency, WORDS_OF_A_TOPIC) for _ in range(TOPICS)]
        self._within = _zipf(WORDS_OF_A_TOPIC)
        self._popularity = _zipf(TOPICS)

    def topic(self, matter: int) -> int:
        """The number of its topic, 0 to TOPICS - 1; few topics have very many matters, and many have few."""
        return self._topic(self._dice(matter))

    def language(self, matter: int) -> str:
        """What it is asked in."""
        dice = self._dice(matter)
        self._topic(dice)
        return dice.choice(_LANGUAGES) if dice.randrange(FOREIGN) == 0 else "english"

    def words_of(self, matter: int, count: int, dice: random.Random) -> list[str]:
        """So many words of its topic, common ones more often."""
        return dice.choices(self._topics[self.topic(matter)], cum_weights=self._within, k=count)

    def text(self, matter: int, wording: int) -> str:
        """The `wording`th way to ask for `matter`: 8 to 40 words."""
        dice = self._dice(matter)
        topic = self._topics[self._topic(dice)]
        language = dice.choice(_LANGUAGES) if dice.randrange(FOREIGN) == 0 else "english"
        content = [*dice.choices(topic, cum_weights=self._within, k=4),
                   *dice.choices(self.words, cum_weights=self._frequency, k=1), dice.choice(self.words)]
        dice.shuffle(content)
        fixed = {slot: dice.choice(_LISTS[name]) for slot, name in _FIXED.items()}

        dice = self._dice(matter, wording + 1)
        for place in range(len(content)):
            if dice.random() < _CHANGED:
                content[place] = dice.choices(topic, cum_weights=self._within)[0]
        frame = dice.choice(_FRAMES[language])
        if language == "english":
            for clause in dice.sample(_PARTS["clauses"], k=dice.choice((0, 0, 1, 1, 2, 3))):
                if frame.count(" ") + clause.count(" ") + 8 < LONGEST:  # a slot may hold three words
                    frame = f"{frame} {clause}"
        text = frame.format(
            **dict(zip("abcdef", content, strict=True)), **fixed, verb=dice.choice(_LISTS["verbs"]),
            adj=dice.choice(_LISTS["adjectives"]), adj2=dice.choice(_LISTS["adjectives"]),
            month=dice.choice(_LISTS["months"]), n=dice.randint(2, 30), m=dice.randint(2, 900),
            year=dice.randint(2004, 2026))
        return _BEGINNING.sub(lambda letter: letter[0].upper(), text)

    def common(self, number: int) -> str:
        """A request of everyday words alone, which stand in a great many tasks."""
        dice = self._dice(1 << 60, number)
        verb, kind, who = (dice.choice(_LISTS[name][:8]) for name in ("verbs", "kinds", "audiences"))
        return f"Please {verb} a {dice.choice(_LISTS['adjectives'][:5])} {kind} for {who} with a table of the numbers."

    def rare(self, matter: int) -> str:
        """What is seldom said of a matter: the four rarest of its words, as one types them into a search."""
        words = dict.fromkeys(re.findall(r"[a-z]+", self.text(matter, 0)))
        return " ".join(sorted(words, key=lambda word: self._rank.get(word, -1))[-4:])

    def _topic(self, dice: random.Random) -> int:
        return dice.choices(range(TOPICS), cum_weights=self._popularity)[0]

    def _dice(self, matter: int, wording: int = 0) -> random.Random:
        return random.Random((self._seed << 80) + (matter << 16) + wording)


def _vocabulary(dice: random.Random) -> list[str]:
    """All words, the commonest first: the real ones, then such as are built from syllables."""
    words = dict.fromkeys(dice.sample(_LISTS["nouns"], len(_LISTS["nouns"])))
    while len(words) < VOCABULARY:
        stem = "".join(_syllable(dice) for _ in range(dice.choice((1, 2, 2, 2, 3, 3))))
        for ending in dice.sample(("", "s", "ing", "ed", "er", "ion", "al", "ic", "ment", "y"), dice.randint(1, 3)):
            words[stem + ending] = None
    return list(words)[:VOCABULARY]


def _syllable(dice: random.Random) -> str:
    onset, coda = dice.choice(_LISTS["onsets"]), dice.choice(["", *_LISTS["codas"]])
    return onset + dice.choice("aaeeiioou") + coda


def _zipf(count: int) -> list[float]:
    """Weights by rank, added up. The offset is Mandelbrot's: the very first words differ less than the law says."""
    return list(accumulate(1 / (rank + 2.7) for rank in range(count)))


def _some(dice: random.Random, words: list[str], weights: list[float], count: int) -> list[str]:
    """`count` different words, common ones sooner."""
    found: dict[str, None] = {}
    while len(found) < count:
        found.update(dict.fromkeys(dice.choices(words, cum_weights=weights, k=count)))
    return list(found)[:count]

"""A deck as its readers have it: the words and the picture of each slide."""

from pathlib import Path

from autorl.registry import Preview

from .reading import read_deck
from .render import NotRendered, render


def preview(path: Path, size: int) -> Preview:
    """The slides of the deck at `path`, with pictures `size` pixels along their longer side, without any for 0.

    Without what renders decks there are no pictures, and it says why. Raises BrokenDeck for what does not open.
    """
    texts = tuple(slide.text for slide in read_deck(path).slides)
    if not size:
        return Preview(texts)
    try:
        rendering = render(path)
        return Preview(texts, tuple(rendering.picture(number, size) for number in range(1, len(texts) + 1)))
    except NotRendered as error:
        return Preview(texts, why=str(error))

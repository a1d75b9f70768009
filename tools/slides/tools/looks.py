"""How all slides look: themes, colours, and what stands at their foot."""

from typing import Annotated

from pptx.enum.shapes import PP_PLACEHOLDER
from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..deck import changing
from ..filling import furniture_like, set_furniture
from ..palettes import THEMES
from ..parameters import rgb
from ..recolour import recolour
from ..theme import dress, is_ours
from ..wording import clean
from .decks import ThemeName

Hex = Annotated[str, Field(max_length=12, description="RRGGBB")]
Foot = Annotated[str, Field(max_length=120)]
_FEET = {"footer": PP_PLACEHOLDER.FOOTER, "number": PP_PLACEHOLDER.SLIDE_NUMBER, "date": PP_PLACEHOLDER.DATE}


@tool(read_only=True)
def list_themes(context: RunContext) -> str:
    """List the built-in looks."""
    return "\n".join(f"{theme.name}: {theme.description}; headings in {theme.heading}, text in {theme.body}"
                     for theme in THEMES.values())


@tool
def set_theme(theme: ThemeName, context: RunContext) -> str:
    """Give the deck another built-in look; its slides keep their content.

    theme: a name from list_themes
    """
    workspace = context.workspace
    with changing(workspace) as deck:
        if not is_ours(deck.presentation):
            raise ToolError(f"'{deck.name}' has a look of its own, made elsewhere",
                            "Change its colours with set_palette, or start a deck with new_deck")
        dress(deck.presentation, theme)
    workspace.settle()
    workspace.documents.clear()  # python-pptx remembers the layouts as they were
    with changing(workspace) as deck:
        for slide in deck.presentation.slides:
            furniture_like(slide, slide)
    return f"The deck has the theme '{theme}' now: {THEMES[theme].description}."


@tool
def set_palette(
    context: RunContext,
    background: Hex | None = None,
    text: Hex | None = None,
    title: Hex | None = None,
    panel: Hex | None = None,
    accent1: Hex | None = None,
    accent2: Hex | None = None,
    accent3: Hex | None = None,
    accent4: Hex | None = None,
    accent5: Hex | None = None,
    accent6: Hex | None = None,
) -> str:
    """Change colours of the theme everywhere in the deck; what is left out stays.

    text: has to stand out from background and panel
    title: of slide titles
    panel: of areas on the background, such as every other row of a table
    accent1: of table headings, shapes and the first series of a chart; the others are the next series
    """
    named = {"background": background, "text": text, "title": title, "panel": panel, "accent1": accent1,
             "accent2": accent2, "accent3": accent3, "accent4": accent4, "accent5": accent5, "accent6": accent6}
    given = {name: rgb(value) for name, value in named.items() if value is not None}
    if not given:
        raise ToolError("no colour was given", "Give at least one")
    with changing(context.workspace) as deck:
        followed = recolour(deck.presentation, given)
    names = {"hlink": "links", "folHlink": "visited links"}
    along = ", ".join(f"{names.get(name, name)} {colour}" for name, colour in followed.items())
    return f"Set {', '.join(f'{n} {c}' for n, c in given.items())}." + (f" Along with it: {along}." if along else "")


@tool
def set_footer(context: RunContext, text: Foot = "", numbers: bool = True, date: Foot = "") -> str:
    """Set what stands at the foot of all slides; what is left out is taken away.

    text: the footer
    numbers: whether slides show their number
    date: as it is to be read, such as 3 May 2026
    """
    wanted = {"footer": clean(text) or None, "number": "" if numbers else None, "date": clean(date) or None}
    without: dict[str, list[int]] = {}
    with changing(context.workspace) as deck:
        for number, slide in enumerate(deck.presentation.slides, start=1):
            for name, kind in _FEET.items():
                if not set_furniture(slide, kind, wanted[name]):
                    without.setdefault(name, []).append(number)
        slides = len(deck)
    shown = [name if name == "number" else f"{name} '{said}'" for name, said in wanted.items() if said is not None]
    missing = "".join(f" Slide {_numbers(found)}: the layout has no place for the {name}."
                      for name, found in without.items())
    return f"At the foot of {slides} slides: {', '.join(shown) or 'nothing'}.{missing}"


def _numbers(found: list[int]) -> str:
    return ", ".join(map(str, found[:12])) + (f" and {len(found) - 12} more" if len(found) > 12 else "")


TOOLS = [list_themes, set_theme, set_palette, set_footer]

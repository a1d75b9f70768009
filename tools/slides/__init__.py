"""Makes PowerPoint decks, and checks them."""

from pathlib import Path

from autorl.registry import Pack

from ..ask_user import ask_user
from ..python_script import python_script
from .checker import SlidesVerifier
from .libreoffice import lacking
from .preview import preview
from .tools import decks, looking, looks, pages
from .tools.arrange import TOOLS as ARRANGING
from .tools.charts import TOOLS as CHARTS
from .tools.copies import TOOLS as COPYING
from .tools.core import add_chart, add_slide, add_table, check_deck, save_deck, start_deck
from .tools.pictures import TOOLS as PICTURES
from .tools.rewording import TOOLS as REWORDING
from .tools.rows import TOOLS as ROWS
from .tools.shapes import TOOLS as SHAPES
from .tools.tables import TOOLS as TABLES
from .tools.text import TOOLS as TEXT

pack = Pack(
    tools=[start_deck, add_slide, add_table, add_chart, ask_user, check_deck, save_deck],
    groups={"all": [
        *decks.TOOLS, *pages.TOOLS, *looks.TOOLS, *looking.TOOLS,
        *TEXT, *REWORDING, *TABLES, *ROWS, *CHARTS, *PICTURES, *SHAPES, *ARRANGING, *COPYING,
        add_slide, add_table, add_chart, ask_user, check_deck, save_deck],
        "vanilla": [python_script, ask_user]},
    verifiers={SlidesVerifier.name: SlidesVerifier()},
    seeds=Path(__file__).with_name("seeds.jsonl"),
    lacking=lambda: {part: f"apt-get install {package}" for part, package in lacking().items()},
    previews={".pptx": preview},
)

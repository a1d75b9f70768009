"""Makes PowerPoint decks, and checks them."""

from pathlib import Path

from autorl.registry import Pack

from ..ask_user import ask_user
from .checker import SlidesVerifier
from .tools import add_chart, add_slide, add_table, check_deck, save_deck, start_deck

pack = Pack(
    tools=[start_deck, add_slide, add_table, add_chart, ask_user, check_deck, save_deck],
    verifiers={SlidesVerifier.name: SlidesVerifier()},
    seeds=Path(__file__).with_name("seeds.jsonl"),
)

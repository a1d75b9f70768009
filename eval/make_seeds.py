"""Makes tools/slides/seeds.jsonl: hand-written runs, replayed with the real tools and passed by the real verifier.

    python eval/make_seeds.py [FILE]

Each seed is what a good run should look like: the thoughts count the slides and say what comes next. The
observations are the tools' own, so run this again whenever a tool's words change.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autorl.content import load_pack
from autorl.registry import RunContext, Toolset
from autorl.types import Action, Provenance, Status, Step, Task, Trajectory
from autorl.workspace import Workspace

FILE = Path(__file__).resolve().parents[1] / "tools" / "slides" / "seeds.jsonl"
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same script gives the same file

Move = tuple[str, str, dict[str, Any]]
"""A thought, the name of a tool, and its arguments."""


@dataclass(frozen=True)
class Script:
    """A run as it was written by hand."""

    id: str
    task: str
    moves: tuple[Move, ...]


SCRIPTS = (
    Script("seed-volcanoes", "Make a five-slide deck about volcanoes for school children.", (
        ("I need 5 slides; the title slide is the first.", "start_deck",
         {"title": "Volcanoes", "subtitle": "Mountains that breathe fire"}),
        ("That is 1 of 5 slides; next: what a volcano is.", "add_slide",
         {"title": "What a volcano is", "bullets": [
             "An opening in the crust of the Earth", "Melted rock called magma waits below it",
             "Above the ground the magma is called lava"]}),
        ("That is 2 of 5 slides; next: why they erupt.", "add_slide",
         {"title": "Why volcanoes erupt", "bullets": [
             "Hot magma is lighter than the rock around it", "Gas bubbles grow as it rises, as in a shaken drink",
             "When the pressure is too high, it bursts out"]}),
        ("That is 3 of 5 slides; next: the three kinds.", "add_slide",
         {"title": "Three kinds of volcano", "bullets": [
             "Shield: wide and flat, like Mauna Loa", "Cone: small and steep, like Paricutin",
             "Stratovolcano: tall and dangerous, like Mount Fuji"]}),
        ("That is 4 of 5 slides; last: living near one.", "add_slide",
         {"title": "Living near a volcano", "bullets": [
             "The ash makes the soil good for farming", "Scientists measure every small earthquake",
             "Families know the way to a safe place"]}),
        ("That is 5 of 5 slides, so I save the deck.", "save_deck", {}),
    )),
    Script("seed-bicycle", "Create 4 slides that teach beginners how to look after a bicycle.", (
        ("I need 4 slides; the title slide is the first.", "start_deck",
         {"title": "Look After Your Bicycle", "subtitle": "Ten minutes a week are enough"}),
        ("That is 1 of 4 slides; next: the check before a ride.", "add_slide",
         {"title": "Before every ride", "bullets": [
             "Press both tyres: they should feel hard", "Pull each brake and push the bicycle forward",
             "Lift the front and spin the wheel"]}),
        ("That is 2 of 4 slides; next: the chain.", "add_slide",
         {"title": "A clean chain lasts longer", "bullets": [
             "Wipe it with a dry cloth once a week", "Put one drop of oil on each link",
             "Wipe off what is left, or dirt will stick to it"],
          "notes": "Show where the oil goes: on the inside of the links."}),
        ("That is 3 of 4 slides; last: when to get help.", "add_slide",
         {"title": "When a beginner should ask a mechanic", "bullets": [
             "The brakes squeal after cleaning", "A spoke is loose or broken", "The gears jump under load"]}),
        ("That is 4 of 4 slides; I check them.", "check_deck", {}),
        ("Nothing is wrong, so I save the deck.", "save_deck", {}),
    )),
    Script(
        "seed-bakery",
        "Prepare six slides on our bakery's second quarter: sales were 21, 24 and 29 thousand euros in April, May and "
        "June, bread made 50%, cakes 30% and coffee 20%.", (
            ("I need 6 slides; the title slide is the first.", "start_deck",
             {"title": "Our Second Quarter", "subtitle": "Results of the bakery, April to June"}),
            ("That is 1 of 6 slides; next: the main results.", "add_slide",
             {"title": "The quarter in brief", "bullets": [
                 "Sales came to 74 thousand euros", "Every month was better than the one before",
                 "Half of the sales were bread"]}),
            ("That is 2 of 6 slides; next: a chart of the months.", "add_chart",
             {"title": "Sales by month in thousand euros", "kind": "column", "labels": ["April", "May", "June"],
              "values": [21, 24, 29]}),
            ("That is 3 of 6 slides; shares of a whole make a pie.", "add_chart",
             {"title": "What our customers bought, in percent", "kind": "pie",
              "labels": ["Bread", "Cakes", "Coffee"], "values": [50, 30, 20]}),
            ("That is 4 of 6 slides; next: what the numbers mean.", "add_slide",
             {"title": "What we learn from it", "bullets": [
                 "June shows that warm evenings bring guests", "Cakes sell on top of bread, not instead of it",
                 "Coffee is small but needs no extra staff"]}),
            ("That is 5 of 6 slides; last: the plan.", "add_slide",
             {"title": "Plans for the third quarter", "bullets": [
                 "Open one hour longer from July", "Offer a cake and coffee set", "Review the sales every Monday"]}),
            ("That is 6 of 6 slides, so I save the deck.", "save_deck", {}),
        )),
    Script("seed-solar", "I need 5 slides to help home owners decide on solar panels, with a table of the costs.", (
        ("I need 5 slides, one of them a table; the title slide is the first.", "start_deck",
         {"title": "Solar Panels for Your Home", "subtitle": "What to know before you decide"}),
        ("That is 1 of 5 slides; next: how they work.", "add_slide",
         {"title": "How solar panels work", "bullets": [
             "Cells of silicon turn light into current", "An inverter makes it fit for your sockets",
             "What you do not use goes to the grid"]}),
        ("That is 2 of 5 slides; next: the table of costs.", "add_table",
         {"title": "Typical costs of a small home system", "columns": ["Part", "Cost in euros", "Lasts, in years"],
          "rows": [["Ten panels", "2,500", "25"], ["Inverter", "1,200", "12"], ["Mounting and work", "4,300", "25"]]}),
        ("That is 3 of 5 slides; next: when it pays.", "add_slide",
         {"title": "When it pays off", "bullets": [
             "A roof to the south without shade earns most", "Using your own power saves more than selling it",
             "Many systems pay for themselves in 10 to 14 years"]}),
        ("That is 4 of 5 slides; last: the next steps.", "add_slide",
         {"title": "How to decide", "bullets": [
             "Look up what your home used last year", "Ask three installers for an offer",
             "Compare the price of each kilowatt"]}),
        ("That is 5 of 5 slides, so I save the deck.", "save_deck", {}),
    )),
    Script("seed-volunteers", "Build a 4-slide onboarding deck for new volunteers at our animal shelter.", (
        ("I need 4 slides; the title slide is the first.", "start_deck",
         {"title": "Welcome to the Shelter", "subtitle": "Onboarding for new volunteers"}),
        ("That is 1 of 4 slides; next: what volunteers do.", "add_slide",
         {"title": "What volunteers do", "bullets": [
             "Walk the dogs, two at most at a time", "Clean the cat rooms and refill the water",
             "Talk with visitors who want to adopt"]}),
        ("That is 2 of 4 slides; next: the safety rules.", "add_slide",
         {"title": "Rules that keep everyone safe", "bullets": [
             "Read the card on the door before you open it", "Wash your hands between two animals",
             "Report every bite or scratch at once"],
          "notes": "Pass a door card around and explain its colours."}),
        ("That is 3 of 4 slides; last: the first day.", "add_slide",
         {"title": "Your first day", "bullets": [
             "Come at nine and ask for your guide", "Wear closed shoes and old clothes",
             "Choose a fixed shift before you go home"]}),
        ("That is 4 of 4 slides, so I save the deck.", "save_deck", {}),
    )),
)


def replay(script: Script) -> Trajectory:
    """Carry out `script` in a folder of its own. Raises AssertionError if a tool or the verifier objects."""
    tools = Toolset.of(["slides"], load_pack)
    task = Task(id=script.id, text=script.task, verifier="slides")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        context = RunContext(workspace=workspace, task=task)
        steps = tuple(_step(index, move, tools, context) for index, move in enumerate(script.moves))
        trajectory = Trajectory(
            id=script.id, task=task, status=Status.FINISHED, steps=steps, answer=steps[-1].observation.text,
            provenance=Provenance(format="react", source="seed"), started=WRITTEN)
        verdict = tools.verifiers["slides"](task, trajectory, workspace)
    assert verdict.passed, f"{script.id}: {verdict.why}"
    return trajectory


def _step(index: int, move: Move, tools: Toolset, context: RunContext) -> Step:
    thought, name, arguments = move
    observation = tools.carry_out(Action(name=name, arguments=arguments), context).model_copy(
        update={"seconds": 0.0, "data": None})
    assert observation.ok, f"step {index}: {observation.text}"
    written = json.dumps(arguments, ensure_ascii=False)
    return Step(index=index, thought=thought, action=Action(name=name, arguments=arguments), finish_reason="stop",
                raw=f"Thought: {thought}\nAction: {name}\nAction Input: {written}", observation=observation)


def main(file: Path = FILE) -> None:
    """Write all seeds to `file`, one JSON object a line."""
    lines = [replay(script).model_dump_json(exclude_defaults=True) for script in SCRIPTS]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} seeds written to {file}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))

"""Where things stand on a slide, and what those get who cannot see it."""

from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.util import Inches

CHART = {"title": "Honey in kg", "kind": "column", "labels": ["2023", "2024"], "values": [18, 22.5]}
TABLE = {"title": "Who is who", "columns": ["Bee", "Number"], "rows": [["Queen", "1"], ["Drone", "300"]]}


def test_everything_lies_on_the_slide_and_nothing_empty_is_left(run):
    run.done("start_deck", title="W" * 60)
    run.done("add_slide", title="M" * 60, bullets=[f"{n} " + "wide words " * 8 for n in range(5)])
    run.done("add_table", title="Long cells", columns=["c" * 40] * 4, rows=[["many words in a cell"] * 4] * 5)
    run.done("add_chart", **CHART)
    deck = run.deck
    assert (deck.slide_width, deck.slide_height) == (Inches(13.333), Inches(7.5))
    for slide in deck.slides:
        for shape in slide.shapes:
            assert shape.left >= 0
            assert shape.top >= 0
            assert shape.left + shape.width <= deck.slide_width
            assert shape.top + shape.height <= deck.slide_height
            empty = shape.is_placeholder and not shape.text_frame.text
            assert not empty or shape.placeholder_format.type == PP_PLACEHOLDER.SLIDE_NUMBER


def test_every_placeholder_of_every_layout_lies_on_the_slide(run):
    run.done("start_deck", title="Honey Bees")
    deck = run.deck
    for layout in deck.slide_layouts:
        for shape in layout.placeholders:
            assert 0 <= shape.left < shape.left + shape.width <= deck.slide_width, (layout.name, shape.name)


def test_tables_and_charts_have_alternative_text(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_table", **TABLE)
    run.done("add_chart", **CHART)
    frames = [s for slide in run.deck.slides for s in slide.shapes if s.has_table or s.has_chart]
    described = [frame._element.xpath("./p:nvGraphicFramePr/p:cNvPr/@descr")[0] for frame in frames]
    assert described == ["Table 'Who is who': Bee, Number; 2 rows", "Column chart 'Honey in kg': 2023 18, 2024 22.5"]

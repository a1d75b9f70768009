"""Shapes, lines and connectors of the slides pack."""

import pytest
from slide_deck import add, made, module, order, overflows, path, seen, shape, with_slides
from soundness import faults

KINDS = ["rectangle", "rounded rectangle", "oval", "triangle", "diamond", "pentagon", "chevron", "hexagon", "star",
         "arrow right", "arrow left", "arrow up", "arrow down", "callout", "cylinder", "cloud"]
PLACE = {"left": 100, "top": 100, "width": 300, "height": 200}
ACCENTS = [f"accent{n}" for n in range(1, 7)]


@pytest.fixture(params=["harbour", "midnight"])
def run(request, make_run):
    """A light and a dark deck of two blank slides and one for content."""
    return with_slides(make_run, "Blank", "Blank", "Title and Content", theme=request.param)


def ratio(run, id):
    """The contrast of an object's text with what lies behind it."""
    for slide in seen(run):
        found = slide.shape(id)
        if found is not None:
            return module("sight").legibility(slide, found)
    raise AssertionError(id)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_shape_holds_text_inside_its_outline(run, kind):
    id = made(run.done("add_shape", slide=1, kind=kind, place=PLACE, text="Nectar\nin, honey out"))
    one = shape(run, id)
    assert one._element.spPr.find("{*}prstGeom").get("prst") == module("geometry").OUTLINES[kind].preset
    assert [p.text for p in one.text_frame.paragraphs] == ["Nectar", "in, honey out"]
    typeset, slide = module("typeset"), run.deck.slides[0]
    width, height = typeset.room(one, typeset.look_at(slide, slide.shapes[0]))
    assert 0 < width < 300
    assert 0 < height < 200
    assert typeset.fitting(slide, [slide.shapes[0]])
    assert overflows(run) == []
    assert faults(path(run)) == []


@pytest.mark.parametrize("fill", [*ACCENTS, "text", "background", "none", "808080", "FFFF00", "00007F"])
def test_text_on_a_shape_reads_on_any_fill(run, fill):
    assert ratio(run, add(run, 50, 50, text="Honey", fill=fill)) >= 4.5


def test_text_that_does_not_fit_a_shape_is_refused_and_nothing_drawn(run):
    said = run.refused("add_shape", slide=1, kind="star", place=PLACE, text="words " * 60)
    assert "characters fit" in said
    assert order(run) == []


def test_a_colour_that_cannot_be_read_is_placed_and_told(run):
    said = run.done("add_shape", slide=1, kind="oval", place=PLACE, text="Honey", fill="FFFFFF", colour="FFFFEE")
    assert "hard to read" in said


@pytest.mark.parametrize(("arguments", "why"), [
    ({"kind": "blob"}, "expected one of"), ({"fill": "mauve"}, "'mauve' is not a colour"),
    ({"place": {"left": 900, "top": 0, "width": 100, "height": 50}}, "not wholly on the slide"),
    ({"place": {"left": 0, "top": 0, "width": 0, "height": 50}}, "place"), ({"text": "\x00"}, "the text is empty"),
    ({"slide": 9}, "there is no slide '9'"), ({"text": "x" * 10_000}, "at most 1000 characters")])
def test_a_shape_that_cannot_be_is_refused(run, arguments, why):
    said = run.refused("add_shape", **({"slide": 1, "kind": "oval", "place": PLACE} | arguments))
    assert why in said
    assert "\n" not in said
    assert order(run) == []


def test_a_line_runs_from_point_to_point(run):
    id = made(run.done("add_line", slide=1, start={"x": 300, "y": 200}, end={"x": 100, "y": 250}, arrow_at="end"))
    line = shape(run, id)
    assert [round(n / 12_700) for n in (line.begin_x, line.begin_y, line.end_x, line.end_y)] == [300, 200, 100, 250]
    assert line._element.spPr.find("{*}ln/{*}tailEnd").get("type") == "triangle"
    assert "not on the slide" in run.refused("add_line", slide=1, start={"x": 0, "y": 0}, end={"x": 961, "y": 0})


def ends(connector):
    """Where a connector begins and ends in points, its turn and its mirroring reckoned in."""
    element = connector._element.spPr.find("{*}xfrm")
    wide, high = connector.width / 12_700, connector.height / 12_700
    middle = connector.left / 12_700 + wide / 2, connector.top / 12_700 + high / 2
    found = []
    for x, y in ((-wide / 2, -high / 2), (wide / 2, high / 2)):
        x, y = -x if element.get("flipH") == "1" else x, -y if element.get("flipV") == "1" else y
        if element.get("rot") == "5400000":
            x, y = -y, x
        found.append((round(middle[0] + x), round(middle[1] + y)))
    return tuple(found)


SIDES = {"right": ((200, 230), (400, 130)), "left": ((400, 130), (200, 230)), "below": ((330, 60), (310, 400)),
         "above": ((310, 400), (330, 60))}


@pytest.mark.parametrize("kind", ["straight", "elbow", "curved"])
@pytest.mark.parametrize("side", SIDES)
def test_a_connector_is_glued_to_the_sides_that_face_each_other(run, kind, side):
    (left, top), (to_left, to_top) = SIDES[side]
    first, last = add(run, left, top), add(run, to_left, to_top)
    id = made(run.done("add_connector", start=first, end=last, kind=kind))
    connector = shape(run, id)
    marks = connector._element.nvCxnSpPr.cNvCxnSpPr
    at = {"right": (3, 1), "left": (1, 3), "below": (2, 0), "above": (0, 2)}[side]
    assert (marks.find("{*}stCxn").get("id"), marks.find("{*}endCxn").get("id")) == (first[3:], last[3:])
    assert (int(marks.find("{*}stCxn").get("idx")), int(marks.find("{*}endCxn").get("idx"))) == at
    middles = {3: (100, 30), 1: (0, 30), 2: (50, 60), 0: (50, 0)}
    corners = zip(SIDES[side], at, strict=True)
    assert ends(connector) == tuple((x + middles[s][0], y + middles[s][1]) for (x, y), s in corners)


def test_a_connector_on_an_oval_uses_the_sites_of_an_oval(run):
    first, last = add(run, 50, 50, kind="oval"), add(run, 400, 50, kind="triangle")
    marks = shape(run, made(run.done("add_connector", start=first, end=last)))._element.nvCxnSpPr.cNvCxnSpPr
    assert [marks.find(f"{{*}}{name}").get("idx") for name in ("stCxn", "endCxn")] == ["6", "1"]


def test_a_connector_follows_the_objects_that_it_joins(run):
    first, last = add(run, 50, 50), add(run, 400, 50)
    id = made(run.done("add_connector", start=first, end=last))
    run.done("move_object", object=last, place={"left": 60, "top": 400})
    assert ends(shape(run, id)) == ((100, 110), (110, 400))


def test_a_connector_outlives_what_it_joined(run):
    first, last = add(run, 50, 50), add(run, 400, 50)
    id = made(run.done("add_connector", start=first, end=last))
    run.done("delete_object", object=last)
    marks = shape(run, id)._element.nvCxnSpPr.cNvCxnSpPr
    assert marks.find("{*}endCxn") is None
    assert marks.find("{*}stCxn") is not None


def test_objects_of_two_slides_are_not_joined(run):
    first, last = add(run, 50, 50), add(run, 50, 50, slide=2)
    assert "stand on slides 1, 2" in run.refused("add_connector", start=first, end=last)
    assert "named twice" in run.refused("add_connector", start=first, end=first)


def test_links_go_to_the_web_a_mail_address_or_a_slide(run):
    id = add(run, 50, 50, text="More")
    run.done("set_link", object=id, to="https://example.org")
    assert shape(run, id).click_action.hyperlink.address == "https://example.org"
    run.done("set_link", object=id, to="s2")
    assert shape(run, id).click_action.target_slide.slide_id == run.deck.slides[1].slide_id
    run.done("set_link", object=id, to="none")
    assert shape(run, id).click_action.action.name == "NONE"
    assert faults(path(run)) == []
    for bad in ("javascript:x()", "file:///x", "s9", "C:\\x"):
        run.refused("set_link", object=id, to=bad)


def test_a_new_fill_brings_text_that_reads_on_it(run):
    id = add(run, 50, 50, text="Honey", fill="FFFFFF")
    said = run.done("style_object", object=id, fill="101010", line="accent2", line_width=3, transparency=20,
                    dash="dash")
    assert "to be read on it" in said
    one = shape(run, id)
    assert ratio(run, id) >= 4.5
    assert one.line.width.pt == 3
    assert one._element.spPr.find("{*}solidFill")[0].find("{*}alpha").get("val") == "80000"
    assert one._element.spPr.find("{*}ln/{*}prstDash").get("val") == "dash"


@pytest.mark.parametrize(("change", "why"), [
    ({}, "nothing to change"), ({"fill": "none", "transparency": 50}, "no fill of one colour")])
def test_a_style_that_cannot_be_is_refused(run, change, why):
    id = add(run, 50, 50, text="Honey")
    before = shape(run, id)._element.xml
    assert why in run.refused("style_object", object=id, **change)
    assert shape(run, id)._element.xml == before


def test_a_line_has_no_fill(run):
    id = made(run.done("add_line", slide=1, start={"x": 0, "y": 0}, end={"x": 50, "y": 0}))
    assert "has no fill" in run.refused("style_object", object=id, fill="accent1")
    run.done("style_object", object=id, line="accent2", line_width=4)
    assert shape(run, id).line.color.theme_color.name == "ACCENT_2"

"""How objects are moved, lined up, grouped, doubled and deleted."""

import itertools

import pytest
from pptx import Presentation
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Pt
from slide_deck import add, box, made, order, overflows, path, shape, with_slides
from soundness import faults


@pytest.fixture
def run(make_run):
    """Two blank slides and one for content."""
    return with_slides(make_run, "Blank", "Blank", "Title and Content")


def test_objects_are_moved_sized_and_turned(run):
    id = add(run, 50, 50, text="Honey keeps")
    run.done("move_object", object=id, place={"left": 200, "top": 300})
    assert box(run, id) == (200, 300, 100, 60)
    run.done("move_object", object=id, place={"left": 10, "top": 20, "width": 200, "height": 90})
    assert box(run, id) == (10, 20, 200, 90)
    run.done("resize_object", object=id, width=120)
    assert box(run, id) == (10, 20, 120, 90)
    run.done("rotate_object", object=id, degrees=-30)
    assert shape(run, id).rotation == 330
    for place in ({"left": 900, "top": 0}, {"left": 0, "top": -1}):
        assert "not wholly on" in run.refused("move_object", object=id, place=place)
    assert box(run, id) == (10, 20, 120, 90)


def test_text_in_a_smaller_frame_is_set_smaller_or_the_move_refused(run):
    id = add(run, 50, 50, 300, 100, text="Honey keeps for thousands of years in a closed jar")
    assert "points now" in run.done("resize_object", object=id, width=140, height=80)
    assert overflows(run) == []
    assert "characters fit" in run.refused("resize_object", object=id, width=60, height=20)
    assert box(run, id)[2:] == (140, 80)


def test_a_table_is_moved_with_its_columns(run):
    id = made(run.done("insert_table", slide=1, columns=["A", "B"], rows=[["1", "2"]]))
    run.done("move_object", object=id, place="left")
    table = shape(run, id)
    assert sum(column.width for column in table.table.columns) == pytest.approx(table.width, abs=4)
    assert box(run, id)[2] < 440


def test_the_order_from_back_to_front_changes(run):
    ids = [add(run, 50 * n, 50) for n in range(4)]
    numbers = order(run)
    run.done("order_object", object=ids[0], to="front")
    assert order(run) == [*numbers[1:], numbers[0]]
    run.done("order_object", object=ids[0], to="backward")
    run.done("order_object", object=ids[2], to="back")
    assert order(run) == [numbers[2], numbers[1], numbers[0], numbers[3]]
    run.done("order_object", object=ids[3], to="forward")
    assert order(run)[-1] == numbers[3]


def test_objects_line_up_with_each_other_and_with_the_slide(run):
    ids = [add(run, 50, 50), add(run, 200, 90, 50), add(run, 400, 200, 200, 100)]
    run.done("align_objects", objects=ids, to="bottom")
    assert [box(run, id)[1] + box(run, id)[3] for id in ids] == [300, 300, 300]
    run.done("align_objects", objects=ids[:1], to="center", within="slide")
    assert box(run, ids[0])[0] == 430
    assert "cannot be lined up with itself" in run.refused("align_objects", objects=ids[:1], to="left")


def test_gaps_become_equal_and_the_outermost_stay(run):
    ids = [add(run, 50, 50), add(run, 500, 90, 50), add(run, 210, 200, 80)]
    run.done("distribute_objects", objects=ids, direction="across")
    lefts = sorted((box(run, id)[0], box(run, id)[2]) for id in ids)
    gaps = {after[0] - before[0] - before[1] for before, after in itertools.pairwise(lefts)}
    assert (lefts[0][0], sum(lefts[-1])) == (50, 550)
    assert max(gaps) - min(gaps) <= 1
    wide = [add(run, 0, 400, 300), add(run, 10, 400, 300), add(run, 20, 400, 300)]
    assert "too large to part them" in run.refused("distribute_objects", objects=wide, direction="across")


def test_a_deleted_chart_takes_its_parts_with_it(run):
    series = [{"name": "x", "values": [1, 2]}]
    id = made(run.done("insert_chart", slide=1, kind="bar", labels=["a", "b"], series=series))
    run.done("delete_object", object=id)
    names = [str(part.partname) for part in run.deck.part.package.iter_parts()]
    assert not [name for name in names if "chart" in name or "embeddings" in name]
    assert faults(path(run)) == []


def test_a_double_of_a_chart_has_data_of_its_own(run):
    series = [{"name": "x", "values": [1, 2]}]
    id = made(run.done("insert_chart", slide=1, kind="bar", labels=["a", "b"], series=series, place="left"))
    twin = made(run.done("duplicate_object", object=id, place="right"))
    run.done("update_chart", object=twin, labels=["c"], series=[{"name": "y", "values": [9]}])
    assert list(shape(run, id).chart.plots[0].series[0].values) == [1, 2]
    assert list(shape(run, twin).chart.plots[0].series[0].values) == [9]
    books = [part for part in run.deck.part.package.iter_parts() if "embeddings" in part.partname]
    assert len(books) == 2
    assert faults(path(run)) == []


def test_doubles_have_numbers_of_their_own(run):
    ids = [add(run, 50, 50, text="One"), add(run, 200, 50)]
    group = made(run.done("group_objects", objects=ids))
    twin = made(run.done("duplicate_object", object=group))
    assert box(run, twin) == (68, 68, 250, 60)
    assert len({mark.get("id") for mark in run.deck.slides[0].element.iter("{*}cNvPr")}) == 7
    assert faults(path(run)) == []


def test_a_placeholder_is_not_doubled(run):
    assert "is a placeholder" in run.refused("duplicate_object", object="s3.3")


def test_a_group_is_moved_as_one_and_taken_apart_where_it_stands(run):
    ids = [add(run, 50, 50, text="One"), add(run, 200, 110)]
    group = made(run.done("group_objects", objects=ids))
    assert box(run, group) == (50, 50, 250, 120)
    assert f"is part of the group {group}" in run.refused("move_object", object=ids[0], place={"left": 0, "top": 0})
    run.done("move_object", object=group, place={"left": 100, "top": 200, "width": 500, "height": 300})
    run.done("ungroup_objects", object=group)
    assert [box(run, id) for id in ids] == [(100, 230, 200, 120), (400, 350, 200, 120)]
    assert faults(path(run)) == []


def test_the_last_object_of_a_group_takes_the_group_with_it(run):
    ids = [add(run, 50, 50), add(run, 200, 110)]
    run.done("group_objects", objects=ids)
    for id in ids:
        run.done("delete_object", object=id)
    assert order(run) == []


def test_deleting_what_an_animation_plays_on_drops_the_animation(run):
    id = add(run, 50, 50)
    presentation = Presentation(str(path(run)))
    slide = presentation.slides[0]
    slide.element.append(parse_xml(
        f'<p:timing {nsdecls("p")}><p:tnLst/><p:bldLst><p:bldP spid="{id[3:]}" grpId="0"/></p:bldLst></p:timing>'))
    presentation.save(str(path(run)))
    assert "animations" in run.done("delete_object", object=id)
    assert run.deck.slides[0].element.find("{*}timing") is None


def test_what_overlaps_is_told(run):
    id = made(run.done("add_text", slide=1, text="Honey", place={"left": 50, "top": 50, "width": 200, "height": 60}))
    said = run.done("add_shape", slide=1, kind="rectangle", place={"left": 40, "top": 40, "width": 220, "height": 80})
    assert f"overlaps {id}" in said


def test_ids_stay_over_a_day_s_work(run):
    ids = [add(run, 20 + 60 * n, 50, 50, 50) for n in range(6)]
    run.done("delete_object", object=ids[2])
    run.done("order_object", object=ids[0], to="front")
    run.done("align_objects", objects=ids[3:], to="top")
    kept = {one.shape_id: one.left for one in run.deck.slides[0].shapes}
    assert sorted(kept) == sorted(int(id[3:]) for id in ids if id != ids[2])
    assert kept[int(ids[5][3:])] == Pt(320)

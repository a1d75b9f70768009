"""The table tools of the slides pack."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slide_deck import made, module, shape, with_slides

BEES = [["Queen", "1"], ["Worker", "40,000"], ["Drone", "300"]]


@pytest.fixture
def run(make_run):
    return with_slides(make_run, "Title and Content", "Title Only")


@pytest.fixture
def table(run):
    """The id of a table of three rows and two columns on slide 1."""
    return made(run.done("insert_table", slide=1, columns=["Bee", "Number"], rows=BEES))


def cells(run, id):
    return [[cell.text for cell in row.cells] for row in shape(run, id).table.rows]


def bottom(run, id):
    frame = shape(run, id)
    return (frame.top + sum(row.height for row in frame.table.rows)) / 12_700


def test_a_table_takes_the_place_of_the_empty_box_and_is_as_wide(run, table):
    frame = shape(run, table)
    assert cells(run, table) == [["Bee", "Number"], *BEES]
    assert [s.name for s in run.deck.slides[0].placeholders] == ["Title 1"]
    assert frame.width / 12_700 == pytest.approx(11.833 * 72, abs=1)
    assert frame.height == sum(row.height for row in frame.table.rows)
    assert frame._element.nvGraphicFramePr.cNvPr.get("descr") == "Table of Bee, Number; 3 rows"


def test_sizes_stand_on_the_runs_and_numbers_to_the_right(run, table):
    row = shape(run, table).table.rows[1]
    assert [cell.text_frame.paragraphs[0].runs[0].font.size.pt for cell in row.cells] == [18, 18]
    assert row.cells[0].text_frame.paragraphs[0].alignment is None
    assert row.cells[1].text_frame.paragraphs[0].alignment.name == "RIGHT"


def test_a_table_has_the_style_of_the_deck(run, table):
    style = shape(run, table).table._tbl.tblPr.find("{*}tableStyleId")
    assert style.text == module("theme").TABLE_STYLE


def test_columns_are_as_wide_as_their_text(run):
    id = made(run.done("insert_table", slide=2, columns=["No", "What it does"], rows=[["1", "many words " * 12]]))
    narrow, wide = (column.width for column in shape(run, id).table.columns)
    assert wide > 5 * narrow


def test_long_cells_wrap_and_their_rows_are_higher(run):
    id = made(run.done("insert_table", slide=2, columns=["A", "B"], rows=[["x", "y"], ["words and words " * 20, "y"]]))
    _, first, second = (row.height for row in shape(run, id).table.rows)
    assert second > 2 * first


def test_what_runs_off_the_slide_is_refused_with_how_many_rows_fit(run):
    said = run.refused("insert_table", slide=2, columns=["A"], rows=[[f"row {n}"] for n in range(40)])
    fitting = int(re.search(r"(\d+) rows fit below the heading", said)[1])
    assert len(run.deck.slides[1].shapes) == 1
    run.refused("insert_table", slide=2, columns=["A"], rows=[[f"row {n}"] for n in range(fitting + 1)])
    run.done("insert_table", slide=2, columns=["A"], rows=[[f"row {n}"] for n in range(fitting)])


def test_a_table_in_a_place_too_small_for_its_heading_is_refused(run):
    place = {"left": 0, "top": 0, "width": 100, "height": 10}
    assert "Not even the heading fits" in run.refused("insert_table", slide=2, columns=["A"], rows=[["1"]], place=place)


def test_rows_of_another_length_and_empty_tables_are_refused(run):
    assert "row 2 has 1 cells for 2 columns" in run.refused(
        "insert_table", slide=1, columns=["A", "B"], rows=[["1", "2"], ["3"]])
    assert "the table is empty" in run.refused("insert_table", slide=1, columns=["", " "], rows=[["", "\x00"]])


def test_a_table_of_a_million_cells_is_answered_with_one_line(run):
    said = run.refused("insert_table", slide=1, columns=["A"] * 16, rows=[["x"] * 16] * 62_500)
    assert "expected at most 60 items" in said
    assert len(said) < 300


def test_cells_are_written_and_keep_their_look(run, table):
    run.done("format_cells", object=table, rows=[2], bold=True, colour="C00000")
    run.done("set_cells", object=table, row=2, column=1, values=[["Mother", "one"], ["Sister", "many"]])
    assert cells(run, table)[1:3] == [["Mother", "one"], ["Sister", "many"]]
    font = shape(run, table).table.cell(1, 0).text_frame.paragraphs[0].runs[0].font
    assert (font.bold, str(font.color.rgb)) == (True, "C00000")


def test_cells_beyond_the_table_are_refused_with_what_there_is(run, table):
    said = run.refused("set_cells", object=table, row=4, column=2, values=[["a", "b"]])
    assert f"{table} has no column 3" in said
    assert "It has 2 columns" in said
    assert cells(run, table)[3] == ["Drone", "300"]


def test_cells_that_would_push_the_table_off_the_slide_are_refused_and_taken_back(run, table):
    run.done("resize_object", object=table, width=400)
    said = run.refused("set_cells", object=table, row=1, column=1, values=[["wordy " * 83] * 2] * 4)
    assert "rows fit" in said
    assert cells(run, table) == [["Bee", "Number"], *BEES]


def test_more_text_makes_rows_higher_and_then_type_smaller(run, table):
    run.done("set_cells", object=table, row=2, column=1, values=[["words " * 70, "words " * 70]])
    high = shape(run, table).table.rows
    assert high[1].height > 3 * high[2].height
    said = run.done("set_cells", object=table, row=3, column=1, values=[["words " * 70, "words " * 70]])
    assert "type is 18" not in said
    assert bottom(run, table) <= 540


def test_a_fill_brings_text_that_reads_on_it(run, table):
    run.done("format_cells", object=table, rows=[3], fill="14344F")
    cell = shape(run, table).table.cell(2, 0)
    assert str(cell.fill.fore_color.rgb) == "14344F"
    ink = cell.text_frame.paragraphs[0].runs[0].font.color
    assert ink.theme_color.name == "BACKGROUND_1"


def test_format_without_a_change_is_refused(run, table):
    assert "nothing to change" in run.refused("format_cells", object=table)


def test_rows_are_added_where_asked_in_the_look_of_the_one_above(run, table):
    run.done("format_cells", object=table, rows=[2], italic=True)
    run.done("add_rows", object=table, rows=[["Egg", "9"], ["Larva", "8"]], before=3)
    run.done("add_rows", object=table, rows=[["All", "50,000"]])
    assert [row[0] for row in cells(run, table)] == ["Bee", "Queen", "Egg", "Larva", "Worker", "Drone", "All"]
    italic = [r.cells[0].text_frame.paragraphs[0].runs[0].font.italic for r in shape(run, table).table.rows]
    assert italic == [None, True, True, True, None, None, None]


def test_a_row_before_the_first_does_not_look_like_a_heading(run, table):
    run.done("add_rows", object=table, rows=[["Egg", "9"]], before=2)
    font = shape(run, table).table.cell(1, 0).text_frame.paragraphs[0].runs[0].font
    assert font.bold is None


def test_rows_that_do_not_fit_are_refused(run, table):
    said = run.refused("add_rows", object=table, rows=[["x", "y"]] * 50)
    assert "rows fit" in said
    assert len(cells(run, table)) == 4


def test_columns_are_added_and_the_table_stays_as_wide(run, table):
    before = shape(run, table).width
    run.done("add_columns", object=table, columns=[["Sex", "f", "f", "m"]], before=2)
    assert cells(run, table)[3] == ["Drone", "m", "300"]
    assert shape(run, table).width == pytest.approx(before, abs=10)


def test_rows_and_columns_are_deleted(run, table):
    run.done("delete_rows", object=table, rows=[2, 4])
    assert cells(run, table) == [["Bee", "Number"], ["Worker", "40,000"]]
    before = shape(run, table).width
    run.done("delete_columns", object=table, columns=[1])
    assert cells(run, table) == [["Number"], ["40,000"]]
    assert shape(run, table).width == pytest.approx(before, abs=10)
    assert "delete_object" in run.refused("delete_rows", object=table, rows=[1, 2])
    assert "delete_object" in run.refused("delete_columns", object=table, columns=[1])


def test_merged_cells_are_one_and_are_not_cut_apart(run, table):
    run.done("merge_cells", object=table, row=2, column=1, to_row=3, to_column=2)
    origin = shape(run, table).table.cell(1, 0)
    assert (origin.is_merge_origin, origin.span_height, origin.span_width) == (True, 2, 2)
    assert origin.text == "Queen\n1\nWorker\n40,000"
    assert "rows 2 to 3 are merged" in run.refused("delete_rows", object=table, rows=[2])
    assert "columns 1 to 2 are merged" in run.refused("delete_columns", object=table, columns=[2])
    assert "is merged with the row above" in run.refused("add_rows", object=table, rows=[["a", "b"]], before=3)
    assert "merged into another" in run.refused("set_cells", object=table, row=3, column=2, values=[["x"]])
    assert "is merged already" in run.refused("merge_cells", object=table, row=1, column=1, to_row=2, to_column=1)
    run.done("delete_rows", object=table, rows=[2, 3])
    assert cells(run, table) == [["Bee", "Number"], ["Drone", "300"]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 6).flatmap(lambda n: st.lists(
    st.lists(st.text(max_size=60), min_size=n, max_size=n), min_size=2, max_size=8)))
def test_any_cells_give_a_table_on_the_slide_or_a_refusal(run, rows):
    answer = run.call("insert_table", slide=2, columns=rows[0], rows=rows[1:])
    assert "failed:" not in answer.text
    if answer.ok:
        id = made(answer.text)
        assert bottom(run, id) <= 540
        kept = [[module("wording").clean(text) for text in row] for row in rows]
        assert cells(run, id) == kept
        run.done("delete_object", object=id)

"""The picture tools of the slides pack, and what people call pictures."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from pptx import Presentation
from slide_deck import box, made, path, shape, with_slides
from soundness import faults

ALT = "A beekeeper opens a hive"
WIDE, TALL = (400, 200), (200, 400)


@pytest.fixture
def run(make_run):
    return with_slides(make_run, "Title and Content", "Title Only", "Picture with Caption")


def draw(run, name, size=WIDE, mode="RGB", **how):
    """A picture with a red left and a blue right half, in the workspace."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    image.convert(mode).save(run.workspace.root / name, **how)


def shown(run, id):
    """The picture as it lies in the deck."""
    image = Image.open(io.BytesIO(shape(run, id).image.blob))
    image.load()
    return image


PLACE = {"left": 100, "top": 100, "width": 300, "height": 300}


def test_contain_shows_all_of_it_in_the_middle_of_its_place(run):
    draw(run, "a.png")
    id = made(run.done("add_picture", slide=2, path="a.png", alt=ALT, place=PLACE))
    assert box(run, id) == (100, 175, 300, 150)
    one = shape(run, id)
    assert (one.crop_left, one.crop_right, one.crop_top, one.crop_bottom) == (0, 0, 0, 0)
    assert one._element.nvPicPr.cNvPr.get("descr") == ALT
    assert faults(path(run)) == []


@pytest.mark.parametrize(("size", "crops"), [(WIDE, (0.25, 0.25, 0, 0)), (TALL, (0, 0, 0.25, 0.25))])
def test_crop_fills_the_place_and_cuts_both_sides_evenly(run, size, crops):
    draw(run, "a.png", size)
    id = made(run.done("add_picture", slide=2, path="a.png", alt=ALT, place=PLACE, fit="crop"))
    assert box(run, id) == (100, 100, 300, 300)
    one = shape(run, id)
    assert (one.crop_left, one.crop_right, one.crop_top, one.crop_bottom) == pytest.approx(crops)


def test_a_picture_goes_where_the_layout_has_a_place_for_one(run):
    draw(run, "a.png")
    slide = run.deck.slides[2]
    place = next(s for s in slide.placeholders if s.placeholder_format.type.name == "PICTURE")
    id = made(run.done("add_picture", slide=3, path="a.png", alt=ALT, fit="crop"))
    assert box(run, id) == tuple(round(n / 12_700) for n in (place.left, place.top, place.width, place.height))
    assert [s.placeholder_format.type.name for s in run.deck.slides[2].placeholders] == ["TITLE", "BODY"]


@pytest.mark.parametrize("alt", ["", "  ", "a.png", "A", "bees.JPG", "image", "Picture 2"])
def test_an_alt_text_that_says_nothing_is_refused(run, alt):
    draw(run, "a.png")
    assert "alt text" in run.refused("add_picture", slide=1, path="a.png", alt=alt)
    assert len(run.deck.slides[0].shapes) == 2


def test_a_jpeg_is_embedded_as_it_is(run):
    draw(run, "a.jpg")
    id = made(run.done("add_picture", slide=1, path="a.jpg", alt=ALT))
    assert shape(run, id).image.blob == (run.workspace.root / "a.jpg").read_bytes()


@pytest.mark.parametrize(("name", "kind"), [("a.tif", "TIFF"), ("a.webp", "WEBP"), ("a.bmp", "BMP"), ("a.gif", "GIF")])
def test_other_kinds_become_png_and_it_is_told(run, name, kind):
    draw(run, name)
    said = run.done("add_picture", slide=1, path=name, alt=ALT)
    assert f"Turned from {kind} into PNG" in said
    image = shown(run, made(said))
    assert (image.format, image.size) == ("PNG", WIDE)


def test_cmyk_becomes_rgb_and_it_is_told(run):
    draw(run, "a.jpg", mode="CMYK")
    said = run.done("add_picture", slide=1, path="a.jpg", alt=ALT)
    assert "Turned from CMYK into RGB" in said
    image = shown(run, made(said))
    assert image.mode == "RGB"
    left = image.getpixel((10, 10))
    assert left[0] > 200
    assert left[2] < 80


def test_an_animation_shows_its_first_frame_and_it_is_told(run):
    frames = [Image.new("RGB", WIDE, colour) for colour in ("red", "green", "blue")]
    frames[0].save(run.workspace.root / "a.gif", save_all=True, append_images=frames[1:])
    said = run.done("add_picture", slide=1, path="a.gif", alt=ALT)
    assert "Of its 3 frames only the first is shown" in said
    assert shown(run, made(said)).convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_camera_s_note_to_turn_it_is_followed(run):
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(run, "a.jpg", exif=exif)
    said = run.done("add_picture", slide=1, path="a.jpg", alt=ALT)
    image = shown(run, made(said))
    assert image.size == TALL
    assert image.getpixel((100, 50))[0] > 200
    assert "Turned as its camera noted" in said


def test_sixteen_bits_become_eight_with_their_shades(run):
    steps = np.tile(np.linspace(0, 65535, 400).astype(np.uint16), (200, 1))
    Image.fromarray(steps).save(run.workspace.root / "a.png")
    said = run.done("add_picture", slide=1, path="a.png", alt=ALT)
    image = shown(run, made(said)).convert("L")
    assert [image.getpixel((x, 100)) // 16 for x in (0, 200, 399)] == [0, 8, 15]


def test_a_palette_with_a_transparent_colour_stays_transparent(run):
    image = Image.new("P", WIDE, 0)
    image.putpalette([0, 255, 0, 255, 0, 0])
    image.paste(1, (0, 0, 200, 200))
    image.save(run.workspace.root / "a.png", transparency=0)
    id = made(run.done("add_picture", slide=1, path="a.png", alt=ALT))
    assert shown(run, id).convert("RGBA").getpixel((300, 50))[3] == 0


def test_far_more_pixels_than_a_place_shows_are_scaled_down_and_it_is_told(run):
    draw(run, "a.png", (6000, 3000))
    said = run.done("add_picture", slide=2, path="a.png", alt=ALT, place=PLACE)
    assert "Scaled from 6000 by 3000 to 900 by 450 pixels" in said
    assert shown(run, made(said)).size == (900, 450)


def png_header(width, height):
    """A PNG that says it has that many pixels, and holds next to none."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'
BROKEN = [
    ("note.png", b"hello, I am a text", "it begins with 'hello"), ("empty.png", b"", "is empty"),
    ("a.svg", SVG, "Convert it to PNG"), ("a.png", SVG, "Convert it to PNG"), ("a.pdf", b"%PDF-1.7", "a document"),
    ("a.wmf", b"\xd7\xcd\xc6\x9a" + bytes(60), "metafile"), ("big.png", png_header(20_000, 10_000), "200"),
    ("edge.png", png_header(8000, 7000), "8000 by 7000 pixels"), ("thin.png", png_header(0, 10), "no picture"),
    ("cut.png", png_header(300, 300), "cut off or broken"), ("half.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "cut off"),
]


@pytest.mark.parametrize(("name", "data", "why"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_what_is_no_picture_is_answered_with_one_line(run, name, data, why):
    (run.workspace.root / name).write_bytes(data)
    before = path(run).read_bytes()
    said = run.refused("add_picture", slide=1, path=name, alt=ALT)
    assert why in said or "million" in said
    assert "\n" not in said
    assert len(said) < 300
    assert path(run).read_bytes() == before


def test_a_truncated_picture_is_refused(run):
    draw(run, "a.jpg", (1000, 800))
    data = (run.workspace.root / "a.jpg").read_bytes()
    (run.workspace.root / "a.jpg").write_bytes(data[: len(data) // 2])
    assert "cut off or broken" in run.refused("add_picture", slide=1, path="a.jpg", alt=ALT)


def test_a_file_of_a_hundred_megabytes_is_refused_before_it_is_read(run):
    with (run.workspace.root / "a.png").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert "'a.png' has 100 MB" in run.refused("add_picture", slide=1, path="a.png", alt=ALT)


@pytest.mark.parametrize("address", ["https://example.org/a.png", "http://127.0.0.1/a.png", "file:///etc/passwd",
                                     "data:image/png;base64,AAAA", "www.example.org/a.png"])
def test_addresses_are_never_fetched(run, address):
    said = run.refused("add_picture", slide=1, path=address, alt=ALT)
    assert "nothing is fetched" in said
    assert "Put the picture into the workspace" in said


def test_a_picture_outside_the_workspace_is_not_read(run):
    assert "outside the workspace" in run.refused("add_picture", slide=1, path="../../etc/a.png", alt=ALT)


def test_a_missing_picture_is_answered_with_those_there_are(run):
    draw(run, "hive.png")
    assert "Pictures: hive.png" in run.refused("add_picture", slide=1, path="hive.jpg", alt=ALT)


def test_a_replaced_picture_keeps_its_place_and_leaves_no_part_behind(run):
    draw(run, "a.png")
    draw(run, "b.png", TALL)
    id = made(run.done("add_picture", slide=2, path="a.png", alt=ALT, place=PLACE, fit="crop"))
    run.done("replace_picture", object=id, path="b.png", alt="Two halves, red and blue")
    one = shape(run, id)
    assert (box(run, id), one.crop_top) == ((100, 100, 300, 300), pytest.approx(0.25))
    assert one._element.nvPicPr.cNvPr.get("descr") == "Two halves, red and blue"
    images = [p for p in run.deck.part.package.iter_parts() if p.partname.startswith("/ppt/media")]
    assert [image.image.size for image in images] == [TALL]
    assert faults(path(run)) == []


def test_the_same_picture_twice_stays_when_one_of_them_goes(run):
    draw(run, "a.png")
    first, second = (made(run.done("add_picture", slide=2, path="a.png", alt=ALT, place=p)) for p in ("left", "right"))
    run.done("delete_object", object=first)
    assert shown(run, second).size == WIDE
    assert faults(path(run)) == []


def test_cropping_cuts_sides_off_without_stretching_and_can_be_taken_back(run):
    draw(run, "a.png")
    id = made(run.done("add_picture", slide=2, path="a.png", alt=ALT, place=PLACE))
    run.done("crop_picture", object=id, left=50, bottom=20)
    assert box(run, id) == (250, 175, 150, 120)
    assert (shape(run, id).crop_left, shape(run, id).crop_bottom) == pytest.approx((0.5, 0.2))
    run.done("crop_picture", object=id)
    assert box(run, id) == (100, 175, 300, 150)
    assert "nothing would be left" in run.refused("crop_picture", object=id, left=60, right=40)


def test_a_picture_tool_on_text_names_the_tools_for_text(run):
    said = run.refused("crop_picture", object="s1.3", left=10)
    assert "s1.3 is a shape with text, not a picture" in said
    assert "write_text" in said


def test_a_picture_from_a_readable_folder_is_taken(make_run, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", WIDE, "red").save(folder / "a.png")
    run = make_run(packs=("slides:all",), readable=(folder,))
    presentation = Presentation()
    presentation.slides.add_slide(presentation.slide_layouts[6])
    presentation.save(str(path(run)))
    assert run.done("add_picture", slide=1, path=str(folder / "a.png"), alt=ALT).startswith("Picture s1.2")

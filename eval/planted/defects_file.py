"""Defects that are in the file and not to be seen on the slide."""

import random
from typing import Any

from .kinds import anything, defect, has, pictures


@defect(visible=False, fits=has(pictures))
def no_alt_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A picture without a description for those who cannot see it."""
    element = pictures(slide)[0].element.nvPicPr.cNvPr
    if rng.random() < 0.5:
        element.set("descr", "")
    else:
        del element.attrib["descr"]
    return "no alt text"


@defect(visible=False, fits=has(pictures))
def alt_text_is_file_name(presentation: Any, slide: Any, rng: random.Random) -> str:
    """The name of a file where a picture's description should be."""
    name = rng.choice(("IMG_2034.JPG", "image1.png", "picture-final-2.jpeg", "Screenshot 2024-05-03.png", "photo.webp"))
    pictures(slide)[0].element.nvPicPr.cNvPr.set("descr", name)
    return f"alt text '{name}'"


@defect(visible=False, fits=anything)
def no_notes(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A slide without the speaker notes that were asked for."""
    slide.notes_slide.notes_text_frame.clear()
    return "no notes"


@defect(visible=False, fits=lambda slide: len(slide.shapes) >= 3)
def duplicate_id(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Two shapes of a slide with one id, which PowerPoint repairs or refuses."""
    one, other = rng.sample(list(slide.shapes), 2)
    other.element.xpath(".//p:cNvPr")[0].set("id", str(one.shape_id))
    return f"two shapes with the id {one.shape_id}"


@defect(visible=False, fits=lambda slide: slide.slide_layout.name == "Title Only")
def empty_placeholder(presentation: Any, slide: Any, rng: random.Random) -> str:
    """An empty box, which only shows while the deck is edited."""
    layout = presentation.slide_layouts.get_by_name("Title and Content")
    relation = next(r for r in slide.part.rels.values() if r.reltype.endswith("/slideLayout"))
    relation._target = layout.part
    slide.shapes.clone_placeholder(next(s for s in layout.placeholders if s.placeholder_format.idx == 1))
    return "an empty box behind the content"


@defect(visible=False, fits=has(pictures))
def broken_picture(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A picture whose file is missing: PowerPoint shows a red cross, other programs nothing at all."""
    blip = pictures(slide)[0].element.blipFill.blip
    blip.rEmbed = f"rId{rng.randint(70, 99)}"
    return f"the picture points to {blip.rEmbed}, which is not there"

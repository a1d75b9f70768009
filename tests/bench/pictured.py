"""The world of doors, where what a run makes can be looked at, and judges can be gated."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from autorl.bench import definition, run
from autorl.models.base import Request
from autorl.models.scripted import Scripted
from tests.bench.world import PACK, SPEC, make_project
from tests.worlds import say

SHOWS = '''
import io

from PIL import Image

from autorl.registry import Preview


def show(path, size):
    """A page a line of the file, each a plain picture."""
    lines = path.read_text().splitlines()
    return Preview(tuple(lines), tuple(_picture(size) for _ in lines) if size else ())


def _picture(size):
    buffer = io.BytesIO()
    Image.new("RGB", (size, size // 2), "navy").save(buffer, "PNG")
    return buffer.getvalue()

'''
WRITES = 'f"open\\n{context.task.text}\\n<script>alert(1)</script>".encode()'
PICTURED = SHOWS + PACK.replace('b"open"', WRITES).replace(
    'verifiers={"opened": Opened()}', 'verifiers={"opened": Opened()}, previews={".txt": show}')
LOCKS = '''
from types import SimpleNamespace

from autorl import Task


def controls(count):
    """Doors that are whole, and the same with a lock that is broken or a hinge that is gone."""
    for kind, fault in (("broken_lock", "the lock is broken"), ("no_hinge", "the hinge is gone")):
        for seed in range(count):
            clean = f"a door\\nnumber {seed}"
            yield SimpleNamespace(kind=kind, theme="oak", seed=seed, task=Task(text="Make a door"),
                                  clean=clean.encode(), defective=f"{clean}, {fault}".encode(),
                                  planted=SimpleNamespace(slide=2))
'''
WITH_CONTROLS = 'controls = "locks"' + SPEC.replace('tools = ["doors"]', 'tools = ["gallery"]') + '''
[published]
source = "the doormen"

[published.settings]
agent = { ner = 0.5, rfr = 1.5 }
'''


def opens_doors(request: Request) -> str:
    """Knows the code whenever an exemplar was shown, and otherwise for one seed in three; gives up after an error."""
    words = "\n".join(message["content"] for message in request.messages)
    _, _, asked = words.rpartition("Open the door of room ")
    if "Observation: " in asked:
        return say("finish", answer="It is as it is.")
    known = "in the same way" in words or (request.seed or 0) % 3 == 0
    return say("open_door", code=int(asked.partition(",")[0]) * 7 if known else 0)


GIVEN = {"scripted:door-opener": Scripted(opens_doors, name="door-opener")}


def pictured(*, spec: str = WITH_CONTROLS, play: bool = True, **changes: Any) -> Path:
    """The folder of a run of `doors` in a project in the current folder, played to its end or not at all."""
    make_project(Path.cwd(), spec=spec, **changes)
    Path("tools/gallery.py").write_text(PICTURED)
    Path("eval/locks").mkdir()
    Path("eval/locks/__init__.py").write_text(LOCKS)
    doors = definition.load("doors")
    folder = run.begin(doors, definition.read_tasks(doors))
    if play:
        run.resume(folder, given=GIVEN)
    return folder


def size_of(picture: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(picture)) as image:
        return image.size

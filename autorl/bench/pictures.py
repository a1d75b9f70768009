"""What runs made, as words and pictures: drawn once by the pack that made it, and kept beside the run."""

import io
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

from PIL import Image

from autorl import content
from autorl.bench.ledger import Episode
from autorl.bench.metrics import opens
from autorl.bench.spec import Spec
from autorl.errors import AutorlError, StoreUnavailable
from autorl.registry import Preview
from autorl.replay.store import ReplayStore

SIZE = 1120
"""Pixels along the longer side of a picture as it is kept: enough to read a slide."""


class Pictures:
    """Previews of the files that the episodes of a run made; many threads may share it.

    folder: of the run; runs: the store that holds every run
    """

    def __init__(self, folder: Path, spec: Spec, runs: ReplayStore) -> None:
        self._folder, self._spec, self._runs = folder / "pictures", spec, runs

    def of(self, episode: Episode) -> Preview | None:
        """What the episode made, with JPEG pictures; None if it made nothing of the kind that was asked for.

        Where no pack can tell how such a file looks, or this one does not open, there are no pages, and it says why.
        Raises StoreUnavailable if the pictures cannot be kept.
        """
        if not episode.produced:
            return None
        made = [(artifact, self._runs.file(episode.run, artifact)) for artifact in
                self._runs.get(episode.run).artifacts if artifact.path.endswith(self._spec.product)]
        there = [(artifact, path) for artifact, path in made if path is not None and opens(path)]
        if not there:
            return Preview((), why="the file is gone")
        artifact, path = there[-1]
        kept = self._folder / artifact.sha256
        if (kept / "texts.json").is_file():
            return _read(kept)
        drawn = preview(self._spec, path, SIZE)
        if drawn.pictures:
            _keep(drawn, kept)
            return _read(kept)
        return drawn


def preview(spec: Spec, path: Path, size: int) -> Preview:
    """The file at `path` as one of the packs that a benchmark names shows it, `size` as for a pack's `previews`."""
    for name in dict.fromkeys(name for setting in spec.settings.values() for name in setting.chosen.tools):
        try:
            show = content.load_pack(name.partition(":")[0]).previews.get(spec.product)
            if show is not None:
                return show(path, size)
        except AutorlError as error:
            return Preview((), why=str(error))
    return Preview((), why=f"no pack of {spec.name} can show a {spec.product}")


def scaled(picture: bytes, size: int, form: Literal["WEBP", "JPEG"] = "WEBP") -> bytes:
    """A picture, no larger than `size` pixels either way."""
    with Image.open(io.BytesIO(picture)) as image:
        image.thumbnail((size, size))
        return _as(image.convert("RGB"), form, quality=60 if form == "WEBP" else 85)


def _keep(drawn: Preview, kept: Path) -> None:
    """All of it or nothing: another thread or process may be keeping the same."""
    try:
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, ignore_cleanup_errors=True) as made:
            for number, picture in enumerate(drawn.pictures):
                with Image.open(io.BytesIO(picture)) as image:
                    (Path(made) / f"{number:03}.jpg").write_bytes(_as(image.convert("RGB"), "JPEG", quality=85))
            (Path(made) / "texts.json").write_text(json.dumps(drawn.texts), encoding="utf-8")
            with suppress(OSError):  # it is there by now
                os.rename(made, kept)
    except OSError as error:
        raise StoreUnavailable(f"pictures cannot be kept in {kept.parent}: {error.strerror}",
                               "Make room on its disk") from error


def _read(kept: Path) -> Preview:
    texts = json.loads((kept / "texts.json").read_text(encoding="utf-8"))
    return Preview(tuple(texts), tuple(path.read_bytes() for path in sorted(kept.glob("*.jpg"))))


def _as(image: Image.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()

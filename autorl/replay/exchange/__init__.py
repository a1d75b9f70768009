"""Runs out of a store and into one, as JSON lines: for other programs, for training, and for another store."""

from autorl.replay.exchange.exporting import Exported, export
from autorl.replay.exchange.importing import Imported, import_runs
from autorl.replay.exchange.lines import written

__all__ = ["Exported", "Imported", "export", "import_runs", "written"]

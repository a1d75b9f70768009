"""Bad successes, planted among honest ones, and how many of them recall puts into a prompt.

    honest.py      the tasks, and what honest runs did for them
    planting.py    the kinds of bad successes, each put into the store on the way that it would come by
    measuring.py   the share of exemplars and prompts that hold one, and what outcomes do about it
"""

from .honest import SUBJECTS, TOOLS, Subject, fill
from .measuring import Share, held, life
from .planting import KINDS, Kind, open_wide

__all__ = ["KINDS", "SUBJECTS", "TOOLS", "Kind", "Share", "Subject", "fill", "held", "life", "open_wide"]

"""power-pptx's linter on decks, warnings and errors: one line of JSON a deck. Usage: lint_power_pptx.py DECK..."""

import json
import sys

from power_pptx import Presentation

for name in sys.argv[1:]:
    found = [(issue.code, number, issue.message)
             for number, slide in enumerate(Presentation(name).slides, start=1)
             for issue in slide.lint(min_severity="warning").issues]
    print(json.dumps({"deck": name, "findings": found}), flush=True)

"""overset on decks, with its default rules and settings: one line of JSON a deck. Usage: lint_overset.py DECK..."""

import json
import sys
from pathlib import Path

from overset.engine import lint
from overset.rules import load_rules
from overset.settings import Settings

load_rules()
for name in sys.argv[1:]:
    result = lint(Path(name), Settings())
    if result.skipped:
        raise SystemExit(f"{name}: rules that were to run did not: {'; '.join(result.notes)}")
    found = [(each.code, each.slide, each.message) for each in result.findings if each.severity != "info"]
    print(json.dumps({"deck": name, "findings": found}), flush=True)

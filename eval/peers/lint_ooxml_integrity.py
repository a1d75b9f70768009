"""ooxml-integrity on decks, warnings and errors: one line of JSON a deck. Usage: lint_ooxml_integrity.py DECK..."""

import json
import re
import sys

from ooxml_integrity import WARN, check_pptx

for name in sys.argv[1:]:
    found = []
    for each in check_pptx(name):
        place = re.match(r"slide(\d+)/", each.where)
        if each.severity >= WARN:
            found.append((each.code, int(place[1]) if place else None, each.message))
    print(json.dumps({"deck": name, "findings": found}), flush=True)

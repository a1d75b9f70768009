"""Does replay help, does distillation help, and for whom? Read spec.py, run.py and report.py, in this order."""

"""PPTC's sessions as evidence from outside: its instructions, its function names, our tools behind them.

PPTC (Guo et al. 2023, "PPTC Benchmark"; github.com/gydpku/PPTC, MIT) holds sessions of instructions to an office
assistant, each turn with a sequence of calls that carries it out. `sessions` reads them, `functions` says which
function means what, `reference` does it with python-pptx alone, `ours` with the tools of `slides:all`, `reading` tells
a deck as attributes, and `score` compares the two.
"""

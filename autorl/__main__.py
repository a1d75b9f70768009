"""`python -m autorl` is `autorl`."""

from autorl.cli import main

main()

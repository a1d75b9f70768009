"""Writers that are killed while they write to a replay store, and what must be in it afterwards.

    log.py     what a writer means to do, and what the store has acknowledged
    load.py    the runs, made from their names alone, and the writers that put them there in every way the store has
    siege.py   the killing, of writers and of servers
    audit.py   what is lost, torn or inconsistent

Runs follow from their names, so that what must be in the store is known without asking those who were killed.
"""

from .audit import Findings, audit
from .siege import Siege, kill_server_process

__all__ = ["Findings", "Siege", "audit", "kill_server_process"]

"""The options that say where rollouts are done."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autorl.rollout.executor import Executor

On = Annotated[str, typer.Option(help="Where runs are done: threads of this process, or ray, the machines of a "
                                      "cluster (extra: ray; the store is in PostgreSQL then).")]
Address = Annotated[str | None, typer.Option(help="HOST:PORT of the Ray cluster. [default: RAY_ADDRESS, else one on "
                                                  "this machine alone]")]


def executor(on: str, address: str | None, store: str | None = None) -> "Executor":
    """The executor that these options name. store: as the command line says it; the settings say it when None"""
    from autorl.rollout.executor import choose
    from autorl.settings import resolve

    return choose(on, store=resolve({"store": store}).store, address=address)

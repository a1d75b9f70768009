"""Small warehouses, each with tools, codes and house rules that were invented from its number."""

from autorl.registry import Pack

from .tasks import Sets
from .tools import Worlds
from .verifier import WarehouseVerifier

worlds = Worlds()
pack = Pack(tools=worlds["w0"], groups=worlds, verifiers={WarehouseVerifier.name: WarehouseVerifier()},
            task_sets=Sets())

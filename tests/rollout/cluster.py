"""Ray nodes on this machine, one of which can be killed as if its machine had been switched off."""

import os
import secrets
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Nodes:
    """A cluster with a head and one more node. What these inherit is this process's environment."""

    def __init__(self) -> None:
        # Of itself Ray gives its workers what time the rest of the machine leaves.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_worker_niceness": "0",
                       "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        self.second: Any = self._cluster.add_node(num_cpus=1)

    def in_second(self) -> list[int]:
        """The processes of the node that is not the head."""
        (raylet,) = self.second.all_processes["raylet"]
        assert raylet.process.poll() is None, "it had died before"
        return [raylet.process.pid, *children(raylet.process.pid)]

    def kill_second(self) -> None:
        """Every process of the node that is not the head, at once."""
        kill(*self.in_second())

    def stop(self) -> None:
        self._cluster.shutdown()


def children(parent: int, named: str = "") -> list[int]:
    """The processes that `parent` started, those whose command holds `named`."""
    told = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in told.splitlines()]
    return [int(pid) for pid, its_parent, command in lines if int(its_parent) == parent and named in command]


def kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

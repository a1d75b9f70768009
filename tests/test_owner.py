import os
import subprocess
import sys

from autorl.replay import owner


def test_this_process_lives() -> None:
    assert owner.alive(owner.this())


def test_a_process_that_ended_does_not() -> None:
    child = subprocess.run([sys.executable, "-c", "from autorl.replay import owner; print(owner.this())"],
                           capture_output=True, text=True, check=True)
    assert not owner.alive(child.stdout.strip())


def test_a_later_process_with_the_same_number_is_another_one() -> None:
    host, pid, start = owner.this().split(":")
    assert int(pid) == os.getpid()
    if start:  # told by Linux alone
        assert not owner.alive(f"{host}:{pid}:{int(start) - 1}")


def test_nobody_is_not_alive_and_whoever_runs_elsewhere_is_taken_to_be() -> None:
    assert not owner.alive("")
    assert owner.alive("another-machine:1:1")

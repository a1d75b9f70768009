"""The calls of Linux that Python has no function for, and the layers that namespaces make."""

import ctypes
import os
import platform
import signal
import stat
import struct
from collections.abc import Sequence
from typing import Any

PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(platform.machine(), -1)
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # from 424 on, a number is the same everywhere

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
NEW_USER, NEW_MOUNT, NEW_PID, NEW_NET, NEW_IPC, NEW_UTS = (
    0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000)
READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE, _DETACH = 2, 4, 1 << 14, 1 << 18, 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: Any) -> int:
    """The function `name` of the C library. Raises OSError as the functions of `os` do."""
    done: int = getattr(_libc, name)(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done


def new_namespaces() -> str:
    """Leave the user, mounts, processes, network and IPC of the system for new, empty ones; says which.

    The next child is process 1 of the new processes, and none of them outlives it.
    """
    rest = NEW_MOUNT | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS
    user, group = os.geteuid(), os.getegid()
    try:
        call("unshare", NEW_USER | rest)
    except OSError:
        call("unshare", rest)  # root may, where user namespaces are switched off
        return "mount, process, network, IPC and host name"
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    return "user, mount, process, network, IPC and host name"


def new_root(workspace: str, readable: Sequence[str]) -> str:
    """Make a file system that holds nothing but `workspace`, and `readable` unchangeably; the old one is gone."""
    call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    # The trees are taken up first: the new root is built on top of the workspace, the one folder sure to be there.
    trees = {path: _taken(path, READ_ONLY | NO_SETUID) for path in sorted({*map(os.path.realpath, readable)})}
    trees[workspace] = _taken(workspace, NO_SETUID | NO_DEVICES | NO_EXEC)
    call("mount", b"tmpfs", os.fsencode(workspace), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"mode=755,size=1m")
    try:
        os.chdir(workspace)
        _furnish(trees, readable)
        call("syscall", PIVOT_ROOT, b".", b".")
    except OSError:
        call("umount2", os.fsencode(workspace), _DETACH)  # or what the script writes would be lost
        raise
    call("umount2", b".", _DETACH)
    os.chdir(workspace)
    return f"the workspace, and {len(trees) - 1} places to read"


def _taken(path: str, attributes: int) -> int:
    tree = call("syscall", OPEN_TREE, _AT_FDCWD, os.fsencode(path), 1 | _AT_RECURSIVE | os.O_CLOEXEC)
    _set_attributes(tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes)
    return tree


def _furnish(trees: dict[str, int], readable: Sequence[str]) -> None:
    for path, tree in trees.items():
        _put(tree, f".{path}")
    for path in readable:
        if not os.path.lexists(f".{path}"):
            os.makedirs(os.path.dirname(f".{path}"), exist_ok=True)
            os.symlink(os.path.realpath(path), f".{path}")
    _set_attributes(_AT_FDCWD, b".", 0, READ_ONLY)


def _put(tree: int, where: str) -> None:
    if not os.path.lexists(where):
        folder = stat.S_ISDIR(os.fstat(tree).st_mode)
        os.makedirs(where if folder else os.path.dirname(where), exist_ok=True)
        if not folder:
            os.close(os.open(where, os.O_CREAT))
    call("syscall", MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(where), 4)
    os.close(tree)


def _set_attributes(where: int, path: bytes, flags: int, attributes: int) -> None:
    wanted = struct.pack("=4Q", attributes, 0, 0, 0)
    call("syscall", MOUNT_SETATTR, where, path, flags, wanted, len(wanted))


def give_up_privileges() -> None:
    """No capability is left, none can be regained, and a crash is shown to no core dump handler of the system."""
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))
    call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent() -> None:
    """Let the end of the parent be the end of this process."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

"""Landlock: which files a process may open, make and remove, for ever and for root too. Linux 5.13, used from 6.2."""

import os
import stat
import struct
from collections.abc import Iterable

from .linux import call

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446

# Rights, in the order of their bits.
(_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK,
 _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM, _REFER, _TRUNCATE, _IOCTL_DEV) = (1 << bit for bit in range(16))
_ALL = (1 << 16) - 1
_READ = _READ_FILE | _READ_DIR
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE
_OWN = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_TCP = 0b11  # to bind and to connect; version 4
_SCOPED = 0b11  # abstract sockets of, and signals to, what is outside; version 6
_OLDEST = 3


def restrict(workspace: str, readable: Iterable[str], writable: Iterable[str]) -> str:
    """Leave this process `workspace`, and what is `readable` and `writable` of the rest; says with which version.

    Raises OSError where the kernel has no Landlock, or one that lets a file outside be truncated.
    """
    version = call("syscall", _CREATE_RULESET, None, 0, 1)
    if version < _OLDEST:
        raise OSError(f"version {version} of the kernel's Landlock cannot forbid to truncate; it takes Linux 6.2")
    handled = _ALL if version >= 5 else _ALL & ~_IOCTL_DEV
    rules = struct.pack("=3Q", handled, _TCP, _SCOPED)[:24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = call("syscall", _CREATE_RULESET, rules, len(rules), 0)
    for rights, paths in ((_OWN, [workspace]), (_READ, readable), (_READ_FILE | _WRITE_FILE, writable)):
        for path in paths:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            of_it = rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & _OF_FILES
            call("syscall", _ADD_RULE, ruleset, 1, struct.pack("=Qi", of_it, place), 0)
            os.close(place)
    call("syscall", _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return f"version {version}"

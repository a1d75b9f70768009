"""The process of one script: it reads its plan, shuts itself in, reports what holds, and becomes the script."""

import contextlib
import io
import json
import linecache
import os
import signal
import site
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

SCRIPT = "script.py"
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache")
_COMMON = ("/etc/localtime", "/etc/mime.types", "/usr/share/zoneinfo", "/usr/share/fonts", "/dev/urandom")
_OPEN_FILES = 64
_MB = 1 << 20


def main(report: int) -> None:
    plan = json.loads(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path = [*map(os.path.realpath, sys.path[:-1]), *plan["packages"]]  # the last led to this file
    layers = _shut_in(plan, report)
    with os.fdopen(report, "w") as file:
        json.dump(layers, file)
    if not (plan["unsandboxed"] or enough(layers)):
        os._exit(1)
    os.chdir(plan["workspace"])
    _become(plan["code"])


def enough(layers: dict[str, Any]) -> bool:
    """Whether no file outside, no network and no other process can be reached, and every limit holds."""
    holds = {name for name, (held, _) in layers.items() if held}
    return {"limits", "seccomp"} <= holds and bool({"landlock", "private root"} & holds)


def _shut_in(plan: dict[str, Any], report: int) -> dict[str, tuple[bool, str]]:
    """Put in force what this machine has of every layer: name -> whether it holds, and how or why not."""
    layers: dict[str, tuple[bool, str]] = {}

    def put(name: str, act: Callable[..., str], *arguments: Any) -> bool:
        try:
            if name not in plan["layers"]:
                raise OSError("switched off")
            layers[name] = True, act(*arguments)
        except (OSError, ValueError) as error:
            layers[name] = False, getattr(error, "strerror", None) or str(error)
        return layers[name][0]

    if sys.platform != "linux":
        put("limits", _limit, plan["limits"])
        return layers
    from . import landlock, linux, seccomp

    given = [*sys.path, f"{sys.base_prefix}/lib", *_LIBRARIES, *_COMMON, *plan["readable"]]
    readable = [path for path in given if os.path.exists(path)]
    if put("namespaces", linux.new_namespaces):
        put("private root", linux.new_root, plan["workspace"], [*readable, os.devnull])
    else:
        layers["private root"] = False, "it needs the namespaces"
    linux.give_up_privileges()
    linux.die_with_parent()
    if os.getppid() != plan["parent"]:
        os._exit(1)  # it died before the line above
    if child := os.fork():
        os.close(report)
        _end_as(child)
    linux.die_with_parent()
    os.closerange(3, report)
    os.closerange(report + 1, report + _OPEN_FILES)
    put("limits", _limit, plan["limits"])
    put("landlock", landlock.restrict, plan["workspace"], readable, [os.devnull])
    put("seccomp", seccomp.restrict)
    return layers


def _limit(limits: dict[str, int]) -> str:
    import resource

    for name, most in (("AS", limits["memory_mb"] * _MB), ("CPU", limits["cpu_seconds"]),
                       ("FSIZE", limits["file_mb"] * _MB), ("NOFILE", _OPEN_FILES), ("CORE", 0)):
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))
    return "memory, processor time, file size, open files"


def _end_as(child: int) -> NoReturn:
    """Wait for `child`, which SIGTERM ends, and end as it ended: when this process is gone, so is the script."""
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _become(code: str) -> None:
    module = types.ModuleType("__main__")
    module.__file__ = os.path.abspath(SCRIPT)
    sys.modules["__main__"], sys.argv = module, [SCRIPT]
    site.setquit()
    linecache.cache[SCRIPT] = (len(code), None, list(io.StringIO(code, newline=None)), SCRIPT)
    try:
        exec(compile(code, SCRIPT, "exec"), module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _tell(error)
        sys.exit(1)


def _tell(error: BaseException) -> None:
    """Print the traceback with the script's own lines only; what lies below them is not for its author."""
    told = traceback.TracebackException.from_exception(error, compact=True)
    each: traceback.TracebackException | None = told
    while each:
        each.stack = traceback.StackSummary.from_list([frame for frame in each.stack if frame.filename == SCRIPT])
        each = each.__cause__ or each.__context__
    print("".join(told.format()), end="", file=sys.stderr)

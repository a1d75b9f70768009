"""One small tree of errors. Each message says what happened, with which value, and what to do."""

import difflib
import errno
from collections.abc import Iterable


class AutorlError(Exception):
    """Anything autorl raises on purpose. `exit_code` is what the command line ends with."""

    exit_code = 5

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}. {remedy}" if remedy else what)


class UsageError(AutorlError):
    """The caller asked for something that cannot be."""

    exit_code = 2


class UnknownName(UsageError):
    """No tool, pack, model, format, prompt or run has that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str], remedy: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        guess = f"Did you mean '{near[0]}'? " if near else ""
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        kinds = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        listing = f"{kinds.capitalize()}: {shown}." if names else f"There is no {kind} yet."
        super().__init__(f"no {kind} named '{name}'", f"{guess}{listing} {remedy}".strip())


class MissingExtra(AutorlError):
    """A part that was not installed is needed."""

    exit_code = 2


class SystemRefused(AutorlError):
    """The operating system refused something, such as room on a disk or the right to write there."""

    @classmethod
    def of(cls, error: OSError) -> "SystemRefused":
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "Make room" if full else "Is it there, and may this user have it?"
        return cls(f"the system refused it: {error}", remedy)


class ModelUnavailable(AutorlError):
    """The model could not be reached or refused to answer."""

    exit_code = 4


class StoreUnavailable(AutorlError):
    """The replay store cannot be opened, read or written."""


class UnreadableRow(StoreUnavailable):
    """A row of the replay store does not fit its type. The others can be read."""


class ToolError(AutorlError):
    """Raised by a tool to tell the policy, in one line, what went wrong. It becomes an observation."""


class PolicyError(AutorlError):
    """A completion that cannot be acted on. The policy is told so, and the run goes on."""


class FormatError(PolicyError):
    """The completion holds no action in the expected form."""


class Truncated(PolicyError):
    """The completion stopped before its action was complete, or without a finish reason."""


class ContextOverflow(AutorlError):
    """The prompt is longer than the model's context, even after dropping exemplars and eliding observations."""

    exit_code = 2

"""One model on one server or several: which of them a request goes to, how many at once, and what if one is lost.

A run stays with the server that has its prompt cached; a new one goes to the server with the least to do. A server
that fails is left alone for a while and then tried with one request (the circuit breaker of Nygard's Release It!);
its runs go on elsewhere, or wait where there is no other. Nothing of a run is kept in a server, so nothing is lost.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from autorl.errors import ModelUnavailable
from autorl.models.base import Capabilities, Completion, Request
from autorl.models.concurrency import Gate
from autorl.models.openai import ATTEMPTS, OpenAIServer, Unanswered

PATIENCE = 180.0
"""Seconds without any answer, from a server that had answered before, after which its requests are given up."""
UNKNOWN = 4.0
"""The same for a server that has never answered: it may not be there at all."""
PAUSES = 0.5, 15.0
"""Seconds for which a server that failed is left alone: after its first failure, and at most; doubled in between."""
HOMES = 10_000
"""Runs whose server is remembered."""

S = TypeVar("S", bound=OpenAIServer)


@dataclass
class Member(Generic[S]):
    """One server of a pool, and how it stands.

    flying: requests under way, as many to each `server` that it has had; homes: runs that belong to it
    failures: in a row; until: left alone before that moment
    trial: whether one request is under way to see if it is back; answers: requests that it has answered
    turn: told when it may be given another
    """

    server: S
    turn: threading.Condition
    gate: Gate = field(default_factory=Gate)
    flying: Counter[S] = field(default_factory=Counter)
    homes: int = 0
    failures: int = 0
    until: float = 0.0
    trial: bool = False
    answers: int = 0

    def lives(self, now: float) -> bool:
        return self.failures == 0 or (now >= self.until and not self.trial)


class Pool(Generic[S]):
    """One model on `servers`, which try nothing twice themselves.

    patience: seconds that requests wait for a server that has been lost; now: the clock, in seconds
    """

    def __init__(self, servers: Sequence[S], *, patience: float = PATIENCE,
                 now: Callable[[], float] = time.monotonic) -> None:
        # One lock, and a queue for each server: with a thousand runs, to wake them all at every answer costs more
        # than the answer.
        self._lock = threading.Lock()
        self.members = tuple(Member(server, threading.Condition(self._lock)) for server in servers)
        self.capabilities: Capabilities = servers[0].capabilities
        self._patience = patience
        self._now = now
        self._homes: OrderedDict[str, Member[S]] = OrderedDict()
        self._last_answer = 0.0

    @property
    def name(self) -> str:
        return self.members[0].server.name

    @property
    def context_tokens(self) -> int | None:
        known = [tokens for m in self.members if (tokens := m.server.context_tokens) is not None]
        return min(known, default=None)

    def count(self, text: str) -> int:
        return self.members[0].server.count(text)

    def complete(self, request: Request) -> Completion:
        asked = self._now()
        answered = sum(member.answers for member in self.members)
        failed: Unanswered | None = None
        broken = 0
        while True:
            member, server = self._chosen(request.run, asked, failed)
            began = self._now()
            try:
                completion = server.complete(request)
            except Unanswered as error:
                self._failed(member, server, began, error)
                failed = error
                # A server that answers the others is not dead: then it is this request that breaks it.
                broken += error.status >= 500 and error.status != 503
                if broken >= ATTEMPTS and sum(m.answers for m in self.members) > answered:
                    raise
            except BaseException:
                # It answered, or it was the caller who stopped.
                self._done(member, server)
                raise
            else:
                self._done(member, server, began, completion)
                return replace(completion, policy=server.name)

    def hand_over(self, servers: Sequence[S]) -> None:
        """Give what is asked from now on to these, one for each; returns once nothing is under way at those before."""
        with self._lock:
            former = [member.server for member in self.members]
            for member, server in zip(self.members, servers, strict=True):
                member.server = server
            for member, server in zip(self.members, former, strict=True):
                while member.flying[server] and server is not member.server:
                    member.turn.wait(0.1)

    def _chosen(self, run: str, asked: float, failed: Unanswered | None) -> tuple[Member[S], S]:
        """The server that a request goes to now; waits until there is one. Raises `failed` once that takes too long."""
        with self._lock:
            while True:
                now = self._now()
                alive = [member for member in self.members if member.lives(now)]
                alive = [member for member in alive if now >= member.gate.until] or alive
                home = self._homes.get(run)
                if home in alive:
                    alive = [home]  # its turn will come: what it has cached is worth the wait
                free = [member for member in alive if member.gate.admits(member.flying.total(), now)]
                if free:
                    member = min(free, key=_load)
                    member.flying[member.server] += 1
                    member.trial = member.failures > 0
                    self._move(run, member)
                    return member, member.server
                self._give_up(now, asked, failed)
                moments = [moment for m in self.members for moment in (m.until, m.gate.until) if moment > now]
                wanted = min(alive or self.members, key=_load)
                # It is told when its turn comes at that server; whether another has become free, it has to look.
                look = 10.0 if len(self.members) == 1 else 1.0
                wanted.turn.wait(min([look, *(moment - now for moment in moments)]))

    def _give_up(self, now: float, asked: float, failed: Unanswered | None) -> None:
        if failed is None and all(member.failures == 0 for member in self.members):
            return  # only its turn to wait for
        patience = self._patience if self._last_answer else min(UNKNOWN, self._patience)
        since = max(asked, self._last_answer)
        soonest = min(max(m.until, m.gate.until) for m in self.members)
        if now - since < patience and soonest - since <= patience:
            return
        what = failed.what if failed else f"no server of '{self.name}' answers"
        raise ModelUnavailable(f"{what} (asked for {now - asked:.0f} s)",
                               "What is done so far is kept; go on when the server is back") from failed

    def _failed(self, member: Member[S], server: S, began: float, error: Unanswered) -> None:
        with self._lock:
            now = self._now()
            _landed(member, server)
            if error.status == 429:
                member.gate.refused(began, now, PAUSES[0] if error.wait is None else error.wait)
            elif began >= member.until or not member.failures:  # what was under way when it broke says it only once
                member.failures += 1
                pause = min(PAUSES[0] * 2 ** (member.failures - 1), PAUSES[1])
                member.until = now + (pause if error.wait is None else error.wait)
            member.turn.notify_all()

    def _done(self, member: Member[S], server: S, began: float = 0.0, completion: Completion | None = None) -> None:
        with self._lock:
            now = self._now()
            _landed(member, server)
            if completion is not None:
                member.failures, member.until = 0, 0.0
                member.answers += 1
                self._last_answer = now
                member.gate.answered(began, now, completion.usage.completion_tokens)
            member.turn.notify(max(1, int(member.gate.limit) - member.flying.total()))

    def _move(self, run: str, member: Member[S]) -> None:
        if not run:
            return
        with suppress(KeyError):
            self._homes.pop(run).homes -= 1
        self._homes[run] = member
        member.homes += 1
        if len(self._homes) > HOMES:
            self._homes.popitem(last=False)[1].homes -= 1


def _load(member: Member[S]) -> tuple[float, int]:
    return member.flying.total() / member.gate.limit, member.homes


def _landed(member: Member[S], server: S) -> None:
    member.trial = False
    member.flying[server] -= 1
    if not member.flying[server]:
        del member.flying[server]

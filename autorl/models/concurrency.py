"""How many requests a server is given at once: more while that makes it faster, fewer when it is too many.

A network tells that it is full by losing packets (Jacobson 1988); a model server queues instead. So the limit is found
by climbing: a step up is kept if the throughput grew by it, a step down if it did not fall, with rests in between. A
server that takes much longer than before is tried with fewer at once, and one that refuses gets half. Pure arithmetic
over a clock that is given; `Pool` waits.
"""

from dataclasses import dataclass, field

START, MOST = 64.0, 1024.0
"""Requests at once: to begin with, and at most."""
STEP = 1.25
"""Of the limit, up or down; it doubles until a step up is first taken back."""
GAIN = 1.05
"""A throughput that differs by less than this is the same."""
SLOWER = 1.5
"""Seconds a token, against those at the beginning of a rest, from which the server is tried with fewer at once."""
REST = 8
"""Windows for which the limit is left alone."""
WINDOW = 2
"""Answers in a window, for each request that the limit allows; half as many while it doubles."""


@dataclass
class _Window:
    """What was answered while the limit was the same. skip: answers to what was asked before it was"""

    began: float
    skip: int
    count: int = 0
    tokens: int = 0
    seconds: float = 0.0
    full: bool = False

    def add(self, began: float, now: float, tokens: int) -> None:
        self.count += 1
        self.tokens += max(1, tokens)
        self.seconds += now - began


@dataclass
class Gate:
    """The limit of one server. Not safe to share between threads without a lock.

    limit: requests at once; until: the moment before which the server wants no request
    """

    limit: float = START
    until: float = 0.0
    _window: _Window = field(default_factory=lambda: _Window(0.0, 0))
    _tried: tuple[float, float] | None = None  # the limit before the step that is being tried, and its throughput
    _up: bool = True  # the direction of that step, or of the next
    _doubling: bool = True
    _rest: int = 0
    _pace: float = 0.0
    _cut: float = 0.0

    def admits(self, flying: int, now: float) -> bool:
        """Whether the server may be given a request more, with `flying` under way."""
        if flying >= int(self.limit):
            self._window.full = True
        return flying < int(self.limit) and now >= self.until

    def answered(self, began: float, now: float, tokens: int) -> None:
        """A request from `began` was answered with so many tokens."""
        window = self._window
        if self._doubling:
            # By Little's law, so that the first to come back tell it: with the limit in use, that many answers come in
            # the time of one. A thousand runs would else wait for half a minute until a slow server has them all.
            if began >= window.began:
                window.add(began, now, tokens)
                if window.count >= WINDOW * int(self.limit) // 2 and window.seconds > 0:
                    self._close(window, self.limit * window.tokens / window.seconds, now)
            return
        if window.skip > 0:
            window.skip -= 1
            if window.skip == 0:
                self._window = _Window(now, 0)
            return
        window.began = window.began or began
        window.add(began, now, tokens)
        if window.count >= WINDOW * self.limit and now > window.began:
            self._close(window, window.tokens / (now - window.began), now)

    def refused(self, began: float, now: float, wait: float) -> None:
        """A request from `began` was refused as one too many; the server wants none for `wait` seconds."""
        self.until = max(self.until, now + wait)
        if began >= self._cut:  # what was under way at the last cut tells nothing new
            self._cut, self._doubling = now, False
            self._settle(self.limit / 2, now)

    def _close(self, window: _Window, rate: float, now: float) -> None:
        """Decide on the limit at the end of a window."""
        pace = window.seconds / window.tokens
        if not window.full:  # the limit was not what held the requests back
            self._window = _Window(now, 0)
        elif self._tried:
            limit, before = self._tried
            if rate >= before * GAIN if self._up else rate * GAIN >= before:
                # On the way down, against the best: many steps that each cost little would cost much together.
                self._step(rate if self._up else max(rate, before), now)
            else:
                self._doubling = False
                self._up = not self._up
                self._settle(limit, now)
        elif self._rest > 0 and not (self._pace and pace > SLOWER * self._pace):
            self._rest -= 1
            self._pace = self._pace or pace
            self._window = _Window(now, 0)
        else:
            self._up = self._up and self._rest == 0
            self._step(rate, now)

    def _step(self, rate: float, now: float) -> None:
        self._tried = self.limit, rate
        step = 2 if self._doubling else STEP
        self._change(self.limit * step + 0.5 if self._up else self.limit / step, now)

    def _settle(self, limit: float, now: float) -> None:
        self._tried, self._rest, self._pace = None, REST, 0.0
        self._change(limit, now)

    def _change(self, limit: float, now: float) -> None:
        old, self.limit = self.limit, min(MOST, max(1.0, limit))
        self._window = _Window(now, int(min(old, self.limit)))

"""Tries, waits and the pace of requests: what a source asks for is honoured, and no source is asked for ever."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import numpy as np
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tqdm import tqdm

from sizewise.base.errors import DownloadError
from sizewise.base.seeding import numpy_generator

T = TypeVar("T")


class Passing(Exception):
    """A fault that another try may not meet.

    wait_s: seconds that the source asks to wait before the next try; None if it does not say.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait_s = reason, wait_s


def say_beside_progress(sentence: str) -> None:
    """A line on standard error that leaves a progress bar whole."""
    tqdm.write(sentence, file=sys.stderr)


@dataclass
class Patience:
    """How often and how fast a source is asked.

    tries: of one request, all together.
    first_wait_s: before the second try; it doubles with each, up to longest_wait_s, and a share of 0.5 to 1 of it is
        waited, so that many who were refused together do not come back together.
    longest_asked_s: the longest wait asked for by a source that is waited out.
    pause_s: least time from the start of one request to that of the next.
    generator: draws the shares.
    """

    tries: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    longest_asked_s: float = 600.0
    pause_s: float = 0.1
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], object] = say_beside_progress
    generator: np.random.Generator = field(default_factory=lambda: numpy_generator("download"))
    _last_s: float | None = None

    def ask(self, call: Callable[[], T], what: str) -> T:
        """The answer of `call`, tried again while it raises Passing.

        Args:
            what: what is asked for, to begin a message with.
        Raises:
            DownloadError: every try failed, or the source asks for a longer wait than `longest_asked_s`.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.tries),
            wait=lambda state: self._wait_s(state, what),
            retry=retry_if_exception_type(Passing),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(self._paced, call, what)
        except Passing as fault:
            raise DownloadError(
                f"{what}: {fault.reason} ({self.tries} tries): give the same command again later, it goes on from here"
            ) from None

    def _paced(self, call: Callable[[], T], what: str) -> T:
        if self._last_s is not None:
            early_s = self._last_s + self.pause_s - self.clock()
            if early_s > 0:
                self.sleep(early_s)
        self._last_s = self.clock()
        try:
            return call()
        except Passing as fault:
            if fault.wait_s is not None and fault.wait_s > self.longest_asked_s:
                raise DownloadError(
                    f"{what}: {fault.reason}, and the source asks to wait {fault.wait_s:.0f} s: give the same command "
                    "again after that, it goes on from here"
                ) from None
            raise

    def _wait_s(self, state: RetryCallState, what: str) -> float:
        fault = state.outcome.exception() if state.outcome else None
        wait_s = min(self.longest_wait_s, self.first_wait_s * 2.0 ** (state.attempt_number - 1))
        wait_s *= float(self.generator.uniform(0.5, 1.0))
        reason = ""
        if isinstance(fault, Passing):
            reason = fault.reason
            wait_s = wait_s if fault.wait_s is None else fault.wait_s
        self.say(f"{what}: {reason}; next try in {wait_s:.1f} s")
        return wait_s


def asked_wait_s(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, which holds them or a date; None if it holds neither (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())

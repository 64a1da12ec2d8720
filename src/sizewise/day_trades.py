"""The pattern-day-trader rule, batched: at most three day trades in five sessions for accounts below $25,000.

A day trade is a closing fill on the day of an opening one; further closings count again only after another opening. The
rule never stops anyone from closing: it refuses openings when no day trade is left.
Source: FINRA rule 4210(f)(8)(B).
"""

from typing import NamedTuple

import torch

SMALL_ACCOUNT = 25_000.0
ALLOWED = 3
WINDOW_SESSIONS = 5


class DayTrades(NamedTuple):
    """Of each instrument and account: sessions of its last four day trades [4, I, *accounts], the session it is in, and
    whether something opened in it that no closing has met; float64 and bool."""

    sessions: torch.Tensor
    session: torch.Tensor
    opened: torch.Tensor

    @classmethod
    def none(cls, shape: tuple[int, ...], device: torch.device | str) -> "DayTrades":
        """Nothing traded yet."""
        never = torch.full((ALLOWED + 1, *shape), -1e9, dtype=torch.float64, device=device)
        session = torch.full(shape, -1.0, dtype=torch.float64, device=device)
        return cls(never, session, torch.zeros(shape, dtype=torch.bool, device=device))

    def at(self, session: torch.Tensor) -> "DayTrades":
        """In `session`; what was opened in an earlier one is no longer of the day."""
        now = session.expand(self.session.shape)
        return DayTrades(self.sessions, now, self.opened & (self.session == now))

    def left(self) -> torch.Tensor:
        """Day trades still allowed in this session, int64."""
        recent = self.session - self.sessions < WINDOW_SESSIONS
        return (ALLOWED - recent.sum(0)).clamp(min=0)

    def after_opening(self, units: torch.Tensor) -> "DayTrades":
        return self._replace(opened=self.opened | units.bool())

    def after_closing(self, units: torch.Tensor) -> "DayTrades":
        counted = units.bool() & self.opened
        shifted = torch.cat([self.session.unsqueeze(0), self.sessions[:-1]])
        return DayTrades(torch.where(counted, shifted, self.sessions), self.session, self.opened & ~counted)

"""What every arm trades in: an account, the rules of its venue, and the clock of its decisions."""

from dataclasses import dataclass, field
from typing import Any

from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules


@dataclass(frozen=True)
class World:
    """The sections `account`, `rules` and `decisions`."""

    account: Account = field(default_factory=Account)
    rules: Rules = field(default_factory=lambda: Rules(rounding=False))
    decisions: Decisions = field(default_factory=Decisions)

    @classmethod
    def of(cls, params: Any) -> "World":
        """That of a stage's parameters."""
        return cls(params.account, params.rules, params.decisions)

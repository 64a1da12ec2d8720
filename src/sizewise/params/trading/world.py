"""What every arm trades in: an account, the rules of its venue, and the clock of its decisions."""

from dataclasses import dataclass
from typing import Any

from sizewise.params.trading.account import Account
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.trading import Rules


@dataclass(frozen=True)
class World:
    """The sections `account`, `rules` and `decisions`."""

    account: Account = Account()
    rules: Rules = Rules(rounding=False)
    decisions: Decisions = Decisions()

    @classmethod
    def of(cls, params: Any) -> "World":
        """That of a stage's parameters."""
        return cls(params.account, params.rules, params.decisions)

"""The section `small_account`: the $1,000 account of reference design A, to the letter."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from sizewise.params.fields import Count, Section, as_tuple
from sizewise.params.trading.account import Account


class SmallAccount(Section):
    """A candidate with seven actions in the small account, and what accounts of other sizes grow to.

    Attributes:
        account: design A's: $1,000, a buffer of 30%, 15% of what is left an order, 20% at most. reference: the rule that the
            candidate is compared with; nothing of it is trained or fitted.
        seeds, iterations: of the candidate, instead of those of `train`.
        symbols: of the curve over `initial_equities`, quote currency. least_spread_bps: growth a day must differ by more
            than this between two sizes of account, or the venue's minimums, lots and limits bind nobody.
    """

    account: Account = Account()
    reference: str
    seeds: Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    iterations: Count
    symbols: Annotated[tuple[str, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    initial_equities: Annotated[tuple[float, ...], BeforeValidator(as_tuple), Field(min_length=2)]
    least_spread_bps: Annotated[float, Field(ge=0.0)] = 1e-4

"""Sizes that are fitted on a checkout's train slices or drawn, read on another market than the one they were fitted on."""

from functools import partial
from typing import Any

import numpy as np
import torch

from sizewise.base.errors import CheckpointError
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold
from sizewise.params.arms import AtrArm
from sizewise.params.trading.account import Account
from sizewise.sizing.fitted import Paths, fitted_sizer, kelly_shares, match_exposure
from sizewise.sizing.sizers import HeldSizer, Situation, Sizer, atr_size
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import PathKey


def kelly(arm: Any, train: Market, fold: Fold, market: Market, key: PathKey, account: Account) -> Sizer:
    """The growth-optimal shares of a fold's train trades, by the regime of each entry; see sizing.fitted.

    Args:
        train: the checkout's market, on which `fold` is cut. market, key: the path that is walked.
    Raises:
        CheckpointError: the fold does not train on the symbol.
    """
    if key.symbol not in fold.train:
        raise CheckpointError(
            f"arm {key.arm}: fold {fold.number} does not train on symbol '{key.symbol}' (it knows "
            f"{', '.join(sorted(fold.train))}): name one of these, or another fold"
        )
    limit = position_limit_frac(account)
    shares = kelly_shares(train, {key.symbol: fold.train[key.symbol]}, arm, limit)
    by_code = torch.tensor([shares[key.symbol, label][2] for label in LABELS], dtype=torch.float64)

    def size(at: Situation) -> torch.Tensor:
        return by_code[market.regime[at.rows].long()]

    return HeldSizer(size, limit)


def matched(arm: Any, train: Market, fold: Fold, exposure: float, account: Account) -> Sizer:
    """ATR sizes times the factor at which they carry `exposure` on a fold's train slices; see sizing.fitted."""
    limit = position_limit_frac(account)
    factor = match_exposure(train, fold.train, arm, exposure, limit).factor
    raw = partial(atr_size, AtrArm(kind="atr", risk_frac=arm.risk_frac, stop_atr=arm.stop_atr))
    return HeldSizer(lambda at: factor * raw(at), limit)


def placebo(arm: Any, fold: Fold, market: Market, key: PathKey, account: Account) -> Sizer:
    """The sizes that the arm draws for the entries of its path, one after the other."""
    rows = ([key.fold], [0], [key.seed], [key.start_row], [key.length])
    paths = Paths(*(np.array(values, dtype=np.int64) for values in rows))
    return fitted_sizer(key.arm, arm, market, paths, [fold], account)

"""Sizes that are fitted on a checkout's train slices or drawn, read on another market than the one they were fitted on."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.errors import CheckpointError
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.splits import Fold
from sizewise.params.arms import AtrArm
from sizewise.params.trading.account import Account
from sizewise.sizing.fits import FITS, Stretch
from sizewise.sizing.fitted import FittedSizer, Paths, fitted_sizer, match_exposure
from sizewise.sizing.sizers import HeldSizer, Sizer, atr_size
from sizewise.trading.schemes.values import position_limit_frac
from sizewise.walkforward.walk import PathKey


def by_symbol(arm: Any, train: Market, fold: Fold, market: Market, key: PathKey, account: Account) -> Sizer:
    """What a fold's train slices taught of the symbol; see sizing.fits.

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
    taught = FITS[arm.kind](arm, train, fold, limit)[key.symbol]
    stretch = Stretch(market, key.symbol, key.start_row, key.start_row + key.length, key.confidence_column)
    off = getattr(arm, "resize_off_frac", None)
    return FittedSizer(_path(key), [taught.sizes(stretch)], limit, pd.DataFrame(taught.rows), off)


def matched(arm: Any, train: Market, fold: Fold, exposure: float, account: Account) -> Sizer:
    """ATR sizes times the factor at which they carry `exposure` on a fold's train slices; see sizing.fitted."""
    limit = position_limit_frac(account)
    factor = match_exposure(train, fold.train, arm, exposure, limit).factor
    raw = partial(atr_size, AtrArm(kind="atr", risk_frac=arm.risk_frac, stop_atr=arm.stop_atr))
    return HeldSizer(lambda at: factor * raw(at), limit)


def placebo(arm: Any, fold: Fold, market: Market, key: PathKey, account: Account) -> Sizer:
    """The sizes that the arm draws for the entries of its path, one after the other."""
    return fitted_sizer(key.arm, arm, market, _path(key), [fold], account)


def _path(key: PathKey) -> Paths:
    """The one path of a market of one symbol."""
    rows = ([key.fold], [0], [key.seed], [key.start_row], [key.length])
    return Paths(*(np.array(values, dtype=np.int64) for values in rows))

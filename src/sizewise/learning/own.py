"""Learners of one's own: what each learned from a fold's train trades, kept on disk, and its sizes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file, save_file

from sizewise.base.errors import ConfigError
from sizewise.base.paths import require, write_atomically
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold
from sizewise.learning.stored import policy_folder, reading
from sizewise.params.arms import Arm, CustomArm
from sizewise.params.reading import place_of
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.own import Learner, open_own
from sizewise.sizing.sizers import Situation, Size

FILE = "learned.safetensors"


def train_trades(market: Market, fold: Fold) -> pd.DataFrame:
    """The finished trades of a fold's train slices; see own.Learner.learn for the columns.

    Args:
        market: float64, on the CPU.
    """
    found = find_opportunities(market, fold.train)
    rows = torch.from_numpy(found.entry_row)

    def at(values: torch.Tensor) -> np.ndarray:
        return values[rows].double().numpy()

    return pd.DataFrame(
        {
            "symbol": np.array(market.symbols, dtype=object)[found.symbol],
            "side": found.side,
            "confidence": at(fold_confidence(market, fold)),
            "atr_frac": at(market.atr_frac),
            "annual_vol": at(market.annual_vol),
            "regime": np.array(LABELS, dtype=object)[found.regime],
            "unit_return": found.unit_return,
            "price_return": found.price_return,
            "worst": found.worst,
            "best": found.best,
            "hours": found.hours,
        }
    )


def learn_own(
    market: Market, arms: Mapping[str, Arm], folds: Mapping[str, Sequence[Fold]], seeds: Sequence[int], policies: Path
) -> pd.DataFrame:
    """Train and keep every learner of one's own on its schemes.

    Returns:
        one row a part: arm, scheme, fold, seed, n_trades, n_numbers learned; no rows where there is no such arm.
    Raises:
        ConfigError: a class that cannot be opened, or that learned something else than named finite arrays.
    """
    exact, rows = market.to("cpu", torch.float64), []
    for name, arm in arms.items():
        if not (isinstance(arm, CustomArm) and arm.splits):
            continue
        learner: Any = open_own(name, arm)
        for fold in (fold for scheme in arm.splits for fold in folds[scheme]):
            trades = train_trades(exact, fold)
            for seed in arm.seeds_on(fold.scheme, seeds):
                arrays = _arrays(name, arm, learner.learn(trades.copy(), seed))
                path = policy_folder(policies, name, fold, seed) / FILE
                write_atomically(path, lambda place, arrays=arrays: save_file(arrays, place))  # type: ignore[misc]
                numbers = sum(array.size for array in arrays.values())
                where = {"arm": name, "scheme": fold.scheme, "fold": fold.number, "seed": seed}
                rows.append({**where, "n_trades": len(trades), "n_numbers": numbers})
    return pd.DataFrame(rows)


def _arrays(name: str, arm: CustomArm, learned: object) -> dict[str, np.ndarray]:
    place = f"{place_of('arms', name)}: {arm.class_} learned"
    if not isinstance(learned, dict) or not all(isinstance(key, str) for key in learned):
        raise ConfigError(f"{place} a {type(learned).__name__}: return a dict of named arrays")
    arrays = {key: np.array(value, order="C") for key, value in learned.items()}
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
            raise ConfigError(f"{place} '{key}', which holds more than finite numbers: return those alone")
    return arrays


def load_own(policies: Path, name: str, fold: Fold, seed: int) -> dict[str, np.ndarray]:
    """What a learner of one's own learned for a fold and seed.

    Raises:
        DataMissingError: it was not trained. CheckpointError: the file is damaged.
    """
    path = policy_folder(policies, name, fold, seed) / FILE
    require(path, f"arm {name} has no part for {path.parent.name}: run `dvc repro train`")
    with reading(f"policy '{path.parent.name}' of arm {name}", FILE):
        return dict(load_file(path))


def member_size(learner: Learner, members: Sequence[dict[str, np.ndarray]], of_path: Sequence[int]) -> Size:
    """Each path sized by what was learned for its own fold and seed."""
    index = torch.tensor(of_path)
    parts = [(torch.nonzero(index == number).flatten(), learned) for number, learned in enumerate(members)]

    def size(at: Situation) -> torch.Tensor:
        sizes = torch.zeros_like(at.equity)
        for paths, learned in parts:
            if len(paths):
                sizes[paths] = torch.as_tensor(learner.size(at.pick(paths), learned)).to(sizes.dtype)
        return sizes

    return size

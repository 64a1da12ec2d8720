"""A learner of one's own learns from each fold's train trades, once a seed, and sizes its own paths."""

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import CheckpointError, ConfigError, DataMissingError
from sizewise.learning import own
from sizewise.learning.stored import policy_folder
from sizewise.params.arms import ConstantArm, CustomArm
from sizewise.params.trading.world import World
from sizewise.sizing.own import Learner
from sizewise.sizing.sizers import Situation
from sizewise.walkforward.field import Field

ARM = CustomArm.model_validate({"kind": "custom", "class": "own/x.py:Share", "splits": ("rolling",)})


class Share(Learner):
    """The share of trades that gained, more or less by the seed."""

    worth: float = 0.1

    def learn(self, trades: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
        return {"share": self.worth * np.array((trades["unit_return"] > 0).mean()) / seed}

    def size(self, at: Situation, learned: dict[str, np.ndarray]) -> torch.Tensor:
        return torch.full_like(at.equity, float(learned["share"]))


@pytest.fixture
def opened(monkeypatch):
    """Arms of this file's class, whatever their path."""
    for module in ("sizewise.learning.own", "sizewise.walkforward.openers"):
        monkeypatch.setattr(f"{module}.open_own", lambda name, arm: Share(**arm.own))


def test_train_trades_are_those_of_the_train_slices(quick):
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    trades = own.train_trades(market, fold)
    assert set(trades["symbol"]) == set(fold.train)
    assert trades.notna().all().all()
    assert trades["side"].isin([-1.0, 1.0]).all()


def test_it_is_trained_kept_and_walked(quick, opened, tmp_path):
    market, fold = quick.market.to("cpu", torch.float64), quick.folds["rolling"][0]
    arms = {"mine": ARM, "constant": ConstantArm(kind="constant", size_frac=0.1)}
    rows = own.learn_own(quick.market, arms, {"rolling": [fold]}, (1, 2), tmp_path)
    assert rows[["arm", "scheme", "fold", "seed"]].to_numpy().tolist() == [["mine", "rolling", 0, s] for s in (1, 2)]
    gained = (own.train_trades(market, fold)["unit_return"] > 0).mean()
    p = quick.params
    run = Field(market, [fold], arms, (1, 2), World.of(p), p.outcome, tmp_path).walk("mine")
    share = run.ledger.position.abs() / run.ledger.equity
    for path, key in enumerate(run.keys):
        held = share[:, path][share[:, path] > 0]
        assert float(held[0]) == pytest.approx(0.1 * gained / key.seed, rel=0.05)


def test_a_part_that_is_missing_or_damaged_is_refused(quick, opened, tmp_path):
    fold = quick.folds["rolling"][0]
    with pytest.raises(DataMissingError, match="arm mine has no part for rolling_fold0_seed1: run `dvc repro train`"):
        own.load_own(tmp_path, "mine", fold, 1)
    own.learn_own(quick.market, {"mine": ARM}, {"rolling": [fold]}, (1,), tmp_path)
    path = policy_folder(tmp_path, "mine", fold, 1) / own.FILE
    path.write_bytes(path.read_bytes()[:5])
    with pytest.raises(CheckpointError, match="of arm mine is damaged"):
        own.load_own(tmp_path, "mine", fold, 1)


@pytest.mark.parametrize(
    ("learned", "said"),
    [
        (0.5, "learned a float: return a dict of named arrays"),
        ({1: np.ones(2)}, "learned a dict: return a dict of named arrays"),
        ({"a": np.array([1.0, np.nan])}, "learned 'a', which holds more than finite numbers"),
        ({"a": np.array(["x"])}, "learned 'a', which holds more than finite numbers"),
    ],
)
def test_what_is_no_dict_of_finite_arrays_is_refused(quick, opened, tmp_path, monkeypatch, learned, said):
    monkeypatch.setattr(Share, "learn", lambda self, trades, seed: learned)
    with pytest.raises(ConfigError, match=said):
        own.learn_own(quick.market, {"mine": ARM}, {"rolling": [quick.folds["rolling"][0]]}, (1,), tmp_path)

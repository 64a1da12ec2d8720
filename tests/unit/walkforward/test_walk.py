"""Paths over test slices, each with its own fold's confidence and policy, and the files that hold their ledgers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.regimes import LABELS
from sizewise.ledgers import daily, files, metrics
from sizewise.ledgers.columns import EQUITY_COLUMNS, TRADE_COLUMNS
from sizewise.ledgers.files import GROUP_ROWS, LedgerWriter, read_equity, read_trades
from sizewise.ledgers.weights import assets_of
from sizewise.params.arms import AtrArm, ConstantArm
from sizewise.params.trading.world import World
from sizewise.sizing.sizers import AT_MARKET
from sizewise.trading.broker.orders import Orders
from sizewise.walkforward.frames import frames
from sizewise.walkforward.walk import RULE_SEED, paths_of, run_policies, run_rule, walk


@pytest.fixture(scope="module")
def market(quick):
    return quick.market.to("cpu", torch.float64)


@pytest.fixture(scope="module")
def folds(quick):
    return quick.folds["rolling"]


def test_a_path_a_fold_symbol_and_seed(market, folds):
    keys = paths_of("mine", folds, [1, 2], market)
    assert len(keys) == len(set(keys)) == sum(len(fold.test) for fold in folds) * 2
    for key in keys:
        fold = folds[key.fold]
        start, stop = market.rows(key.symbol, fold.test[key.symbol])
        assert (key.start_row, key.length) == (start, stop - start)
        assert key.confidence_column == confidence_column(fold)


class Watched:
    """A sizer that never trades and remembers the confidence it was shown."""

    uses = AT_MARKET

    def __init__(self):
        self.seen = []

    def orders(self, decision):
        self.seen.append((decision.rows, decision.confidence))
        return Orders()


def test_each_path_reads_the_confidence_of_its_own_fold(market, folds):
    keys = paths_of("mine", folds, [RULE_SEED], market)
    sizer = Watched()
    walk(market, keys, sizer, World())
    rows, confidence = sizer.seen[5]
    for path, key in enumerate(keys):
        own = market.confidence[key.confidence_column][rows[path]]
        assert float(confidence[path]) == pytest.approx(float(own))
    # Folds claim different things of the same bar, so that a path with another's column would be seen.
    columns = [market.confidence[key.confidence_column] for key in keys]
    assert not torch.equal(columns[0], columns[-1])


def test_a_rule_walks_once_whatever_the_seeds(market, folds):
    run = run_rule(market, "atr", AtrArm(kind="atr"), folds, World())
    assert {key.seed for key in run.keys} == {RULE_SEED}
    assert run.ledger.equity.shape[1] == len(run.keys)


def test_each_path_is_traded_by_the_policy_of_its_fold_and_seed(quick, market, folds):
    trained = quick.train_together([quick.job("masked", seed=seed) for seed in (1, 2)])
    agents = {(0, seed): one.agent for seed, one in zip((1, 2), trained, strict=True)}
    account = World()
    together = run_policies(market, "ppo", folds[:1], agents, [1, 2], account)
    for path, key in enumerate(together.keys):
        mine = {(0, key.seed): agents[0, key.seed]}
        alone = run_policies(market, "ppo", folds[:1], mine, [key.seed], account)
        place = next(p for p, other in enumerate(alone.keys) if other == key)
        torch.testing.assert_close(
            together.ledger.equity[: key.length, path], alone.ledger.equity[: key.length, place], rtol=1e-12, atol=0
        )
    with pytest.raises(DataMissingError, match=r"arm ppo: no policy for fold 0, seed 3: run `dvc repro train`"):
        run_policies(market, "ppo", folds[:1], agents, [1, 2, 3], account)


# Files.


def test_missing_ledgers_are_named(tmp_path):
    with pytest.raises(
        DataMissingError, match=r"equity\.parquet is missing from artifacts/ledger: run `dvc repro walk"
    ):
        read_equity(tmp_path)
    with pytest.raises(DataMissingError, match=r"trades\.parquet is missing"):
        read_trades(tmp_path)


def test_what_is_written_is_read(quick, market, folds, tmp_path):
    writer, written = LedgerWriter(tmp_path), []
    for name, arm in (
        ("atr", AtrArm(kind="atr")),
        ("still", ConstantArm(kind="constant", size_frac=0.0)),
    ):
        run = run_rule(market, name, arm, folds[:1], World())
        for equity, trades in frames(run, market, stop_atr=1.5):
            writer.add(equity, trades)
            written.append((equity, trades))
    assert list(tmp_path.iterdir()) == []
    writer.close()
    equity, trades = read_equity(tmp_path), read_trades(tmp_path)
    assert list(equity.columns) == list(EQUITY_COLUMNS)
    assert list(equity["arm"].cat.categories) == ["atr", "still"]
    assert list(equity["regime"].cat.categories) == list(LABELS)
    plain = pd.concat([part for part, _ in written], ignore_index=True)
    np.testing.assert_array_equal(equity["equity"], plain["equity"])
    pd.testing.assert_frame_equal(daily.read_daily(tmp_path), daily.day_rows(equity), check_categorical=False)
    assert len(trades) == sum(len(part) for _, part in written) > 10
    assert set(trades["arm"]) == {"atr"}
    some = read_equity(tmp_path, columns=("arm", "equity"), arms=["still"])
    assert list(some.columns) == ["arm", "equity"]
    assert set(some["arm"]) == {"still"}


def test_ledgers_know_the_assets_of_their_market(market, folds, tmp_path):
    names = dict.fromkeys(market.symbols, "one")
    known = replace(market, assets=names)
    writer = LedgerWriter(tmp_path)
    for equity, trades in frames(run_rule(known, "atr", AtrArm(kind="atr"), folds[:1], World()), known, stop_atr=1.5):
        writer.add(equity, trades)
    writer.close()
    days = daily.read_daily(tmp_path, ["atr"])
    bars = read_equity(tmp_path, columns=("symbol", "fold", "seed", "timestamp", "equity"), arms=["atr"])
    for frame in (bars, days, daily.marks(days, "atr"), daily.daily_returns(days, "atr"), metrics.daily_returns(bars)):
        assert assets_of(frame) == names


def test_a_ledger_without_a_trade_has_its_columns(quick, market, folds, tmp_path):
    run = run_rule(market, "still", ConstantArm(kind="constant", size_frac=0.0), folds[:1], World())
    writer = LedgerWriter(tmp_path)
    for equity, trades in frames(run, market, stop_atr=1.5):
        writer.add(equity, trades)
    writer.close()
    assert read_trades(tmp_path).empty
    assert list(read_trades(tmp_path).columns) == list(TRADE_COLUMNS)


def test_a_file_written_in_groups_is_the_same_ledger(quick, market, folds, tmp_path, monkeypatch):
    for rows, folder in ((GROUP_ROWS, "whole"), (1500, "groups")):
        monkeypatch.setattr(files, "GROUP_ROWS", rows)
        writer = LedgerWriter(tmp_path / folder)
        for name in ("first", "second"):
            run = run_rule(market, name, AtrArm(kind="atr"), folds, World())
            for equity, trades in frames(run, market, stop_atr=1.5):
                writer.add(equity, trades)
        writer.close()
    assert pq.ParquetFile(tmp_path / "groups" / "equity.parquet").num_row_groups > 2
    for read in (read_equity, daily.read_daily):
        pd.testing.assert_frame_equal(read(tmp_path / "groups"), read(tmp_path / "whole"))
    assert list(read_equity(tmp_path / "groups")["arm"].cat.categories) == ["first", "second"]


def test_a_ledger_without_a_path_is_refused(tmp_path):
    with pytest.raises(LedgerError, match=r"equity\.parquet would have no rows: walk at least one path"):
        LedgerWriter(tmp_path).close()
    assert list(tmp_path.iterdir()) == []

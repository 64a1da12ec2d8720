"""Arms fitted to slices: exposure matched on train, Kelly by brute force, the placebo's draws, the oracle's hindsight."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.confidence import confidence_column
from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold, Slice
from sizewise.params.arms import AtrArm, AtrMatchedArm, ConstantArm, KellyArm, OracleArm, RandomPlaceboArm
from sizewise.params.trading.account import Account
from sizewise.sizing.fits import kelly_share, kelly_shares
from sizewise.sizing.fitted import (
    FittedSizer,
    Match,
    Paths,
    fitted_sizer,
    match_exposure,
    mean_exposure,
    walked_trades,
)
from sizewise.sizing.opportunities import find_opportunities
from sizewise.sizing.sizers import Sizer, rule_sizer
from sizewise.sizing.walks import backtest
from sizewise.walkforward.frames import trades_frame
from sizewise.walkforward.walk import PathKey

from ...hand_market import make_market, priced, remade

ACCOUNT = Account()
LIMIT = 0.20
MATCHED = AtrMatchedArm(kind="atr_exposure_matched", matches="ppo")
KELLY = KellyArm(kind="kelly", kappa=0.5, min_trades=5, by_regime=True)
PLACEBO = RandomPlaceboArm(kind="random_placebo")
ORACLE = OracleArm(kind="oracle_hindsight")


def paths_of(market: Market, folds, part: str, seeds=(0,)) -> Paths:
    rows = [
        (fold.number, market.symbols.index(symbol), seed, *market.rows(symbol, piece))
        for fold in folds
        for symbol, piece in getattr(fold, part).items()
        for seed in seeds
    ]
    fold, symbol, seed, start, stop = np.array(rows).T
    return Paths(fold, symbol, seed, start, stop - start)


def walk(market: Market, paths: Paths, sizer: Sizer) -> backtest.PathLedger:
    starts, lengths = torch.from_numpy(paths.start_row), torch.from_numpy(paths.length)
    none = torch.zeros(len(starts), dtype=torch.int64)
    return backtest.run(market, starts, lengths, torch.zeros((1, len(market.close))), none, sizer, ACCOUNT, record=True)


@pytest.fixture(scope="module")
def world(quick) -> tuple[Market, tuple[Fold, ...]]:
    """Real bars; of each train slice its last 1,000, so that walks over it are short."""
    folds = [
        replace(fold, train={symbol: Slice(part.stop - 1000, part.stop) for symbol, part in fold.train.items()})
        for fold in quick.folds["rolling"]
    ]
    return quick.market.to("cpu", torch.float64), tuple(folds)


# Exposure-matched ATR.


@pytest.mark.parametrize("target", [0.004, 0.03, 0.08])
def test_the_matched_exposure_is_what_a_walk_over_train_carries(world, target):
    market, folds = world
    matched = match_exposure(market, folds[0].train, MATCHED, target, LIMIT)
    assert matched.reached
    assert matched.exposure == pytest.approx(target, rel=1e-10)
    paths = paths_of(market, folds[:1], "train")
    sizer = fitted_sizer("matched", MATCHED, market, paths, folds, ACCOUNT, train_exposure={0: target})
    assert mean_exposure(walk(market, paths, sizer)) == pytest.approx(target, rel=1e-6)
    assert sizer.fit.loc[0, "factor"] == matched.factor


def test_the_cap_makes_exposure_less_than_proportional(world):
    market, folds = world
    small, large = (match_exposure(market, folds[0].train, MATCHED, share, LIMIT) for share in (0.004, 0.12))
    assert large.factor / small.factor > 1.05 * 30


def test_a_target_above_the_cap_takes_the_nearest_and_says_so(world):
    market, folds = world
    matched = match_exposure(market, folds[0].train, MATCHED, 0.9, LIMIT)
    assert not matched.reached
    assert 0.1 < matched.exposure < LIMIT
    paths = paths_of(market, folds[:1], "train")
    sizer = fitted_sizer("matched", MATCHED, market, paths, folds, ACCOUNT, train_exposure={0: 0.9})
    full = rule_sizer(ConstantArm(kind="constant", size_frac=1.0), ACCOUNT)
    assert mean_exposure(walk(market, paths, sizer)) == pytest.approx(mean_exposure(walk(market, paths, full)))
    assert not sizer.fit.loc[0, "reached"]


def test_a_factor_of_one_is_the_atr_arm(world):
    market, folds = world
    paths = paths_of(market, folds[:1], "train")
    plain = walk(market, paths, rule_sizer(AtrArm(kind="atr", risk_frac=0.0005), ACCOUNT))
    arm = MATCHED.model_copy(update={"risk_frac": 0.0005})
    matched = match_exposure(market, folds[0].train, arm, mean_exposure(plain), LIMIT)
    assert matched.factor == pytest.approx(1.0, rel=1e-9)


def test_matching_nothing(world):
    market, folds = world
    assert match_exposure(market, folds[0].train, MATCHED, 0.0, LIMIT) == Match(0.0, 0.0, True)
    still = make_market(50, direction=np.zeros(50, dtype=np.int8))
    train = {"S0": Slice(0, 50)}
    assert match_exposure(still, train, MATCHED, 0.0, LIMIT) == Match(0.0, 0.0, True)
    assert match_exposure(still, train, MATCHED, 0.1, LIMIT) == Match(0.0, 0.0, False)


@pytest.mark.parametrize("target", [-0.01, float("nan")])
def test_no_exposure_is_refused(world, target):
    with pytest.raises(ConfigError, match="cannot be matched: pass the mean"):
        match_exposure(world[0], world[1][0].train, MATCHED, target, LIMIT)


def test_an_exposure_of_each_fold_is_needed(world):
    market, folds = world
    paths = paths_of(market, folds, "test")
    with pytest.raises(ConfigError, match="exposure of ppo on the train slices of fold 1 is missing"):
        fitted_sizer("matched", MATCHED, market, paths, folds, ACCOUNT, train_exposure={0: 0.05})


# Kelly.


@pytest.mark.parametrize(("win", "odds"), [(0.55, 1.0), (0.4, 2.0)])
def test_kelly_of_a_binary_bet(win, odds):
    # p - (1 - p) / b: both bets have a growth-optimal size of 10%.
    bets = np.repeat([odds, -1.0], [round(1000 * win), round(1000 * (1 - win))])
    assert kelly_share(bets, 1.0, 0.9) == pytest.approx(0.10, rel=1e-10)
    assert kelly_share(bets, 0.5, 0.9) == pytest.approx(0.05, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_kelly_is_the_best_of_a_grid(seed):
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.004, 0.10, 80)
    grid = np.linspace(0.0, 0.8, 8001)
    growth = np.log1p(np.outer(grid, returns)).mean(axis=1)
    assert kelly_share(returns, 1.0, 0.8) == pytest.approx(grid[growth.argmax()], abs=1e-4)


def test_the_cap_binds_the_result_and_not_the_search():
    bets = np.repeat([1.0, -1.0], [650, 350])
    assert kelly_share(bets, 1.0, LIMIT) == LIMIT
    assert kelly_share(bets, 0.5, LIMIT) == pytest.approx(0.15, rel=1e-10)
    assert kelly_share(bets, 0.9, LIMIT) == LIMIT


@pytest.mark.parametrize(
    ("returns", "kappa", "share"),
    [
        ([0.01, -0.02], 1.0, 0.0),
        ([0.01, -0.01], 1.0, 0.0),
        ([], 1.0, 0.0),
        ([0.01, 0.02], 0.0, 0.0),
        ([0.01, 0.02], 0.01, LIMIT),
    ],
)
def test_kelly_at_its_edges(returns, kappa, share):
    assert kelly_share(np.array(returns), kappa, LIMIT) == share


def test_kelly_never_bets_what_one_trade_can_lose():
    # A single loss of twice the stake: half of equity would be ruin.
    assert kelly_share(np.array([3.0, 3.0, -2.0]), 1.0, 1.0) < 0.5


def test_few_trades_take_the_symbols_share_and_fewer_take_none(world):
    market, folds = world
    train = folds[0].train
    for symbol in market.symbols:
        trades = find_opportunities(market, {symbol: train[symbol]})
        counts = np.bincount(trades.regime, minlength=len(LABELS))
        arm = KellyArm(kind="kelly", min_trades=int(np.median(counts[counts > 0])), by_regime=True)
        found = kelly_shares(market, train, arm, LIMIT)
        for code, label in enumerate(LABELS):
            n, pooled, share = found[symbol, label]
            gains = trades.unit_return if counts[code] < arm.min_trades else trades.unit_return[trades.regime == code]
            assert (n, pooled) == (counts[code], counts[code] < arm.min_trades)
            assert share == kelly_share(gains, arm.kappa, LIMIT)
        most = KellyArm(kind="kelly", min_trades=len(trades) + 1)
        assert {kelly_shares(market, train, most, LIMIT)[symbol, label] for label in LABELS} == {
            (n, True, 0.0) for n in counts.tolist()
        }


def test_kelly_sizes_by_regime_at_the_entry():
    # Long trades of regime 1 gain 2% each, those of regime 3 lose as much; the test slice holds some of both.
    direction = np.tile(np.array([0, 1, 1, 0], dtype=np.int8), 60)
    regime = np.where(np.arange(240) // 4 % 2 == 0, 1, 3).astype(np.int8)
    bar = np.where(direction == 1, 0.02, 0.0) * np.where(regime == 1, 1.0, -1.0)
    market = make_market(240, direction=direction, regime=regime, gap_return=np.zeros(240), bar_return=bar)
    day = pd.Timestamp("2020-01-01", tz="UTC")
    fold = Fold("rolling", 0, day, day, {"S0": Slice(0, 160)}, {"S0": Slice(162, 238)})
    paths = paths_of(market, [fold], "test")
    sizer = fitted_sizer("kelly", KELLY, market, paths, [fold], ACCOUNT)
    shares = sizer.fit["share_pct"].xs("S0", level="symbol").loc[0]
    assert (shares[LABELS[1]], shares[LABELS[3]]) == (pytest.approx(20.0), 0.0)
    entries = market.entry[162:238].numpy()
    held = walk(market, paths, sizer).position[1:, 0].numpy() != 0
    np.testing.assert_array_equal(held[entries[:-1]], (regime[162:238] == 1)[:-1][entries[:-1]])


# The placebo.


def test_the_placebo_is_even_and_its_own(world):
    market, folds = world
    paths = paths_of(market, folds, "test", seeds=range(12))
    ledger = walk(market, paths, fitted_sizer("random_placebo", PLACEBO, market, paths, folds, ACCOUNT))
    for p in (0, 7, len(paths.seed) - 1):
        mine = Paths(*(getattr(paths, name)[p : p + 1] for name in ("fold", "symbol", "seed", "start_row", "length")))
        alone = walk(market, mine, fitted_sizer("random_placebo", PLACEBO, market, mine, folds, ACCOUNT))
        length = int(mine.length[0])
        assert torch.equal(alone.position[:length, 0], ledger.position[:length, p])
    fit = fitted_sizer("random_placebo", PLACEBO, market, paths, folds, ACCOUNT).fit
    pooled = (fit["mean_size_pct"] * fit["n_entries"]).sum() / fit["n_entries"].sum()
    # 20% / sqrt(12 n) is the standard error of the mean of n even draws.
    assert pooled == pytest.approx(10.0, abs=4 * 20.0 / np.sqrt(12 * fit["n_entries"].sum()))
    assert fit["mean_size_pct"].nunique() == len(fit)


def test_placebos_of_other_names_draw_other_sizes(world):
    market, folds = world
    paths = paths_of(market, folds[:1], "test")
    fits = [fitted_sizer(name, PLACEBO, market, paths, folds, ACCOUNT).fit["mean_size_pct"] for name in ("a", "b", "a")]
    assert fits[0].equals(fits[2])
    assert not fits[0].equals(fits[1])


# The oracle.


@pytest.fixture(scope="module")
def foreseen(quick, world) -> tuple[Paths, FittedSizer, backtest.PathLedger]:
    market, folds = world
    paths = paths_of(market, folds[:1], "test")
    sizer = fitted_sizer("oracle_hindsight", ORACLE, market, paths, folds, ACCOUNT)
    return paths, sizer, walk(market, paths, sizer)


def test_the_oracle_never_loses_a_trade(quick, world, foreseen):
    market, folds = world
    paths, sizer, ledger = foreseen
    won = 0
    for p in range(len(paths.fold)):
        fold = folds[paths.fold[p]]
        column = confidence_column(fold)
        key = PathKey("oracle", market.symbols[paths.symbol[p]], 0, 0, paths.start_row[p], paths.length[p], column)
        trades = trades_frame(key, p, ledger, market, ledger.fills[ledger.fills["path"] == p], stop_atr=1.5)
        assert (trades["pnl"] > 0).all()
        won += len(trades)
    assert won == sizer.fit["n_gaining"].sum()
    assert sizer.fit["n_trades"].sum() > won > 10


def test_no_rule_of_the_same_entries_beats_the_oracle(world, foreseen):
    market, folds = world
    paths, _, ledger = foreseen
    last = ledger.lengths - 1
    best = ledger.equity[last, torch.arange(len(last))]
    exposure = {fold.number: 0.05 for fold in folds}
    sizers = [
        rule_sizer(AtrArm(kind="atr"), ACCOUNT),
        rule_sizer(ConstantArm(kind="constant", size_frac=0.2), ACCOUNT),
        fitted_sizer("kelly", KELLY, market, paths, folds, ACCOUNT),
        fitted_sizer("random_placebo", PLACEBO, market, paths, folds, ACCOUNT),
        fitted_sizer("matched", MATCHED, market, paths, folds, ACCOUNT, train_exposure=exposure),
    ]
    for sizer in sizers:
        other = walk(market, paths, sizer)
        assert (other.equity[last, torch.arange(len(last))] < best).all()


@pytest.mark.parametrize(("jump", "holds"), [(0.05, True), (-0.05, False), (0.001, False)])
def test_a_trade_cut_by_the_end_counts_what_it_earns_there(jump, holds):
    # Long from row 3 on and never out: it leaves at the open of the last row, 9, whose bar and what follows it miss. A
    # gain of 10 bps does not pay the costs of 24.
    bar = np.zeros(20)
    bar[6], bar[9:] = jump, -10.0 * jump / 11
    market = make_market(
        20, direction=np.repeat([0, 1], [3, 17]).astype(np.int8), gap_return=np.zeros(20), bar_return=bar
    )
    trades = walked_trades(market, {"S0": Slice(0, 10)})
    assert (trades.entry_row.tolist(), trades.exit_row.tolist()) == ([3], [8])
    paths = Paths(*(np.array([value]) for value in (0, 0, 0, 0, 10)))
    ledger = walk(market, paths, fitted_sizer("oracle_hindsight", ORACLE, market, paths, [], ACCOUNT))
    assert bool((ledger.position != 0).any()) is holds
    assert float(ledger.equity[-1, 0]) == pytest.approx(1000.0 * (1.0 + LIMIT * float(trades.unit_return[0]) * holds))


def test_an_entry_that_cannot_leave_is_none():
    market = make_market(20, direction=np.repeat([0, 1], [8, 12]).astype(np.int8))
    assert len(walked_trades(market, {"S0": Slice(0, 10)})) == 0
    assert len(walked_trades(market, {"S0": Slice(0, 11)})) == 1


# All of them.


def test_an_arm_that_is_not_fitted_is_refused(world):
    market, folds = world
    paths = paths_of(market, folds, "test")
    with pytest.raises(ConfigError, match="arm of kind 'atr' is not fitted"):
        fitted_sizer("atr", AtrArm(kind="atr"), market, paths, folds, ACCOUNT)


def test_what_is_fitted_knows_the_train_slice_alone(world):
    """Every row after the fold's train slices is replaced; the fitted numbers do not move."""
    market, folds = world
    fold = folds[0]
    poisoned = priced(market)
    poisoned |= {name: getattr(market, name).clone() for name in ("atr_frac", "direction", "entry", "regime")}
    for symbol, part in fold.train.items():
        number = market.symbols.index(symbol)
        stop, end = market.rows(symbol, part)[1], market.first_row[number] + market.n_rows[number]
        for name in ("gap_return", "bar_return", "high", "low", "rates", "atr_frac"):
            poisoned[name][stop:end] = poisoned[name][stop:end] * 3.0 + 0.01
        poisoned["direction"][stop:end] = -1
        poisoned["entry"][stop:end] = True
        poisoned["regime"][stop:end] = 1
    changed = remade(market, **poisoned)
    few = KellyArm(kind="kelly", min_trades=3, by_regime=True)
    assert kelly_shares(changed, fold.train, few, LIMIT) == kelly_shares(market, fold.train, few, LIMIT)
    assert kelly_shares(changed, folds[1].train, few, LIMIT) != kelly_shares(market, folds[1].train, few, LIMIT)
    fits = [match_exposure(world, fold.train, MATCHED, 0.05, LIMIT) for world in (market, changed)]
    assert (fits[0].factor, fits[0].reached) == (fits[1].factor, fits[1].reached)
    assert fits[0].exposure == pytest.approx(fits[1].exposure, rel=1e-12)
    assert match_exposure(changed, folds[1].train, MATCHED, 0.05, LIMIT) != match_exposure(
        market, folds[1].train, MATCHED, 0.05, LIMIT
    )

"""Tables of the walk-forward report, from a ledger of two arms small enough to count by hand."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.market_tensor import Market
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Fold, Slice
from sizewise.dataset.store import Prepared, Universe
from sizewise.evidence import verdict
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import day_rows
from sizewise.ledgers.plan import PRIMARY
from sizewise.ledgers.summaries import arm_summary, regime_summary
from sizewise.params.arms import Arm, AtrArm, AtrManagedArm, ConstantArm, OracleArm
from sizewise.params.trading.account import Account
from sizewise.reports import walk_forward

from ...hand_market import make_market

ROWS = 48


def path(arm: str, symbol: str, fold: int, seed: int, growth: float, start: str = "2020-01-01") -> pd.DataFrame:
    """48 hourly bars that grow by `growth` in log equity a day, flat on the first and last bar."""
    times = pd.date_range(start, periods=ROWS, freq="h", tz="UTC")
    values = {"arm": arm, "symbol": symbol, "fold": fold, "seed": seed, "timestamp": times}
    steps = np.full(ROWS, growth / 24)
    steps[0] = 0.0
    frame = pd.DataFrame(values | {"equity": 1000.0 * np.exp(np.cumsum(steps)), "position_frac": 0.1})
    frame.loc[[0, ROWS - 1], "position_frac"] = 0.0
    frame[list(COSTS)] = 0.0
    frame[["fees", "slippage"]] = [-0.5, -0.25]
    frame["regime"] = [LABELS[i % 3] for i in range(ROWS)]
    return frame


@pytest.fixture
def equity() -> pd.DataFrame:
    """`ppo` with two seeds and `atr`; B is live in fold 1 alone."""
    late = "2020-02-01"
    parts = [path("ppo", "A", 0, seed, 0.01 * seed) for seed in (1, 2)]
    parts += [path("ppo", s, 1, seed, -0.01, late) for s in "AB" for seed in (1, 2)]
    parts += [path("atr", "A", 0, 0, 0.0), path("atr", "A", 1, 0, 0.02, late), path("atr", "B", 1, 0, 0.04, late)]
    frame = pd.concat(parts, ignore_index=True)
    typed = {name: frame[name].astype("category") for name in ("arm", "symbol")}
    return frame.assign(**typed, regime=pd.Categorical(frame["regime"], categories=list(LABELS)))


@pytest.fixture
def days(equity) -> pd.DataFrame:
    return day_rows(equity)


@pytest.fixture
def trades() -> pd.DataFrame:
    frame = pd.DataFrame({"arm": ["ppo"] * 4 + ["atr"], "pnl": [1.0, -1.0, 2.0, 3.0, -4.0]})
    return frame.assign(r_multiple=frame["pnl"] / 2, arm=frame["arm"].astype("category"))


def test_the_plan_is_what_was_declared(params):
    table = walk_forward.plan_table(params.plan, params.arms, "0123abcd")["declared"]
    assert table["candidate"] == "ppo (ppo)"
    assert table["reference"] == "atr_managed (atr_managed)"
    assert table["primary test"] == "Ibragimov-Mueller on 8 blocks and equal-weighted cosines, both at level 0.05"
    assert table["regimes (Holm)"] == ", ".join(params.plan.regimes)
    assert table["all arms"] == ", ".join(params.arms)
    assert table["hash of the plan"] == "0123abcd"


def test_rows_of_the_ledgers(days, trades):
    table = walk_forward.ledger_table(days, trades)
    assert table.loc["ppo"].tolist() == [6, 6 * ROWS, 4]
    assert table.loc["atr"].tolist() == [3, 3 * ROWS, 1]
    # An arm without a trade is there with none.
    none = walk_forward.ledger_table(days, trades[trades["arm"] == "ppo"])
    assert none.loc["atr"].tolist() == [3, 3 * ROWS, 0]


def test_the_summary_is_metrics_arm_by_arm(days, trades):
    table = walk_forward.summary(days, trades, ["atr", "ppo"])
    assert list(table.index) == ["atr", "ppo"]
    for arm in table.index:
        alone = arm_summary(days[days["arm"] == arm], trades[trades["arm"] == arm])
        assert table.loc[arm].to_dict() == pytest.approx(alone, nan_ok=True)
    assert set(table.columns) == set(walk_forward.SHORT_NAMES)
    assert list(table.rename(columns=walk_forward.SHORT_NAMES).columns) != list(table.columns)


def test_daily_growth_of_each_arm(days):
    daily = walk_forward.daily_by_arm(days, ["ppo", "atr"])
    assert list(daily.columns) == ["ppo", "atr"]
    # First days hold 23 steps; seeds grow 1% and 2%, symbols of fold 1 2% and 4%.
    first = np.array([23 / 24, 1.0])
    assert daily["ppo"].tolist() == pytest.approx([*(0.015 * first), *(-0.01 * first)])
    assert daily["atr"].tolist() == pytest.approx([0.0, 0.0, *(0.03 * first)])


def test_bars_are_counted_once_by_day_and_label(equity):
    one = equity[(equity["arm"] == "ppo") & (equity["seed"] == 1)]
    by_day = one.groupby(one["timestamp"].dt.floor("D"))
    found = walk_forward.bars_by_regime(day_rows(equity))
    assert list(found.columns) == list(LABELS)
    assert found.sum(axis=1).tolist() == by_day.size().tolist()
    assert (
        found["low_vol_trending"].tolist()
        == by_day["regime"].agg(lambda part: (part == "low_vol_trending").sum()).tolist()
    )
    equity.loc[equity["timestamp"].dt.day == 2, "regime"] = "neutral"
    days = day_rows(equity)
    found = walk_forward.bars_by_regime(days)
    assert (found["neutral"] == found.sum(axis=1)).tolist() == [False, True, False, True]
    # They are the bars that the table counts.
    table = walk_forward.regime_table(days, ["ppo"]).loc["ppo", "bars"]
    assert found.sum().loc[table.index].tolist() == table.tolist()


def test_live_symbols_are_those_with_a_bar_that_day(days):
    assert walk_forward.live_by_day(days).tolist() == [1, 1, 2, 2]


def test_growth_by_fold_and_symbol(days):
    table = walk_forward.by_fold_and_symbol(days, "atr")
    mean = (23 / 24 + 1) / 2
    assert table.loc[0, "A"] == pytest.approx(0.0)
    assert table.loc[1].tolist() == pytest.approx([200 * mean, 400 * mean])
    assert np.isnan(table.loc[0, "B"])


def test_regimes_of_each_arm(days):
    table = walk_forward.regime_table(days, ["ppo", "atr"])
    assert table.index.names == ["arm", "regime"]
    one = days[days["arm"] == "atr"]
    every = regime_summary(one)
    met = every[every["bars"] > 0]
    assert 0 < len(met) < len(every)
    pd.testing.assert_frame_equal(table.loc["atr"], met, check_names=False)
    daily = walk_forward.daily_by_arm(days, ["atr"])["atr"]
    assert table.loc["atr", "growth_bps_per_day"].sum() == pytest.approx(1e4 * daily.mean())


def test_the_spread_over_seeds_stands_where_there_are_seeds(days, trades):
    table = walk_forward.summary(days, trades, ["atr", "ppo"])
    ppo = days[days["arm"] == "ppo"]
    alone = [walk_forward.summary(ppo[ppo["seed"] == seed], trades, ["ppo"]) for seed in (1, 2)]
    growth = [one.loc["ppo", "growth_bps_per_day"] for one in alone]
    assert np.mean(growth) == pytest.approx(table.loc["ppo", "growth_bps_per_day"])
    trades = trades.assign(seed=1)
    spread = walk_forward.spreads(days, trades, ["atr", "ppo"])
    assert list(spread.index) == ["ppo"]
    found = walk_forward.metrics(table, spread)
    assert found["ppo"]["n_seeds"] == 2
    assert found["ppo"]["seed_sd_growth_bps_per_day"] == round(abs(growth[1] - growth[0]) / 2**0.5, 4) > 0.0
    assert {f"seed_sd_{name}" for name in table.columns} < set(found["ppo"])
    assert not any(name.startswith("seed_sd_") for name in found["atr"])
    assert walk_forward.spreads(ppo[ppo["seed"] == 1], trades, ["ppo"]).empty


def test_metrics_are_json_without_nan(days):
    empty = pd.DataFrame({"arm": pd.Series(dtype=str), "pnl": pd.Series(dtype=float), "r_multiple": [], "seed": []})
    given = (days, empty, ["ppo"])
    found = walk_forward.metrics(walk_forward.summary(*given), walk_forward.spreads(*given))
    assert found["ppo"]["win_rate_pct"] is None
    assert found["ppo"]["exposure_pct"] == pytest.approx(10.0 * (ROWS - 2) / ROWS, abs=1e-4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_daily_growth_on_disk(days, tmp_path):
    daily = walk_forward.daily_by_arm(days, ["ppo", "atr"])
    daily.iloc[1, 0] = np.nan
    walk_forward.save_daily(daily, tmp_path / "plots")
    table = pd.read_csv(tmp_path / "plots" / "equity_by_arm.csv")
    assert list(table.columns) == ["day", "date", "arm", "growth_pct", "drawdown_pct"]
    assert table["day"].tolist() == [0, 1, 2, 3] * 2
    assert table["date"].tolist() == ["2020-01-01", "2020-01-02", "2020-02-01", "2020-02-02"] * 2
    ppo = table[table["arm"] == "ppo"]
    assert ppo["growth_pct"].tolist() == pytest.approx(100 * np.expm1(daily["ppo"].fillna(0).cumsum()), abs=1e-4)
    assert ppo["drawdown_pct"].iloc[-1] == pytest.approx(100 * np.expm1(daily["ppo"].iloc[2:].sum()), abs=1e-4)


# What needs the market beside the ledger.


def fold(start: int, stop: int) -> Fold:
    day = pd.Timestamp("2020-01-01", tz="UTC")
    return Fold("rolling", 0, day, day, {"S0": Slice(0, start)}, {"S0": Slice(start, stop)})


def asked(name: str, arm: Arm, market: Market) -> tuple[SimpleNamespace, Prepared]:
    """Parameters whose reference is `arm`, and one fold of a market."""
    p = SimpleNamespace(plan=SimpleNamespace(reference=name), arms={name: arm}, account=Account())
    return p, Prepared(Universe({}, {}, "hash"), {PRIMARY: (fold(10, 30),)}, market, {})


@pytest.mark.parametrize(("inside", "share"), [([0.01, 0.016, 0.04, 0.05], 50), ([0.5, 0.5], 0), ([0.001] * 3, 100)])
def test_how_often_the_cap_is_asked_for(inside, share):
    # Risk .5% over 1.5 ATR reaches the cap of 20% where ATR is 1.667% or less; entries outside the test do not count.
    entry = np.zeros(40, dtype=bool)
    atr = np.full(40, 1e-6)
    rows = 10 + 3 * np.arange(len(inside))
    entry[[2, 5, 38]] = True
    entry[rows], atr[rows] = True, inside
    market = replace(make_market(40), entry=torch.from_numpy(entry), atr_frac=torch.from_numpy(atr))
    for arm in (AtrArm(kind="atr"), AtrManagedArm(kind="atr_managed")):
        found = walk_forward.cap_sentence(*asked("rule", arm, market))
        assert found == verdict.cap_sentence(float(share), "rule")


def test_a_rule_without_atr_has_no_such_sentence():
    arm = ConstantArm(kind="constant", size_frac=0.1)
    found = walk_forward.cap_sentence(*asked("constant", arm, make_market(40)))
    assert found == "constant is not an ATR rule; its cap is not examined."


# Figures of what was computed elsewhere.


@pytest.mark.usefixtures("drawn")
def test_a_slice_is_named_by_its_cut_and_says_if_it_is_not_tested(params):
    names = pd.MultiIndex.from_tuples([("trend", "bull"), ("trend", "bear")])
    effects = {"effect_bps": [1.0, np.nan], "low_bps": [0.0, np.nan], "high_bps": [2.0, np.nan]}
    table = pd.DataFrame({"n_trades": [41, 3], "n_days": [60, 9], **effects}, index=names)
    axes = walk_forward.slice_figure(params.plan, table).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["trend: bull", "trend: bear"]
    assert [note.get_text() for note in axes.texts] == ["41 trades, 60 days", "3 trades, 9 days: not tested"]


@pytest.mark.usefixtures("drawn")
def test_equity_is_drawn_without_the_arm_that_looks_ahead(days):
    p = SimpleNamespace(
        plan=SimpleNamespace(reference="ppo"),
        arms={"ppo": ConstantArm(kind="constant", size_frac=0.1), "atr": OracleArm(kind="oracle_hindsight")},
    )
    given = Prepared(Universe({}, {}, "hash"), {PRIMARY: (fold(10, 30),)}, make_market(40), {})
    daily = walk_forward.daily_by_arm(days, ["ppo", "atr"])
    top, live, regimes = walk_forward.equity_figure(p, given, days, daily).axes
    assert [axes.get_title(loc="left") for axes in (top, live)] == ["no skill", "live symbols"]
    assert "regime" in regimes.get_title(loc="left")
    assert [line.get_label() for line in top.lines if not line.get_label().startswith("_")] == ["ppo"]


# What was fitted, and what a reader sees of a behaviour table.


def test_fits_are_told_by_number_and_range():
    fits = pd.concat(
        [
            pd.DataFrame({"factor": [1.0, 3.0], "reached": [True, False]}, index=pd.Index([0, 1], name="fold")).assign(
                arm="matched", scheme="rolling"
            ),
            pd.DataFrame({"fold": [0], "seed": [1], "share_pct": [7.0], "symbol": ["A"]}).assign(
                arm="kelly", scheme="rolling"
            ),
        ]
    )
    table = walk_forward.fit_table(fits)
    assert table.index.tolist() == [("matched", "rolling", "factor"), ("kelly", "rolling", "share_pct")]
    assert table.loc[("matched", "rolling", "factor")].tolist() == [2, 2.0, 1.0, 3.0]
    # Folds and seeds are names, and a number that another arm has is not this one's.
    assert table.loc[("kelly", "rolling", "share_pct"), "n"] == 1
    assert walk_forward.fit_table(pd.DataFrame()).empty


def test_a_behaviour_table_is_read_as_intervals():
    parts = ("", "other_", "difference_")
    values = {
        f"{part}{name}_pct": [1.25 + i, np.nan] for i, part in enumerate(parts) for name in ("mean", "low", "high")
    }
    values |= {"n": [40, 2], "n_other": [50, 3], "p_holm": [0.01234, np.nan]}
    sizes = pd.DataFrame(values | {"expected": ["smaller", "larger"], "found": ["smaller", "too few"]})
    sizes.index = pd.MultiIndex.from_tuples([("ppo", "volatile"), ("ppo", "confident")], names=["arm", "condition"])
    table = walk_forward.readable(sizes)
    assert table.loc[("ppo", "volatile")].tolist() == [
        *(40, "1.2 (1.2 to 1.2)", 50, "2.2 (2.2 to 2.2)", "3.2 (3.2 to 3.2)", 0.01234, "smaller", "smaller"),
    ]
    assert table.loc[("ppo", "confident")].drop("p (Holm)").tolist() == [2, "", 3, "", "", "larger", "too few"]
    assert list(table.index.names) == ["arm", "condition"]


def test_entries_are_those_of_learners_arm_by_arm(params, equity, days, monkeypatch):
    read: list[tuple[list[str], tuple[str, ...]]] = []

    def bars(_: object, *, columns: tuple[str, ...], arms: list[str]) -> pd.DataFrame:
        read.append((arms, columns))
        return equity[equity["arm"] == "ppo"].assign(arm=arms[0])

    monkeypatch.setattr(walk_forward, "read_equity", bars)
    known: list[object] = []

    def table(rows: pd.DataFrame, *_: object, spans: object) -> pd.DataFrame:
        known.append(spans)
        return rows[["arm", "seed"]].drop_duplicates()

    monkeypatch.setattr(walk_forward.behaviour, "entry_table", table)
    frame = pd.concat([days, days[days["arm"] == "ppo"].assign(arm="dqn")], ignore_index=True)
    stage = SimpleNamespace(params=params, workspace=SimpleNamespace(ledger=None))
    found = walk_forward.entries(stage, SimpleNamespace(market=None, folds={PRIMARY: []}), frame)
    # The rule is left out, and no column is read that nobody needs.
    assert read == [(["ppo"], walk_forward.behaviour.PATH_COLUMNS), (["dqn"], walk_forward.behaviour.PATH_COLUMNS)]
    assert found.to_dict("list") == {"arm": ["ppo", "ppo", "dqn", "dqn"], "seed": [1, 2, 1, 2]}
    # What one arm's entries say of the market is not found again for the next.
    assert known[0] is known[1]

"""The study on the quick world: what is fitted on what, how paths are glued, and what is said of them."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError, DataMissingError
from sizewise.base.paths import Workspace
from sizewise.dataset.confidence import ConfidenceModel, confidence_column, train_trades
from sizewise.dataset.features import compute_features
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.dataset.regimes import LABELS
from sizewise.dataset.splits import Combination, Slice
from sizewise.dataset.store import build_tables
from sizewise.learning.ppo import lessons, populations, training
from sizewise.learning.ppo.encoders import fit_scaler
from sizewise.learning.ppo.scores import Ground
from sizewise.ledgers.columns import COSTS
from sizewise.ledgers.daily import day_rows
from sizewise.params.stage import Stage
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.rewards import LogGrowth
from sizewise.params.trading.trading import SEVEN
from sizewise.params.trading.world import World
from sizewise.studies.overfitting import cpcv_run
from sizewise.studies.overfitting.cpcv_folds import deal_paths
from sizewise.studies.overfitting.cpcv_paths import path_table, read_paths, summary
from sizewise.studies.overfitting.report import cpcv_sentence
from sizewise.trading.episodes import Ranges
from sizewise.walkforward import walk
from sizewise.walkforward.frames import equity_frame
from sizewise.walkforward.walk import RULE_SEED, PathKey

from ....hand_market import make_market

REFERENCE = "atr_managed"


@pytest.fixture(scope="module")
def stage(quick, tmp_path_factory) -> Stage:
    workspace = replace(Workspace.open("quick"), base=tmp_path_factory.mktemp("cpcv"))
    p = quick.params
    few = p.cpcv.model_copy(update={"groups": 3, "test_groups": 2})
    named = ("data", "regimes", "signals", "splits", "observation", "account", "rules", "decisions")
    sections = {name: getattr(p, name) for name in named}
    # Actions by which a policy parts from the reference after one iteration; they are no multiples that could price risk.
    arms = {**p.arms, "ppo": p.arms["ppo"].model_copy(update={"scheme": SEVEN})}
    train = p.train.model_copy(update={"reward": LogGrowth(kind="log_growth")})
    # The stretch between two tested groups is short of what the quick profile asks of a fold.
    splits = p.splits.model_copy(update={"min_train_bars": 300})
    sections |= {"train": train, "arms": arms, "plan": p.plan, "cpcv": few, "splits": splits}
    return Stage("cpcv", SimpleNamespace(**sections), workspace, "hash")


@pytest.fixture(scope="module")
def world(stage) -> cpcv_run.CpcvWorld:
    return cpcv_run.prepare(stage)


@pytest.fixture(scope="module")
def agents(stage, world):
    """As cpcv_run.train, in this process."""
    p = stage.params
    changed = p.train.model_copy(update={"iterations": 1})
    settings = training.Settings(changed, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    jobs = [training.Job("ppo", one, 1) for one in world.chosen]
    trained = training.train_population(world.market.to("cpu", torch.float32), jobs, world.models, settings)
    return {(one.job.fold.number, 1): one.agent for one in trained}


@pytest.fixture(scope="module")
def days(stage, world, agents):
    return cpcv_run.walk_days(stage, world, agents)


def changed(stage: Stage, **sections: object) -> Stage:
    return replace(stage, params=SimpleNamespace(**{**vars(stage.params), **sections}))


# What is fitted on what.


def test_a_policy_is_scaled_by_its_own_train_stretches(stage, world, agents):
    two = next(one for one in world.chosen if len(one.train["BTCUSDT_1h"]) > 1)
    p, market = stage.params, world.market
    rows = []
    for part in two.train["BTCUSDT_1h"]:
        kept = len(part) - round(len(part) * p.train.validation_frac) - p.splits.purge_bars
        start, _ = market.rows("BTCUSDT_1h", part)
        rows.append((start, start + kept))
    confidence = market.confidence[confidence_column(two)]
    assert agents[two.number, 1].scalers["BTCUSDT_1h"] == fit_scaler(market, confidence, rows)
    assert agents[two.number, 1].scalers["BTCUSDT_1h"] != fit_scaler(market, confidence, [(rows[0][0], rows[-1][1])])


def test_confidence_learns_from_no_bar_of_its_tests(stage, world, quick):
    """Poisoned: the prices of the tested groups, in a combination whose train lies before them. What was fitted stays."""
    p = stage.params
    one = next(one for one in world.chosen if 0 not in one.groups)

    def fitted(poison: dict[str, list[Slice]]) -> ConfidenceModel:
        bars = {symbol: frame.copy() for symbol, frame in quick.universe.bars.items()}
        for symbol, parts in poison.items():
            for part in parts:
                bars[symbol].iloc[part.start : part.stop, :4] *= np.linspace(1.0, 1.2, len(part))[:, None]
        return build_tables(replace(quick.universe, bars=bars), [one], p.regimes, p.signals)[1][confidence_column(one)]

    plain = world.models[confidence_column(one)]
    tested = fitted({symbol: [one.test[group][symbol] for group in one.groups] for symbol in one.train})
    assert tested.n_trades == plain.n_trades
    assert tested == plain
    # The same in a train stretch moves it.
    trained = fitted({"BTCUSDT_1h": list(one.train["BTCUSDT_1h"])})
    assert trained.mean != pytest.approx(plain.mean, rel=5e-3)


def test_trades_lie_inside_one_stretch(quick):
    bars = quick.universe.bars["BTCUSDT_1h"]
    features = compute_features(
        bars, quick.params.regimes, quick.params.signals, quick.universe.instruments["BTCUSDT_1h"]
    )
    whole = train_trades(bars, features, Slice(1000, 5000)).entry_row
    cut = int(whole[len(whole) // 2]) + 1
    parts = (Slice(1000, cut), Slice(cut, 5000))
    torn = train_trades(bars, features, parts).entry_row
    alone = [train_trades(bars, features, part).entry_row for part in parts]
    np.testing.assert_array_equal(torn, np.concatenate(alone))
    # The one trade that was live at the cut belongs to neither.
    assert len(whole) - len(torn) == 1


def test_symbols_and_stretches_are_drawn_by_their_share():
    market = make_market(1000, symbols=2)
    spans = {"S0": [(0, 300), (400, 500)], "S1": [(1000, 2000)]}
    found = lessons._ranges(market, spans)
    counts = pd.Series(list(zip(found.symbols, found.start, found.stop, strict=True))).value_counts()
    assert counts[[(0, 0, 300), (0, 400, 500), (1, 1000, 2000)]].tolist() == [24, 8, 32]
    # One stretch each, as in a walk-forward: an entry a symbol.
    spans["S0"] = [(0, 300)]
    assert lessons._ranges(market, spans) == Ranges((0, 1), (0, 1000), (300, 2000))


def test_a_policy_is_validated_on_the_tail_of_every_stretch(stage, world):
    p = stage.params
    two = next(one for one in world.chosen if len(one.train["BTCUSDT_1h"]) > 1)
    settings = training.Settings(p.train, p.observation, World.of(p), p.regimes, p.signals, p.splits.purge_bars)
    lesson = lessons.prepare(world.market, training.Job("ppo", two, 1), settings, None)
    for tail, part in zip(lesson.tails["BTCUSDT_1h"], two.train["BTCUSDT_1h"], strict=True):
        assert tail.stop == part.stop
        assert len(tail) == round(len(part) * p.train.validation_frac)
    known = [fold_confidence(world.market, two)]
    ground = Ground.of(world.market, World.of(p), known, follows_signal=True, chunk_steps=128)
    paths = ground.paths([lesson.tails])
    covered = [row for a, n in zip(paths.start.tolist(), paths.length.tolist(), strict=True) for row in range(a, a + n)]
    spans = [world.market.rows(symbol, tail) for symbol, tails in lesson.tails.items() for tail in tails]
    assert covered == [row for start, stop in spans for row in range(start, stop)]


# Paths.


def test_every_test_stretch_is_walked_by_its_own_combination(world, days):
    assert set(days) == {(one.number, group) for one in world.chosen for group in one.groups}
    for (number, group), rows in days.items():
        assert set(rows["arm"]) == {"ppo", REFERENCE}
        assert set(rows["fold"]) == {group}
        for symbol, part in world.chosen[number].test[group].items():
            mine = rows[(rows["symbol"] == symbol) & (rows["arm"] == "ppo")]
            assert mine["bars"].sum() == len(part)


def of_arm(days, arm: str, group: int) -> list[pd.DataFrame]:
    """A group's days of an arm, once a combination that tests it."""
    return [rows[rows["arm"] == arm].reset_index(drop=True) for (_, g), rows in days.items() if g == group]


def test_a_rule_that_learns_nothing_is_the_same_whatever_was_trained(stage, world, agents):
    """ATR sizing has no train but that on which its risk is matched: without it, its days do not depend on the choice."""
    own = changed(stage, plan=stage.params.plan.model_copy(update={"risk": None}))
    unmatched = cpcv_run.walk_days(own, world, agents)
    for group in (0, 1, 2):
        mine = of_arm(unmatched, REFERENCE, group)
        assert len(mine) == 2
        pd.testing.assert_frame_equal(mine[0], mine[1])
    learned = [rows["log_growth"].to_numpy() for rows in of_arm(unmatched, "ppo", 0)]
    assert not np.array_equal(learned[0], learned[1])


# At matched risk.


@pytest.fixture(scope="module")
def sides(stage, world, agents):
    """Candidate and reference with the market they walk, float64."""
    market = world.market.to("cpu", torch.float64)
    return cpcv_run.walkers(stage, world, market, agents), market


@pytest.fixture(scope="module")
def factors(stage, world, sides):
    """By arm."""
    walkers, market = sides
    return {one.name: cpcv_run.match_stretches(one, world.chosen, market, stage.params.plan.risk) for one in walkers}


def stretch_paths(name: str, one: Combination, symbol: str, market) -> list[PathKey]:
    spans = [market.rows(symbol, part) for part in one.train[symbol]]
    return [PathKey(name, symbol, one.number, 0, a, b - a, confidence_column(one)) for a, b in spans]


def test_there_is_a_factor_a_combination_symbol_and_seed(stage, world, factors):
    pairs = [(one.number, symbol) for one in world.chosen for symbol in one.train]
    assert set(factors["ppo"]) == {(*pair, seed) for pair in pairs for seed in stage.params.cpcv.seeds}
    assert set(factors[REFERENCE]) == {(*pair, RULE_SEED) for pair in pairs}
    assert len(set(factors[REFERENCE].values())) == len(pairs)


def test_the_reference_has_the_declared_risk_on_its_own_train_stretches(stage, world, sides, factors):
    """Twin: bar by bar, each stretch's account by itself, the days of all of them together."""
    (_, rule), market = sides
    risk, two = stage.params.plan.risk, next(one for one in world.chosen if len(one.train["BTCUSDT_1h"]) > 1)
    keys = stretch_paths(REFERENCE, two, "BTCUSDT_1h", market)
    factor = torch.full((len(keys),), factors[REFERENCE][two.number, "BTCUSDT_1h", RULE_SEED], dtype=torch.float64)
    ledger = walk.walk(market, keys, rule.sizer(keys, factor), rule.world)
    growth, days = [], 0.0
    for path, key in enumerate(keys):
        times = market.times[key.start_row : key.start_row + key.length]
        equity = pd.Series(ledger.equity[: key.length, path].numpy(), index=times)
        marks = pd.concat([equity.iloc[:1], equity.groupby(times.floor("D")).last()])
        growth.append(np.diff(np.log(marks)))
        days += (times[-1] - times[0]) / pd.Timedelta(days=1)
    growth = np.concatenate(growth)
    vol = growth.std(ddof=1) * np.sqrt(len(growth) * 365.25 / days)
    assert vol == pytest.approx(risk.annual_vol_frac, rel=risk.tolerance_frac)


def test_a_single_stretch_is_a_path_like_any_other(sides):
    """Twin: risk on one train slice, as the walk-forward measures it."""
    (_, rule), market = sides
    key = PathKey(REFERENCE, "BTCUSDT_1h", 0, RULE_SEED, 3000, 2000, next(iter(market.confidence)))
    marks = walk.walk_days(market, [key], rule.sizer([key], torch.ones(1, dtype=torch.float64)), rule.world)
    (expected,) = marks.annual_vol(market)
    assert cpcv_run.TrainMarks(marks.rows, marks.equity, np.array([0])).annual_vol(market).tolist() == [expected]
    # What never trades has none, and disturbs no other.
    still = tuple(np.full(len(equity), 1.0) for equity in marks.equity)
    both = cpcv_run.TrainMarks(marks.rows * 2, still + marks.equity, np.array([0, 1])).annual_vol(market)
    assert both.tolist() == [0.0, expected]


def test_both_walk_their_tests_at_those_factors(stage, world, sides, factors, days):
    """Twin: one test stretch of each, walked at its factor alone."""
    walkers, market = sides
    one = world.chosen[0]
    (group, symbols), symbol = next(iter(one.test.items())), "EURUSD_1h"
    start, stop = market.rows(symbol, symbols[symbol])
    for side in walkers:
        (seed,) = side.seeds
        key = PathKey(side.name, symbol, one.number, seed, start, stop - start, confidence_column(one))
        factor = torch.tensor([factors[side.name][one.number, symbol, seed]], dtype=torch.float64)
        assert float(factor) != 1.0
        ledger = walk.walk(market, [key], side.sizer([key], factor), side.world)
        expected = day_rows(equity_frame(key, 0, ledger, market))["log_growth"]
        rows = days[one.number, group]
        mine = rows[(rows["arm"] == side.name) & (rows["symbol"] == symbol)]["log_growth"]
        np.testing.assert_allclose(mine, expected, rtol=0.0, atol=1e-12)


def test_the_policy_is_asked_by_its_own_clock(stage, world, agents, sides):
    walkers, market = sides
    arms = {**stage.params.arms}
    arms["ppo"] = arms["ppo"].model_copy(update={"decisions": Decisions(every="entry")})
    slow, rule = cpcv_run.walkers(changed(stage, arms=arms), world, market, agents)
    assert slow.world.decisions.every == "entry"
    assert rule.world == walkers[1].world


def test_policies_are_trained_in_populations_as_each_would_be_alone(stage, world, monkeypatch):
    """What is left out of the test is what a process does: how jobs are grouped is read here."""
    asked = []

    class Here:
        def __init__(self, given, most):
            self.given = given

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def map(self, work, items):
            asked.extend(items)
            return [work(self.given, item) for item in items]

    few = stage.params.cpcv.model_copy(update={"iterations": 1})
    small = changed(stage, cpcv=few)
    monkeypatch.setattr(cpcv_run, "Pool", Here)
    together = cpcv_run.train(small, world)
    names = [[job.fold.number for job in population] for population in asked]
    assert sorted(number for population in names for number in population) == [one.number for one in world.chosen]
    monkeypatch.setattr(populations, "cores", lambda: 64)
    asked.clear()
    alone = cpcv_run.train(small, world)
    assert [len(population) for population in asked] == [1] * len(world.chosen)
    assert set(together) == set(alone)
    for key, agent in together.items():
        for name, weights in agent.parameters.items():
            assert torch.equal(weights, alone[key].parameters[name])


def test_paths_cover_the_calendar(stage, world, days):
    glued = cpcv_run.glue(days, world.chosen, "ppo", REFERENCE)
    assert list(glued.columns) == ["path 1", "path 2"]
    assert (glued.index[0], glued.index[-1]) == (
        pd.Timestamp("2018-08-01", tz="UTC"),
        pd.Timestamp("2018-11-30", tz="UTC"),
    )
    assert glued.notna().all().all()
    assert not np.allclose(glued["path 1"], glued["path 2"])
    same = cpcv_run.glue(
        {
            place: pd.concat([rows[rows["arm"] == REFERENCE], rows[rows["arm"] == REFERENCE].assign(arm="twin")])
            for place, rows in days.items()
        },
        world.chosen,
        "twin",
        REFERENCE,
    )
    assert (same == 0.0).all().all()


def hand_days(number: int, group: int, growth: float) -> pd.DataFrame:
    """One day of one symbol: the candidate grows by `growth`, the reference stays."""
    parts = []
    for arm, end in (("a", float(np.exp(growth))), ("b", 1.0)):
        times = pd.date_range(f"2020-01-0{group + 1}", periods=2, freq="h", tz="UTC")
        values = {"arm": arm, "symbol": "S", "fold": group, "seed": 0, "timestamp": times, "equity": [1.0, end]}
        frame = pd.DataFrame(values).assign(position_frac=0.0, regime=LABELS[0])
        frame[list(COSTS)] = 0.0
        parts.append(day_rows(frame))
    return pd.concat(parts, ignore_index=True)


def test_each_group_comes_from_the_combination_it_was_dealt():
    chosen = [
        Combination(number, groups, pd.Timestamp("2020-01-01", tz="UTC"), {}, {})
        for number, groups in enumerate([(0, 1), (0, 2), (1, 2)])
    ]
    days = {
        (one.number, group): hand_days(one.number, group, 10 * one.number + group)
        for one in chosen
        for group in one.groups
    }
    glued = cpcv_run.glue(days, chosen, "a", "b")
    assert deal_paths(chosen) == ({0: 0, 1: 0, 2: 1}, {0: 1, 1: 2, 2: 2})
    assert glued["path 1"].tolist() == pytest.approx([0.0, 1.0, 12.0])
    assert glued["path 2"].tolist() == pytest.approx([10.0, 21.0, 22.0])


# Refusals.


def test_the_embargo_covers_the_longest_trade(stage, params):
    p = stage.params
    short = p.cpcv.model_copy(update={"embargo_days": 3})
    with pytest.raises(ConfigError, match=r"cpcv\.embargo_days is 3, but signals\.max_hold_days is 4"):
        cpcv_run.prepare(changed(stage, cpcv=short))
    # Business days of the full profile: 80 sessions are 116 days at most, a week of holidays among them.
    assert params.cpcv.embargo_days >= params.signals.max_hold_days * 7 / 5 + 4


def test_arms_that_cannot_be_used_are_refused(stage, world):
    rule = stage.params.plan.model_copy(update={"candidate": "atr"})
    with pytest.raises(ConfigError, match=r"plan\.candidate 'atr' is no PPO arm: cpcv trains one; name one"):
        cpcv_run.train(changed(stage, plan=rule), world)
    fitted = stage.params.plan.model_copy(update={"reference": "kelly"})
    with pytest.raises(ConfigError, match="arm of kind 'kelly' sizes by more than its parameters"):
        cpcv_run.walk_days(changed(stage, plan=fitted), world, {})


def test_missing_paths_are_named(stage, tmp_path):
    empty = replace(stage, workspace=replace(stage.workspace, base=tmp_path))
    with pytest.raises(DataMissingError, match=r"paths\.parquet is missing from artifacts/cpcv: run `make studies`"):
        path_table(empty)


# The whole, and what is said of it.


def test_the_whole_study(stage, world, days, monkeypatch):
    monkeypatch.setattr(cpcv_run, "prepare", lambda _: world)
    monkeypatch.setattr(cpcv_run, "train", lambda *_: {})
    monkeypatch.setattr(cpcv_run, "walk_days", lambda *_: days)
    table = cpcv_run.run(stage)
    assert list(table.index) == ["path 1", "path 2"]
    glued = read_paths(stage)
    blocks = [part.mean() for part in np.array_split(glued["path 1"].to_numpy(), stage.params.plan.blocks)]
    assert table.loc["path 1", "effect_bps"] == pytest.approx(1e4 * np.mean(blocks))
    assert (table["n_days"] == len(glued)).all()
    written = json.loads((stage.workspace.metrics / "cpcv.json").read_text())
    assert written["n_combinations"] == 3
    assert written["n_paths"] == 2
    assert written["paths"]["path 2"]["n_days"] == len(glued)
    assert written["mean_bps"] == pytest.approx(table["effect_bps"].mean(), abs=1e-6)
    assert not stage.workspace.trials.exists()


def table_of(effects: list[float], p_values: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"effect_bps": effects, "p_value": p_values})
    return frame.set_axis([f"path {n}" for n in range(1, len(effects) + 1)])


@pytest.mark.parametrize(
    ("effects", "p_values", "said"),
    [
        (
            [1.0, 2.0],
            [0.01, 0.02],
            ["above zero on all of 2 paths", "+1.00 to +2.00", "+1.50 on average", "tells all of"],
        ),
        ([-1.0, -2.0], [0.5, 0.6], ["above zero on none of 2 paths", "-2.00 to -1.00", "tells none of them from zero"]),
        ([-1.0, 2.0, 0.0], [0.5, 0.01, 1.0], ["above zero on 1 of 3 paths", "tells 1 of them from zero"]),
    ],
)
def test_the_sentence_says_what_the_paths_are(effects, p_values, said):
    text = cpcv_sentence(table_of(effects, p_values), "ppo", "atr", 0.05)
    assert all(part in text for part in said)
    assert text.startswith("Trained on everything around its test, before it and after it, ppo minus atr is above zero")
    assert "has seen the future of what it is tested on" in text
    assert text.endswith("not an out-of-sample result, and no verdict rests on it.")


def test_the_distribution():
    found = summary(table_of([-1.0, 2.0, 5.0, 2.0], [1.0] * 4))
    assert found == {
        "n_paths": 4,
        "mean_bps": 2.0,
        "sd_bps": pytest.approx(np.sqrt(6.0)),
        "lowest_bps": -1.0,
        "highest_bps": 5.0,
        "share_above_zero": 0.75,
    }
    assert summary(table_of([1.0], [1.0]))["sd_bps"] == 0.0


def test_errors_are_one_line(capsys, monkeypatch):
    def refuse(*_, **__):
        raise ConfigError("no such thing")

    monkeypatch.setattr(cpcv_run, "open_stage", refuse)
    assert cpcv_run.main(["--profile", "quick"]) == 2
    assert capsys.readouterr().err == "sizewise: no such thing\n"

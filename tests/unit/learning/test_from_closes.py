"""A log of one's own teaches a table or networks: the pinned update, at closes alone, from what was known at the open."""
# ruff: noqa: PD011 (a table's values are no frame's)

import numpy as np
import pandas as pd
import pytest
import torch

import sizewise as sw
from sizewise.base.errors import ActionError, BarError, ConfigError, DataMissingError, DecisionError, LedgerError
from sizewise.dataset.features import CONFIDENCE, NAMES, compute_features, longest_warmup_days
from sizewise.learning.closed_trades.own import OwnTradeLearner
from sizewise.learning.closed_trades.policy import load_closed_trades
from sizewise.learning.from_closes import _Markets, learn_from, load_learner
from sizewise.learning.tabular.cells import action_names, state_number
from sizewise.learning.tabular.learning import blank
from sizewise.learning.tabular.sizer import TableAgent
from sizewise.learning.tabular.store import load_table
from sizewise.learning.trade_log import read_log
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals
from sizewise.params.learning.outcome import ClosedTrades, Replay
from sizewise.params.learning.tabular import Tabular

OUTCOME = Tabular(reward="outcome", accept_size_blind=True, max_risk_frac=None)
SHORT = Regimes(quantile_window_days=200)
SMALL = ClosedTrades(
    window_bars=8, channels=4, hidden=8, flow_window_bars=4, replay=Replay(warmup=8, batch=8), contribution_rate=0.1
)
# The reference design's trade: 2.37% in 4.5 hours, .8% against it on the way.
PIN = {
    "decision_id": "pin",
    "symbol": "BTCUSDT",
    "side": 1,
    "opened": "2025-11-26 15:30",
    "closed": "2025-11-26 20:00",
    "equity": 1000.0,
    "size_frac": 0.42,
    "leverage": 3.0,
    "confidence": 0.40,
    "regime": "low_vol_trending",
    "atr_frac": 0.01,
    "pnl_pct": 2.37,
    "drawdown_pct": 0.8,
}


def log_of(bars: pd.DataFrame, trades: int = 24, *, first: int = 400) -> pd.DataFrame:
    """Trades ten minutes into a bar; every second one closed in two parts of different results."""
    rng, rows = np.random.default_rng(0), []
    for n in range(trades):
        opened = bars.index[first + 20 * n] + pd.Timedelta("10min")
        was = {"decision_id": f"t{n}", "symbol": "X", "side": (-1) ** n, "opened": opened, "equity": 1000.0 + n}
        was |= {"size_frac": 0.05 + 0.01 * (n % 5), "confidence": 0.5 + 0.02 * (n % 10)}
        for part in range(1 + n % 2):
            gain = rng.normal(0.0, 2.0)
            done = {"pnl_pct": gain, "drawdown_pct": max(0.0, -gain) + 0.1, "share": 1.0 / (1 + n % 2)}
            rows.append(was | done | {"closed": opened + pd.Timedelta(hours=3 + 30 * part)})
    return pd.DataFrame(rows)


def weights(learner: OwnTradeLearner) -> torch.Tensor:
    layers = [value for layers in learner.policy.networks.values() for value in layers.values()]
    return torch.cat([value.flatten() for value in layers])


@pytest.fixture(scope="module")
def walk(make_bars):
    return make_bars(1200, seed=3, bar_minutes=1440)


def learn_models(log, walk, **given):
    return learn_from(log, bars={"X": walk}, regimes=SHORT, kind="outcome_ensemble", rules=SMALL, **given)


def test_the_pinned_reward_and_update():
    """C4 and C5: outcome 2.068125, and .234 becomes .50911875."""
    cell = state_number("low_vol_trending|very_low|light|neutral"), action_names(OUTCOME).index("0.7|3.0")
    table = blank("bandit", OUTCOME, 0.2)
    table.values[cell], table.visits[cell] = 0.234, 1
    learner = learn_from(pd.DataFrame([PIN]), after=TableAgent(table))
    assert learner.table.outcomes[-1]["reward"] == pytest.approx(2.068125, abs=1e-12)
    assert learner.table.values[cell] == pytest.approx(0.50911875, abs=1e-12)
    assert learner.table.values.sum() == learner.table.values[cell]
    fresh = learn_from(pd.DataFrame([PIN]), rules=OUTCOME).table
    assert fresh.values[cell] == pytest.approx(0.15 * 2.068125)


def test_two_halves_teach_what_the_whole_does():
    whole, half = pd.DataFrame([PIN]), pd.DataFrame([PIN | {"share": 0.5}] * 2)
    for kind in ("bandit", "q_table"):
        # What Q-learning is told last waits for the account's next state.
        after = {"decision_id": "next", "opened": "2025-11-27 10:00", "closed": "2025-11-27 11:00"}
        one, two = (
            learn_from(
                pd.concat([log, pd.DataFrame([PIN | after])]).fillna({"share": 1.0}), kind=kind, rules=OUTCOME
            ).table
            for log in (whole, half)
        )
        np.testing.assert_allclose(one.values, two.values, rtol=1e-12)
        assert one.values.any()
        assert two.updates == one.updates + 1


def test_tables_learn_at_closes_alone():
    opens = pd.DataFrame([PIN, PIN | {"decision_id": "b", "opened": "2025-11-26 21:00"}])
    closes = pd.DataFrame([PIN])[["decision_id", "closed", "pnl_pct", "drawdown_pct"]]
    learner = learn_from(closes, opens=opens, rules=OUTCOME)
    assert (learner.table.updates, learner.table.visits.sum()) == (1, 1.0)
    assert list(learner.table.open) == ["b"]
    before = learner.table
    learner.decide("c", "BTCUSDT", 0, equity=1000.0, atr_frac=0.0)
    np.testing.assert_array_equal(learner.table.values, before.values)
    learner.close("b", unit_return=0.01, worst=0.0, side=1, hours=1.0, timestamp="2025-11-27T00:00:00Z", share=0.5)
    assert learner.table.updates == 2


def test_the_state_is_that_of_the_account_at_the_open():
    """The second is taken while half of the first is open; what that gained does not count before it has ended."""
    at = [("a", "2024-01-01 00:00"), ("b", "2024-01-01 02:00"), ("c", "2024-01-01 05:00")]
    opens = pd.DataFrame([PIN | {"decision_id": name, "opened": when, "size_frac": 0.2} for name, when in at])
    ended = [("a", "01:00", 1.0, 0.5), ("a", "03:00", 1.0, 0.5), ("b", "04:00", 2.0, 1.0)]
    closes = pd.DataFrame(
        [
            {"decision_id": name, "closed": f"2024-01-01 {hour}", "pnl_pct": gain, "drawdown_pct": 0.0, "share": share}
            for name, hour, gain, share in ended
        ]
    )
    outcomes = learn_from(closes, opens=opens, rules=OUTCOME)
    states = {o["decision_id"]: o["state_key"] for o in outcomes.table.outcomes}
    assert states == {"a": "low_vol_trending|very_low|light|neutral", "b": "low_vol_trending|very_low|moderate|neutral"}
    assert outcomes.table.open["c"].state == state_number("low_vol_trending|very_low|light|good")


def test_regime_and_atr_come_from_the_last_bar_that_had_ended(walk):
    log = log_of(walk)
    table = learn_from(log, bars={"X": walk}, regimes=SHORT).table
    assert table.updates == len(log)
    assert table.visits.sum() == pytest.approx(24.0)
    features = compute_features(walk, SHORT, Signals())
    markets = _Markets.of({"X": walk}, SHORT)
    opened = read_log(log).opens.loc["t3"]
    row = walk.index.get_loc(opened["opened"].floor("D")) - 1
    regime, atr = markets.situation(opened.to_dict())
    assert (regime, atr) == (str(features["regime"].iloc[row]), features["atr_frac"].iloc[row])
    # To the moment of its end a bar has not ended.
    late = {"symbol": "X", "opened": walk.index[500]}
    assert markets.situation(late)[1] == features["atr_frac"].iloc[499]
    assert (
        markets.situation(late | {"opened": walk.index[500] - pd.Timedelta("1ns")})[1] == features["atr_frac"].iloc[498]
    )
    given = {
        o["decision_id"]: o["state_key"]
        for o in learn_from(log.assign(regime="neutral"), bars={"X": walk}).table.outcomes
    }
    assert all(state.startswith("neutral|") for state in given.values())


@pytest.mark.parametrize("kind", ["bandit", "outcome_ensemble"])
def test_bars_after_the_last_open_teach_nothing(walk, kind):
    log = log_of(walk)
    cut = int(walk.index.searchsorted(log["opened"].max())) - 1
    poisoned = walk.copy()
    poisoned.iloc[cut:] *= 1.5
    rules = SMALL if kind == "outcome_ensemble" else None

    def learned(bars, at=log):
        learner = learn_from(at, bars={"X": bars}, regimes=SHORT, kind=kind, rules=rules)
        return learner.table.values if kind == "bandit" else weights(learner).numpy()

    np.testing.assert_array_equal(learned(walk), learned(poisoned))
    early = walk.copy()
    early.iloc[: cut - 1] *= np.linspace(1.0, 1.5, cut - 1)[:, None]
    if kind != "bandit":
        assert not np.array_equal(learned(walk), learned(early))


def test_a_window_is_that_of_the_decision(walk):
    opened = read_log(log_of(walk)).opens.loc["t3"].to_dict()
    window = pd.DataFrame(_Markets.of({"X": walk}, SHORT).window(opened, 8), columns=list(NAMES))
    features = compute_features(walk, SHORT, Signals())
    row = walk.index.get_loc(opened["opened"].floor("D")) - 1
    for name in ("ret_1", "volume_z_24"):
        np.testing.assert_allclose(window[name], features[name].iloc[row - 7 : row + 1], rtol=1e-6)
    assert window["signal_direction"].tolist() == [0.0] * 7 + [-1.0]
    assert window[CONFIDENCE].tolist() == pytest.approx([0.56] * 8)


def test_networks_learn_at_closes_and_each_close_is_an_update(walk):
    log = log_of(walk)
    learner = learn_models(log, walk)
    assert learner.closes == learner.updates == len(log) == 36
    assert sum(learner.contributions.values()) == pytest.approx(1.0)
    assert learner.contributions["cnn"] != SMALL.contributions.cnn


def test_contributions_of_the_log_train_the_models_that_have_one(walk):
    log = log_of(walk)
    none = learn_models(
        log.assign(closed=log["closed"] + pd.Timedelta("1D")).iloc[:0], walk, opens=log.drop_duplicates("decision_id")
    )
    learner = learn_models(log.assign(cnn=0.0, dqn=0.4, order_flow=0.6), walk)
    moved = {
        model: not torch.equal(layers["head_w"], none.policy.networks[model]["head_w"])
        for model, layers in learner.policy.networks.items()
    }
    assert moved == {"cnn": False, "dqn": True, "order_flow": True}
    assert none.updates == 0


@pytest.mark.parametrize("kind", ["q_table", "outcome_ensemble"])
def test_a_log_in_two_parts_with_a_restart_between(walk, kind, tmp_path):
    """The parts meet inside a decision, which stays open between them."""
    log = log_of(walk).sort_values("closed", kind="stable")
    cut = log["closed"].iloc[15]
    opens = log.drop_duplicates("decision_id")
    first, rest = log[log["closed"] <= cut], log[log["closed"] > cut]
    given = {
        "bars": {"X": walk},
        "regimes": SHORT,
        "rules": SMALL if kind == "outcome_ensemble" else None,
        "kind": kind,
    }
    whole = learn_from(log, **given)
    learn_from(first, opens=opens[opens["opened"] < cut], **given).save(tmp_path)
    learner = learn_from(rest, opens=opens, bars={"X": walk}, regimes=SHORT, after=load_learner(tmp_path))
    if kind == "q_table":
        np.testing.assert_array_equal(whole.table.values, learner.table.values)
        assert whole.table.outcomes == learner.table.outcomes
        assert whole.table.updates > 10
    else:
        assert torch.equal(weights(whole), weights(learner))


def test_what_is_kept_is_used_like_any_other(walk, tmp_path):
    learner = learn_from(log_of(walk), bars={"X": walk}, regimes=SHORT)
    learner.save(tmp_path / "table")
    assert load_table(tmp_path / "table").updates == 36
    assert isinstance(sw.load_learner(tmp_path / "table"), TableAgent)
    models = learn_models(log_of(walk), walk)
    models.save(tmp_path / "models")
    policy = load_closed_trades(tmp_path / "models", SMALL, "outcome_ensemble")
    assert policy.known("X") == "X"
    assert isinstance(sw.load_learner(tmp_path / "models"), OwnTradeLearner)
    with pytest.raises(DataMissingError, match=r"table\.json is missing"):
        load_learner(tmp_path)


def test_bars_that_are_missing_or_too_few(walk):
    log = log_of(walk)
    with pytest.raises(BarError, match=f"no bars of 'X', opened at {log['opened'].iloc[0]:%Y-%m-%d}"):
        learn_from(log)
    with pytest.raises(BarError, match="no bars of 'X'"):
        learn_from(log, kind="dqn", rules=SMALL, bars={"Y": walk}, regimes=SHORT)
    needed = longest_warmup_days(SHORT) + SMALL.window_bars
    early = log_of(walk, first=needed - 1)
    with pytest.raises(BarError, match=rf"X: {needed - 1} bars had ended at the open of .*, {needed} are needed"):
        learn_from(early, kind="dqn", rules=SMALL, bars={"X": walk}, regimes=SHORT)
    assert (
        learn_from(log_of(walk, 2, first=needed), kind="dqn", rules=SMALL, bars={"X": walk}, regimes=SHORT).closes == 3
    )


def test_what_cannot_be_learned_from():
    log = pd.DataFrame([PIN])
    with pytest.raises(ConfigError, match="rules are of ClosedTrades, this kind learns by Tabular"):
        learn_from(log, rules=SMALL)
    with pytest.raises(ConfigError, match="reward outcome cannot teach sizes"):
        learn_from(log, rules=Tabular(reward="outcome"))
    with pytest.raises(ActionError, match="regime 'calm' is unknown"):
        learn_from(log.assign(regime="calm"))
    with pytest.raises(LedgerError, match="closes row 0, column pnl_pct: nan of decision 'pin' must be finite"):
        learn_from(log.assign(pnl_pct=np.nan))
    with pytest.raises(DecisionError, match="closes row 1, column share"):
        learn_from(pd.DataFrame([PIN, PIN]))


def test_cards_say_what_was_learned_from(walk):
    table = learn_from(pd.DataFrame([PIN]), rules=OUTCOME)
    assert "sizing table: bandit" in table._repr_html_()
    assert "1 of 300" in table._repr_html_()
    models = learn_models(log_of(walk, 4), walk)._repr_html_()
    assert "learner of closed trades: outcome_ensemble, seed 1" in models
    assert "6, " in models  # closes: two of four trades in two parts

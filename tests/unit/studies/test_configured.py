"""The market of params.yaml in notebook 05: any of it runs, and what its parameters say shows."""

from dataclasses import replace

import numpy as np
import pytest

from sizewise.base.errors import LedgerError
from sizewise.base.paths import Workspace
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.params.trading.trading import Trading
from sizewise.studies import configured, mechanics

PAYS = {"penalties": {"flat_after_hours": 0.0, "flat_per_hour": 0.01, "final": 0.5, "suppression": {"cycles": 8}}}
MASKED = {"scheme": {"kind": "sizing7", "mode": "masked"}}


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace.open()


@pytest.fixture
def walk(params, workspace):
    """`walk(change, signals)`: the market of params.yaml with some of its `trading` section changed."""

    def walked(change=None, signals=None, *, bars: int = 80) -> configured.Configured:
        trading = Trading.model_validate(params.trading.model_dump() | (change or {}))
        return configured.walk(
            trading, params.account, signals or params.signals, workspace, bars=bars, before=params.splits.end
        )

    return walked


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"scheme": {"kind": "bsh"}, "costs": {"kind": "zero"}},
        {
            "scheme": {"kind": "manage_inventory"},
            "costs": {"kind": "venue", "name": "bitmex"},
            "rules": {"max_open_orders": 1, "max_open_lots": 10},
            "reward": {"kind": "unrealised_exposure"},
        },
        {"scheme": {"kind": "simplex"}, "symbols": ["BTCUSDT_1h", "EURUSD_1h"], "costs": {"kind": "flat"}},
    ],
    ids=["default", "bsh", "inventory", "simplex"],
)
def test_any_market_of_the_parameters_runs(change, walk, workspace):
    drawn = walk(change)
    assert drawn.trading.scheme.kind in configured.sentence(drawn)
    assert len(drawn.done.fills) > 0
    assert drawn.bare.any()
    assert len(configured.draw(drawn, workspace).axes) == 3


@pytest.mark.parametrize(
    "reward",
    [
        {"kind": "log_growth"},
        {"kind": "size_weighted_return"},
        {"kind": "size_added", "coef": 0.01},
        {"kind": "drawdown_penalised"},
        {"kind": "differential_sharpe"},
        {"kind": "differential_sortino"},
        {"kind": "log_growth", **PAYS},
    ],
    ids=lambda reward: reward["kind"] + ("_penalised" if "penalties" in reward else ""),
)
def test_another_reward_is_another_table_figure_and_metric(reward, walk):
    plain, other = walk({"reward": {"kind": "log_growth"}}), walk({"reward": reward})
    same = reward == {"kind": "log_growth"}
    assert configured.largest_steps(plain).equals(configured.largest_steps(other)) is same
    assert (configured.reward_sentence(plain) == configured.reward_sentence(other)) is same
    lines = [configured.draw_reward(drawn).axes[1].lines[0].get_ydata() for drawn in (plain, other)]
    assert np.array_equal(*lines) is same
    records = [configured.record({}, drawn)["configured"] for drawn in (plain, other)]
    assert (records[0] == records[1]) is same
    # The account is the same: rewards move no money.
    assert plain.done.equity.equals(other.done.equity)


def test_log_growth_adds_up_and_penalties_stand_beside_it(walk):
    drawn = walk({"reward": {"kind": "log_growth", **PAYS}}, bars=120)
    steps, equity = configured.reward_steps(drawn), drawn.done.equity
    assert len(steps) == len(equity) - 1
    assert steps["before penalties"].sum() == pytest.approx(np.log(equity.iloc[-1] / equity.iloc[0]))
    flat = (drawn.done.position_value.iloc[1:] == 0).to_numpy()
    due = -0.01 * flat
    due[-1] -= 0.5
    assert steps["penalties"].to_numpy() == pytest.approx(due)
    assert steps["sum so far"].iloc[-1] == pytest.approx(steps["reward"].sum())


def test_the_curriculum_is_that_of_the_parameters(walk):
    drawn = walk({"reward": {"kind": "log_growth", **PAYS}})
    table, steps = configured.curriculum(drawn), configured.reward_steps(drawn)
    assert table.index.tolist() == [0, 2, 4, 6, 8]
    assert table["force of penalties"].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert table["sum of rewards"].iloc[0] == pytest.approx(steps["before penalties"].sum(), abs=1e-8)
    assert table["sum of rewards"].iloc[-1] == pytest.approx(steps["reward"].sum(), abs=1e-8)


def test_a_scheme_that_follows_a_signal_follows_the_section(walk):
    slow = Signals(family=Donchian(entry_days=3, exit_days=1))
    assert not walk(MASKED, bars=300).done.equity.equals(walk(MASKED, slow, bars=300).done.equity)
    assert walk({}).done.equity.equals(walk({}, slow).done.equity)


def test_a_reward_that_is_not_the_growth_is_refused(walk, params):
    drawn = walk()
    wrong = replace(drawn, bare=drawn.bare + 0.25 * (np.arange(len(drawn.bare)) == 40))
    with pytest.raises(LedgerError, match=r"rewards miss the growth of log equity by 0\.25"):
        configured.check_growth(wrong, params.account)


def test_the_record_is_by_mechanism(walk, workspace):
    flip, drawn = mechanics.work(mechanics.CASES["flip"], workspace), walk()
    record = configured.record({"flip": flip}, drawn)
    assert set(record) == {"flip", "configured"}
    assert record["flip"]["fills"] == 4.0
    assert record["flip"]["fees"] == pytest.approx(flip.done.flows["fees"].sum())
    assert record["configured"]["reward"] == pytest.approx(drawn.done.reward.sum(), abs=1e-9)


def test_no_sealed_bar_is_drawn(walk, params):
    assert walk().done.equity.index[-1].date() < params.splits.end

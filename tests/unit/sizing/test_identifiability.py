"""The identifiability gate (design C row C6): what cannot teach a size is refused, what can is not."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import ConfigError
from sizewise.params.trading import trading
from sizewise.params.trading.account import Account
from sizewise.params.trading.rewards import (
    DifferentialSharpe,
    DifferentialSortino,
    DrawdownPenalised,
    LogGrowth,
    Penalties,
    SizeWeightedReturn,
    UnrealisedExposure,
)
from sizewise.params.trading.trading import SEVEN, Levels
from sizewise.sizing.identifiability import (
    Probe,
    check_identifiable,
    examine,
    identifiability_table,
    sizes_of,
    step_probe,
    trade_probe,
)
from sizewise.trading.schemes.catalogue import MODELS

SIZES = (0.05, 0.10, 0.20)
MOVES = np.random.default_rng(0).normal(0.0, 0.01, (60, 1))


def planted(rewards, *, accept_relative: bool | None = None) -> Probe:
    return Probe("planted", rewards, len(MOVES), len(MOVES), accept_relative)


# What the measure says of rewards whose answer is known.


@pytest.mark.parametrize(
    ("rewards", "response"),
    [
        (lambda f: f * MOVES, 1.0),
        (lambda f: 0.0 * f + MOVES, 0.0),
        (lambda f: 0.0 * f, 0.0),
        (lambda f: np.sign(f) * MOVES, 0.0),
        # (sqrt(4) - 1) / (4 - 1) is the least over the factors.
        (lambda f: np.sqrt(f) * MOVES, 1 / 3),
        (lambda f: f**2 * MOVES, 2.5),
        (lambda f: -f * MOVES, 1.0),
    ],
)
def test_the_response_of_planted_rewards(rewards, response):
    assert examine(planted(rewards), SIZES).response == pytest.approx(response, abs=1e-12)


def test_a_reward_that_is_blind_in_a_range_says_where():
    # It follows size up to 1% of equity and from 1 on, and hears nothing in between.
    probe = planted(lambda f: (np.minimum(f, 0.01) + np.maximum(f - 1.0, 0.0)) * MOVES)
    found = examine(probe, SIZES)
    assert not found.accepted
    assert found.response == 0.0
    assert 0.001 < found.blind_from < 0.01
    assert 0.25 < found.blind_to <= 1.0
    assert examine(probe, [0.001, 0.002]).accepted
    with pytest.raises(ConfigError, match=r"planted cannot teach sizes from 0\.05 to 0\.2 of equity"):
        check_identifiable(probe, SIZES)


def test_one_blind_size_among_several_is_enough():
    probe = planted(lambda f: np.minimum(f, 0.1) * MOVES)
    assert examine(probe, [0.01, 0.02]).accepted
    found = examine(probe, [0.01, 0.02, 0.5])
    assert (found.accepted, found.at_size) == (False, 0.5)


def test_the_threshold_is_the_callers():
    probe = planted(lambda f: np.sqrt(f) * MOVES)
    assert check_identifiable(probe, SIZES, threshold=0.3).accepted
    with pytest.raises(ConfigError, match=r"response to size is 0\.333 at 0\.05, 0\.5 is needed"):
        check_identifiable(probe, SIZES)


# Rewards of steps.


@pytest.mark.parametrize(
    "model",
    [
        LogGrowth(),
        SizeWeightedReturn(),
        DrawdownPenalised(),
        DrawdownPenalised(coef=5.0),
        UnrealisedExposure(),
        LogGrowth(penalties=Penalties(held_per_hour=1e-5, flat_per_hour=1e-5, ruin=1.0)),
    ],
    ids=lambda model: model.kind,
)
def test_rewards_in_which_size_counts_are_accepted(model):
    found = check_identifiable(step_probe(model), SIZES)
    assert found.accepted
    assert not found.relative
    assert found.response > 0.95


@pytest.mark.parametrize("model", [DifferentialSharpe, DifferentialSortino])
def test_a_ratio_is_refused_unless_relative_sizes_are_wanted(model):
    message = rf"reward {model().kind} cannot teach sizes from 0\.05 to 0\.2.*set its accept_relative to true"
    with pytest.raises(ConfigError, match=message):
        check_identifiable(step_probe(model()), SIZES)
    found = check_identifiable(step_probe(model(accept_relative=True)), SIZES)
    assert found.accepted
    assert found.relative
    assert found.response < 0.05
    assert found.single_response > 0.8


def test_accepting_relative_sizes_does_not_let_a_blind_reward_through():
    # What each step earns is divided by its own size, so that not even relative sizes show.
    blind = planted(lambda f: f * MOVES / f, accept_relative=True)
    with pytest.raises(ConfigError, match=r"nor does what one step earns follow its own size \(response 0\)"):
        check_identifiable(blind, SIZES)
    relative = planted(lambda f: f * MOVES / f.mean(axis=0), accept_relative=True)
    assert check_identifiable(relative, SIZES).relative


@pytest.mark.parametrize(
    ("rates", "guilty"),
    [
        # 1% an hour, where an hour moves 5 basis points of equity; limits far beyond the day that a trade is held.
        ({"held_after_hours": 6.0, "held_per_hour": 0.01}, "held_per_hour"),
        ({"held_after_hours": 5000.0, "held_per_hour": 0.01}, "held_per_hour"),
        ({"flat_after_hours": 1.0e6, "flat_per_hour": 10.0}, "flat_per_hour"),
        ({"final": 0.5}, "final"),
        ({"final": 5.0, "held_per_hour": 1e-6, "ruin": 2.0}, "final"),
        ({"held_per_hour": 0.01, "flat_per_hour": 0.01, "ruin": 1.0}, "held_per_hour and penalties.flat_per_hour"),
        # Neither does it alone.
        ({"held_per_hour": 1.4e-3, "flat_per_hour": 1.4e-3}, "held_per_hour and penalties.flat_per_hour"),
    ],
)
def test_penalties_that_drown_the_growth_are_refused_by_name(rates, guilty):
    message = rf"^penalties\.{guilty} of reward log_growth would drown what sizes from 0\.05 .* and 1 without penalties"
    with pytest.raises(ConfigError, match=message):
        check_identifiable(step_probe(LogGrowth(penalties=Penalties(**rates))), SIZES)


def test_each_of_two_penalties_that_drown_together_is_small_enough_alone():
    for name in ("held_per_hour", "flat_per_hour"):
        assert check_identifiable(step_probe(LogGrowth(penalties=Penalties(**{name: 1.4e-3}))), SIZES).accepted


@pytest.mark.parametrize("name", ["held_per_hour", "flat_per_hour", "ruin", "final"])
def test_every_penalty_is_met_by_its_probe(name):
    size = np.full((1, 1), 0.1)
    model = LogGrowth(penalties=Penalties(**{name: 1.0, "held_after_hours": 3000.0, "flat_after_hours": 3000.0}))
    probe = step_probe(model)
    bare = probe.parts["none"]
    paid = -probe.rewards(np.repeat(size, probe.length, 0)).sum()
    free = -bare.rewards(np.repeat(size, bare.length, 0)).sum()
    # A day beyond the limit; a fortieth of the accounts an equity of size; once.
    due = {"held_per_hour": 24.0, "flat_per_hour": 24.0, "ruin": 0.1 / 40.0, "final": 1.0}
    assert paid - free == pytest.approx(due[name], abs=1e-2 if name == "held_per_hour" else 1e-9)


def test_ruin_follows_size_however_dear_it_is():
    assert check_identifiable(step_probe(LogGrowth(penalties=Penalties(ruin=1e4))), SIZES).response == pytest.approx(
        1.0
    )


def test_a_ratio_is_blamed_for_itself_and_its_penalties_for_theirs():
    dear = Penalties(held_per_hour=100.0)
    with pytest.raises(ConfigError, match=r"^reward differential_sharpe cannot .* set its accept_relative to true"):
        check_identifiable(step_probe(DifferentialSharpe(penalties=dear)), SIZES)
    message = r"^penalties\.held_per_hour of reward differential_sharpe .* and 1\.\d+ without penalties"
    with pytest.raises(ConfigError, match=message):
        check_identifiable(step_probe(DifferentialSharpe(penalties=dear, accept_relative=True)), SIZES)


# Rewards of closed trades.


def test_growth_of_a_trade_is_accepted():
    assert check_identifiable(trade_probe("trade_log_growth"), SIZES).response > 0.99


@pytest.mark.parametrize("name", ["return_on_notional", "outcome"])
def test_percentages_of_notional_are_refused(name):
    # C6: pnl over notional is the same for every size and leverage.
    with pytest.raises(ConfigError, match=rf"reward {name} cannot teach .* response to size is 0 at"):
        check_identifiable(trade_probe(name), SIZES)
    assert examine(trade_probe(name), SIZES).single_response == 0.0


def test_the_same_formula_on_shares_of_equity_is_accepted():
    found = check_identifiable(trade_probe("outcome_of_equity"), SIZES)
    assert found.response > 0.7
    # The bonus for winning, which no size changes, is all there is at small sizes.
    assert 0.001 <= found.blind_from < found.blind_to < 0.05


def test_the_composite_reward_is_refused_where_it_is_blind():
    probe = trade_probe("composite_close")
    with pytest.raises(ConfigError, match="reward composite_close cannot teach"):
        check_identifiable(probe, SIZES)
    found = examine(probe, SIZES)
    assert found.response < 0.1
    # Its risk and consistency terms divide by the size; only past several times equity does the first term take over.
    assert found.blind_from == pytest.approx(0.001)
    assert 4.0 < found.blind_to < 8.0
    assert check_identifiable(probe, [8.0, 10.0]).accepted
    with pytest.raises(ConfigError, match="composite_close"):
        check_identifiable(probe, [found.blind_to, 10.0])


# What is asked, and of whom.


@pytest.mark.parametrize("sizes", [[], [0.1], [0.1, 0.1], [0.0, 0.1]])
def test_with_one_size_nothing_is_asked(sizes):
    assert check_identifiable(trade_probe("return_on_notional"), sizes) is None


def test_sizes_of_every_scheme():
    account = Account()
    sizes = {kind: sizes_of(model, account) for kind, model in MODELS.items()}
    assert sizes["sizing7"] == pytest.approx((0.02625, 0.0525, 0.07875))
    assert len(sizes["sizing13"]) == 6
    assert sizes["sizing3"] == sizes["legacy3"] == pytest.approx((0.0525,))
    # $60 at once to $300 at five times, of $1,000.
    assert (sizes["size_by_leverage25"][0], sizes["size_by_leverage25"][-1]) == pytest.approx((0.06, 1.5))
    assert sizes["bsh"] == (1.0,)
    assert sizes["manage_inventory"] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert sizes["simple"] == trading.Simple(kind="simple").sizes
    assert len(sizes["simplex"]) > 1
    assert sizes_of(SEVEN, account) == pytest.approx(sizes["sizing7"])
    assert sizes_of(Levels(kind="levels", levels=(-2.0, 0.0, 1.0, 2.0)), account) == (0.0, 1.0, 2.0)


def test_the_table_shows_every_reward():
    table = identifiability_table(SIZES).set_index(["reward", "relative"])
    assert list(table.columns) == [
        "learns_from", "response", "at_size", "single_response", "blind_from", "blind_to", "accepted",
    ]  # fmt: skip
    accepted = table["accepted"].to_dict()
    assert {name for (name, relative), yes in accepted.items() if yes and not relative} == {
        "log_growth", "size_weighted_return", "size_added", "drawdown_penalised", "unrealised_exposure", "trade_log_growth",
        "outcome_of_equity", "risk_priced",
    }  # fmt: skip
    assert {name for (name, relative), yes in accepted.items() if yes and relative} == {
        "differential_sharpe", "differential_sortino",
    }  # fmt: skip
    assert {name for (name, _), yes in accepted.items() if not yes} == {
        "differential_sharpe", "differential_sortino", "return_on_notional", "outcome", "composite_close",
    }  # fmt: skip


def test_the_table_of_rewards_asks_nothing_of_a_size_of_nothing():
    """Among multiples of a rule is 0, to whose rescaling no reward responds."""
    with_zero = identifiability_table((0.0, 0.25, 0.5))
    pd.testing.assert_frame_equal(with_zero, identifiability_table((0.25, 0.5)))
    assert with_zero.set_index("reward").loc["log_growth", "accepted"]

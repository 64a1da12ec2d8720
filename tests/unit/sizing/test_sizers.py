"""The rule arms, design C row C11 first: what each would hold, when, and never above the cap."""

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.learning.ppo.training import policies_of
from sizewise.params.arms import (
    AtrArm,
    AtrMatchedArm,
    BuyAndHoldArm,
    ConstantArm,
    KellyArm,
    OracleArm,
    PpoArm,
    RandomPlaceboArm,
    VolTargetArm,
)
from sizewise.params.trading.account import Account
from sizewise.sizing.sizers import BuyAndHoldSizer, Situation, Sizer, rule_sizer

from ...hand_sizers import atr_sizer, constant_sizer, vol_target_sizer


def sent(sizer: Sizer, at: Situation) -> torch.Tensor:
    """The value of what it orders, at a close of 1."""
    return sizer.orders(at).market[0]


CAP = 0.20
NO_CAP = 1e9
SIGNAL_SIZERS = {
    "atr": atr_sizer(risk_frac=0.005, stop_atr=1.5, confidence_rule=False, limit_frac=CAP),
    "constant": constant_sizer(size_frac=0.10, limit_frac=CAP),
    "vol_target": vol_target_sizer(annual_vol_frac=0.10, limit_frac=CAP),
}


def decision(
    *, equity=1000.0, position=0.0, direction=1.0, entry=True, confidence=0.6, atr_frac=0.015, annual_vol=0.8
) -> Situation:
    """One path (or several, where a field is a list); what is not given is broadcast."""
    fields = (equity, position, direction, confidence, atr_frac, annual_vol)
    columns = torch.broadcast_tensors(
        *(torch.tensor(field, dtype=torch.float64) for field in fields), torch.tensor(entry)
    )
    equity, position, direction, confidence, atr_frac, annual_vol, entry = columns
    return Situation(
        rows=torch.zeros_like(equity, dtype=torch.int64),
        equity=equity,
        position=position,
        direction=direction,
        entry=entry,
        confidence=confidence,
        atr_frac=atr_frac,
        annual_vol=annual_vol,
    )


def atr(**changes) -> atr_sizer:
    settings = {"risk_frac": 0.005, "stop_atr": 1.5, "confidence_rule": False, "limit_frac": NO_CAP}
    return atr_sizer(**(settings | changes))


# C11: the ATR arm.


def test_c11_before_and_after_the_cap():
    # 30,000 * .005 / (1.5 * 1.5%) = 6,666.67 = 22.2% of equity; the cap of 20% leaves 6,000.
    moment = decision(equity=30_000.0)
    assert sent(atr(), moment).item() == pytest.approx(6_666.67, abs=0.005)
    assert sent(atr(limit_frac=CAP), moment).item() == pytest.approx(6_000.0)


def test_a_stop_hit_loses_the_risk():
    moment = decision(equity=30_000.0, direction=-1.0)
    position = sent(atr(), moment).item()
    assert position == pytest.approx(-6_666.67, abs=0.005)
    assert position * 1.5 * 0.015 == pytest.approx(-30_000 * 0.005)


@pytest.mark.parametrize(
    ("confidence", "factor"),
    [(0.0, 0.5), (0.49, 0.5), (0.5, 1.0), (0.6, 1.0), (0.7, 1.0), (0.71, 1.5), (1.0, 1.5)],
)
def test_the_old_confidence_rule(confidence, factor):
    # Above .7 one and a half times, below .5 half; both edges belong to the plain size.
    moment = decision(equity=30_000.0, confidence=confidence)
    assert sent(atr(confidence_rule=True), moment).item() == pytest.approx(factor * 6_666.67, abs=0.01)
    assert sent(atr(confidence_rule=False), moment).item() == pytest.approx(6_666.67, abs=0.01)


def test_the_confidence_rule_is_capped_after_its_factor():
    # At ATR 4%: 1000 * .005 / .06 = 83.33; half of it is below the cap, and so is one and a half times.
    moment = decision(atr_frac=0.04, confidence=[0.4, 0.6, 0.8])
    rule = atr(confidence_rule=True, limit_frac=0.12)
    assert sent(rule, moment).tolist() == pytest.approx([41.67, 83.33, 120.0], abs=0.005)


def test_no_size_while_atr_is_cold():
    orders = sent(atr(), decision(atr_frac=[0.0, 0.015], position=[0.0, 0.0]))
    assert orders[0].item() == 0.0
    assert orders[1].item() > 0.0


# The other rules.


@pytest.mark.parametrize(("annual_vol", "dollars"), [(0.8, 125.0), (0.5, 200.0), (0.2, 200.0), (0.0, 0.0)])
def test_vol_target(annual_vol, dollars):
    # 10% over a forecast of 80% is 12.5% of equity; below a forecast of 50% the cap binds; a cold forecast has no size.
    assert sent(SIGNAL_SIZERS["vol_target"], decision(annual_vol=annual_vol)).item() == pytest.approx(dollars)


@pytest.mark.parametrize(("equity", "dollars"), [(1000.0, 100.0), (1500.0, 150.0)])
def test_constant(equity, dollars):
    assert sent(SIGNAL_SIZERS["constant"], decision(equity=equity)).item() == pytest.approx(dollars)


def test_buy_and_hold_enters_once_whatever_the_signal_says():
    sizer = BuyAndHoldSizer(limit_frac=CAP)
    signals = {"direction": [1.0, 0.0, -1.0], "entry": [True, False, True]}
    assert sent(sizer, decision(**signals)).tolist() == pytest.approx([200.0] * 3)
    assert sent(sizer, decision(position=150.0, **signals)).tolist() == [0.0] * 3


# When they trade.


@pytest.mark.parametrize("name", SIGNAL_SIZERS)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_enters_at_entry_bars_only(name, side):
    sizer = SIGNAL_SIZERS[name]
    assert sent(sizer, decision(direction=side, entry=True)).item() * side > 50.0
    # The signal is live but its entry bar has passed: no late entry, and no resizing of what is held.
    assert sent(sizer, decision(direction=side, entry=False)).item() == 0.0
    assert sent(sizer, decision(direction=side, entry=False, position=side * 60.0)).item() == 0.0


@pytest.mark.parametrize("name", SIGNAL_SIZERS)
@pytest.mark.parametrize(("position", "direction"), [(60.0, 0.0), (-60.0, 0.0), (60.0, -1.0), (-60.0, 1.0)])
def test_closes_when_the_signal_leaves(name, position, direction):
    order = sent(SIGNAL_SIZERS[name], decision(position=position, direction=direction, entry=False))
    assert order.item() == -position


@pytest.mark.parametrize("name", SIGNAL_SIZERS)
def test_a_turn_closes_and_opens_the_other_side(name):
    sizer = SIGNAL_SIZERS[name]
    fresh = sent(sizer, decision(direction=-1.0)).item()
    assert fresh < 0.0
    assert sent(sizer, decision(position=60.0, direction=-1.0)).item() == pytest.approx(fresh - 60.0)


@pytest.mark.parametrize("name", SIGNAL_SIZERS)
def test_drift_past_the_cap_is_held(name):
    assert sent(SIGNAL_SIZERS[name], decision(position=450.0, entry=False)).item() == 0.0


# The same cap for every arm.


@pytest.mark.parametrize(
    "arm",
    [
        AtrArm(kind="atr", risk_frac=0.5),
        AtrArm(kind="atr", risk_frac=0.5, confidence_rule=True),
        ConstantArm(kind="constant", size_frac=1.0),
        VolTargetArm(kind="vol_target", annual_vol_frac=5.0),
        BuyAndHoldArm(kind="buy_and_hold"),
    ],
    ids=["atr", "atr_confidence", "constant", "vol_target", "buy_and_hold"],
)
@pytest.mark.parametrize(("account", "limit"), [(Account(), 0.20), (Account(safety_buffer_frac=0.95), 0.05)])
def test_all_arms_share_one_cap(arm, account, limit):
    # The cap, or what the safety buffer leaves: identical to the limit of the learned arm's actions.
    moment = decision(equity=30_000.0, confidence=0.9)
    assert sent(rule_sizer(arm, account), moment).item() == pytest.approx(limit * 30_000.0)


def test_arms_hand_their_parameters_to_their_sizers():
    account = Account()
    pairs = [
        (AtrArm(kind="atr", risk_frac=0.001, stop_atr=2.0, confidence_rule=True), atr_sizer(0.001, 2.0, True, CAP)),
        (ConstantArm(kind="constant", size_frac=0.07), constant_sizer(0.07, CAP)),
        (VolTargetArm(kind="vol_target", annual_vol_frac=0.03), vol_target_sizer(0.03, CAP)),
        (BuyAndHoldArm(kind="buy_and_hold"), BuyAndHoldSizer(CAP)),
    ]
    at = decision(confidence=[0.4, 0.6, 0.8], position=0.0)
    ordered = [sent(rule_sizer(arm, account), at).tolist() for arm, _ in pairs]
    assert ordered == [sent(sizer, at).tolist() for _, sizer in pairs]
    assert len({tuple(orders) for orders in ordered}) == len(pairs)


@pytest.mark.parametrize(
    "arm",
    [
        AtrMatchedArm(kind="atr_exposure_matched", matches="ppo"),
        KellyArm(kind="kelly"),
        RandomPlaceboArm(kind="random_placebo"),
        OracleArm(kind="oracle_hindsight"),
    ],
    ids=lambda arm: arm.kind,
)
def test_an_arm_with_sizes_of_its_own_is_made_elsewhere(arm):
    with pytest.raises(ConfigError, match=f"arm of kind '{arm.kind}' sizes by more than its parameters"):
        rule_sizer(arm, Account())


def test_a_learned_arm_is_no_rule():
    ppo = PpoArm(kind="ppo")
    with pytest.raises(ConfigError, match="arm of kind 'ppo' sizes by more than its parameters"):
        rule_sizer(ppo, Account())
    assert policies_of({"ppo": ppo, "constant": ConstantArm(kind="constant", size_frac=0.1)}) == {"ppo": ppo}

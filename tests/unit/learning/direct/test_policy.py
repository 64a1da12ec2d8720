"""On the one real account a policy earns what it earned in training; its file is read back, or refused with the reason."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.dataset.clock import decision_rows
from sizewise.dataset.market_tensor import fold_confidence
from sizewise.learning.direct.learner import walk_lesson
from sizewise.learning.direct.lessons import divide, lesson_of, scalers_of
from sizewise.learning.direct.policy import LAYOUT, WEIGHTS, DirectPolicy, DirectSizer, load_direct, save_direct
from sizewise.learning.direct.training import train_direct
from sizewise.learning.ppo.encoders import MarketView
from sizewise.params.arms import AtrArm
from sizewise.params.trading.trading import Rules
from sizewise.sizing.walks import backtest

from ....hand_direct import ARM, ATR, WORLD, direct_settings, fold_of, telling_market

FREE = Rules(rounding=False)


@pytest.fixture(scope="module")
def market():
    return telling_market()


@pytest.fixture(scope="module")
def policies(market):
    found = train_direct(market, fold_of(market), (1, 2), "direct", ARM, direct_settings(passes=10))
    # Sizes that hardly vary would be no test of anything.
    return [
        replace(one.policy, parameters={name: 3.0 * value for name, value in one.policy.parameters.items()})
        for one in found
    ]


def walked(market, policies, spans, of_path, symbols, *, rules=FREE, account=WORLD.account):
    confidence = fold_confidence(market, fold_of(market))
    starts, lengths = torch.tensor([(start, stop - start) for start, stop in spans]).T
    sizer = DirectSizer(
        market, policies, [confidence] * len(policies), torch.tensor(of_path), torch.tensor(symbols), account
    )
    zeros = torch.zeros(len(spans), dtype=torch.int64)
    decides = decision_rows(market, WORLD.decisions, follows_signal=True)
    return backtest.run(
        market, starts, lengths, confidence.unsqueeze(0), zeros, sizer, account, rules, decides=decides, record=True
    )


def account_of(market, policy: DirectPolicy):
    fold = fold_of(market)
    confidence = fold_confidence(market, fold)
    fit, _ = divide(fold, 0.2, 10)
    view = MarketView(market, [confidence], [policy.scalers], 1)
    lesson = lesson_of(market, fit, ATR, WORLD, confidence, view)
    one = {name: value.unsqueeze(0) for name, value in policy.parameters.items()}
    return fit, walk_lesson(one, lesson, lesson.start(1), 1.0)


@pytest.mark.parametrize(
    ("rules", "tolerance"),
    [
        # No lots: the two differ by the last digits.
        (FREE, 1e-11),
        # Standard world: whole lots of 100,000 dollars.
        (Rules(), 2e-4),
    ],
)
def test_the_broker_pays_what_training_saw(market, policies, rules, tolerance):
    spans, paths, symbols, earned = [], [], [], []
    for k, policy in enumerate(policies):
        fit, found = account_of(market, policy)
        assert float(found.chosen.std()) > 0.2
        for s, symbol in enumerate(fit):
            spans.append(market.rows(symbol, fit[symbol][0]))
            paths.append(k)
            symbols.append(s)
    ledger = walked(market, policies, spans, paths, symbols, rules=rules)
    for place, (k, s) in enumerate(zip(paths, symbols, strict=True)):
        expected = (1.0 + account_of(market, policies[k])[1].returned[0, :, s]).prod()
        grown = ledger.equity[-1, place] / WORLD.account.initial_equity
        assert float(grown.log() - expected.log()) == pytest.approx(0.0, abs=tolerance)
        earned.append(abs(float(expected.log())))
    assert max(earned) > 0.01


def test_an_untrained_policy_is_its_rule_on_the_real_account(market):
    fold = fold_of(market)
    (one,) = train_direct(market, fold, (1,), "direct", ARM, direct_settings(passes=1, validate_every=50))
    none = {name: torch.zeros_like(value) for name, value in one.policy.parameters.items()}
    ledger = walked(market, [replace(one.policy, parameters=none)], [(20, 314)], [0], [0])
    fills = ledger.fills
    first = int(fills["step"].iloc[0]) - 1 + 20
    share = (ATR.risk_frac / market.atr_frac[first]).clamp(max=1.0)
    assert abs(fills["units"].iloc[0]) * float(market.close[first]) == pytest.approx(1e5 * float(share), rel=1e-12)


def test_side_and_cap_hold(market, policies):
    tight = WORLD.account.model_copy(update={"max_position_frac": 0.05})
    ledger = walked(market, policies, [(20, 314)], [0], [0], account=tight)
    share = (ledger.position / ledger.equity)[:, 0]
    sides = market.direction[20:314]
    held = share[1:] * sides[:-1]
    assert float(held.min()) >= 0.0
    # Prices move a position between decisions.
    assert float(held.max()) < 0.06


@pytest.fixture
def saved(policies, tmp_path):
    save_direct(policies[0], tmp_path / "rolling_fold0_seed1")
    return tmp_path / "rolling_fold0_seed1"


def test_round_trip(policies, saved):
    loaded, policy = load_direct(saved, ATR), policies[0]
    for name in ("base", "world", "window_bars", "scalers", "origin"):
        assert getattr(loaded, name) == getattr(policy, name), name
    assert all(torch.equal(loaded.parameters[name], value) for name, value in policy.parameters.items())


def test_another_rule_is_refused(saved):
    with pytest.raises(CheckpointError, match=r"rolling_fold0_seed1' multiplies the sizes of .*train again"):
        load_direct(saved, AtrArm(kind="atr", risk_frac=0.02, stop_atr=1.0))


def test_other_features_are_refused(saved):
    layout = json.loads((saved / LAYOUT).read_text())
    layout["observation"]["features"] = layout["observation"]["features"][:-1]
    (saved / LAYOUT).write_text(json.dumps(layout))
    with pytest.raises(CheckpointError, match="features"):
        load_direct(saved, ATR)


def test_weights_of_another_layout_are_refused(saved):
    tensors = load_file(saved / WEIGHTS)
    tensors["w2"] = tensors["w2"][:-1].clone()
    save_file(tensors, saved / WEIGHTS)
    with pytest.raises(CheckpointError, match="layer w2"):
        load_direct(saved, ATR)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataMissingError, match="dvc repro train"):
        load_direct(tmp_path / "rolling_fold0_seed9", ATR)


def test_scalers_come_from_what_is_learned_from(market, policies):
    fold = fold_of(market)
    fit, _ = divide(fold, 0.2, 10)
    assert policies[0].scalers == scalers_of(market, fold_confidence(market, fold), fit)

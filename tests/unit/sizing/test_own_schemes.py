"""A scheme of one's own in an arm: opened by its class, held to what it says of itself, and trained like any other."""

from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.learning.ppo.agent import load_agent, save_agent
from sizewise.params.arms import CustomScheme, PpoArm, follows_signal
from sizewise.params.own_class import class_source
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Rules
from sizewise.sizing.multiples import open_any, rules_of
from sizewise.sizing.own import own_of
from sizewise.trading.schemes import sizing
from sizewise.walkforward.frames import frames
from sizewise.walkforward.walk import run_policies

# A scheme without parameters stands for one's own: what matters is that its class is named.
OWN = CustomScheme(kind="custom", class_="sizewise.trading.schemes.sizing:BSH")


def test_a_class_is_opened_by_its_name():
    assert isinstance(open_any(OWN, ("A",), Account()), sizing.BSH)
    assert follows_signal(OWN) is False
    assert rules_of(OWN, Rules()) == Rules()
    assert own_of(PpoArm(kind="ppo", scheme=OWN)) == OWN
    assert class_source(OWN.class_).name == "sizing.py"


def test_it_gets_what_its_orders_carry():
    orders = OWN.model_copy(update={"class_": "sizewise.trading.schemes.orders:ManageInventory"})
    with pytest.raises(ConfigError, match=r"ManageInventory cannot be made \(.*model"):
        open_any(orders, ("A",), Account())


@pytest.mark.parametrize(
    ("class_", "message"),
    [
        ("sizewise.trading.schemes.sizing:Nothing", r"has no class 'Nothing'"),
        ("sizewise.trading.schemes.sizing:Callable", r"is no sizewise\.ActionScheme: derive it from one"),
        ("sizewise.nowhere:Mine", r"sizewise\.nowhere cannot be imported"),
        ("own/nowhere.py:Mine", r"there is no file own/nowhere\.py"),
    ],
)
def test_what_is_no_scheme_is_refused(class_, message):
    with pytest.raises(ConfigError, match=message):
        open_any(OWN.model_copy(update={"class_": class_}), ("A",), Account())


def test_both_say_whether_the_signal_is_followed():
    with pytest.raises(ConfigError, match="follows_signal is False, params True: let both say the same"):
        open_any(OWN.model_copy(update={"follows_signal": True}), ("A",), Account())


def test_it_trains_is_kept_and_walks(quick, tmp_path):
    trained = quick.train_together([replace(quick.job("free"), scheme=OWN)])[0]
    save_agent(trained.agent, tmp_path / "policy")
    agent = load_agent(tmp_path / "policy")
    assert agent.scheme == OWN
    market, folds = quick.market.to("cpu", torch.float64), quick.folds["rolling"][:1]
    run = run_policies(market, "mine", folds, {(0, 1): agent}, [1], quick.settings.world)
    assert all(len(equity) for equity, _ in frames(run, market, stop_atr=1.5))

"""An ensemble holds the mean of what its members choose, for the one account that they share."""

from types import SimpleNamespace

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.learning.ppo.ensemble import EnsembleSizer
from sizewise.params.arms import AtrArm, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Sizing
from sizewise.sizing.multiples import open_any
from sizewise.sizing.sizers import AT_MARKET, Situation
from sizewise.sizing.walks import backtest
from sizewise.trading.broker.orders import Orders

from ....hand_market import make_market

ACCOUNT = Account()
MODEL = MultiplesOf(kind="multiples_of", base=AtrArm(kind="atr"), multiples=(0.0, 0.5, 1.0, 1.5, 2.0))


class Voices:
    """Members on one path each, which always prefer one action."""

    def __init__(self, *actions: int, model: object = MODEL):
        self.scheme, self.uses, self._actions = open_any(model, ("S0",), ACCOUNT), AT_MARKET, torch.tensor(actions)

    def log_prob(self, at: Situation) -> torch.Tensor:
        found = torch.full((*at.equity.shape, 5), -5.0, dtype=torch.float64)
        return found.scatter(-1, self._actions.unsqueeze(-1), -0.1)

    def orders(self, at: Situation) -> Orders:
        return self.scheme.orders(self.log_prob(at).argmax(-1), at.view())


def walked(sizer: object) -> torch.Tensor:
    market = make_market(120)
    start, length, zero = torch.tensor([10]), torch.tensor([100]), torch.tensor([0])
    return backtest.run(market, start, length, torch.zeros((1, 120)), zero, sizer, ACCOUNT).position


@pytest.mark.parametrize(("chosen", "mean"), [((0, 4), 2), ((1, 3), 2), ((0, 2, 4, 4, 0), 2), ((4, 4), 4), ((0, 0), 0)])
def test_it_holds_the_mean_multiple(chosen, mean):
    ours = walked(EnsembleSizer(Voices(*chosen), len(chosen)))
    torch.testing.assert_close(ours, walked(Voices(mean)))
    assert bool(ours.any()) == (mean > 0)


def test_a_mean_need_be_no_action():
    ours, less, more = (walked(sizer) for sizer in (EnsembleSizer(Voices(0, 1), 2), Voices(0), Voices(1)))
    assert not less.any()
    entered = int(ours.abs().argmax(0) * 0 + (ours != 0).float().argmax(0))
    assert ours[entered, 0].item() == pytest.approx(0.5 * more[entered, 0].item(), rel=1e-6)


def test_what_is_no_multiple_has_no_mean():
    other = SimpleNamespace(scheme=open_any(Sizing(kind="sizing7", mode="masked"), ("S0",), ACCOUNT), uses=AT_MARKET)
    with pytest.raises(ConfigError, match="an ensemble averages multiples of a rule"):
        EnsembleSizer(other, 1)

"""The compiled orders of schemes that choose a size against the same by tensors: the same units, to the bit."""

from unittest import mock

import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import OwnSizes, Sizing
from sizewise.trading.broker.book import Book
from sizewise.trading.broker.broker import check_orders
from sizewise.trading.schemes import sizing
from sizewise.trading.schemes.sizing import SizingActions
from sizewise.trading.situation import View

MODELS = {
    "three": Sizing(kind="sizing3", mode="free"),
    "seven": Sizing(kind="sizing7", mode="free"),
    "seven behind a signal": Sizing(kind="sizing7", mode="masked"),
    "thirteen behind a signal": Sizing(kind="sizing13", mode="masked"),
    "closing": Sizing(kind="sizing7", mode="free", close_action=True),
    "closing behind a signal": Sizing(kind="sizing7", mode="masked", close_action=True),
    "of one's own": OwnSizes(kind="sizing", sizes=(0.01, 0.4), mode="masked"),
}
DTYPES = (torch.float32, torch.float64)
# Accounts of an environment, [policies, accounts a path, paths], which share the bars of a path; and accounts of a walk.
SHAPES = {"environment": ((3, 8, 40), (3, 1, 40)), "walk": ((700,), (700,))}


def seen(accounts: tuple[int, ...], bars: tuple[int, ...], dtype: torch.dtype, seed: int = 1) -> View:
    """Accounts with positions of either side, many of them at the edges: none, dust, the limit, beyond it."""
    rng = np.random.default_rng(seed)
    equity = rng.choice([10.0, 1e3, 2e4, 1e9], accounts) * rng.uniform(0.5, 1.5, accounts)
    share = rng.choice([0.0, 1e-7, 1e-6, 0.05, 0.1, 0.2, 0.7, 0.95, 1.4], accounts) * rng.choice([-1.0, 1.0], accounts)
    close = rng.uniform(0.01, 5e4, (1, *bars))
    return View(
        book=Book(torch.zeros(accounts), torch.zeros((1, *accounts))),
        equity=torch.from_numpy(equity).to(dtype),
        position=torch.from_numpy(equity * share).to(dtype).unsqueeze(0),
        close=torch.from_numpy(close),
        half_spread=torch.zeros((1, *bars)),
        direction=torch.from_numpy(rng.integers(-1, 2, bars)).to(dtype),
        max_leverage=torch.ones((1, *bars)),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", MODELS)
def test_orders_are_the_same(model, dtype, shape):
    scheme, view = SizingActions(MODELS[model], Account(), dtype), seen(*SHAPES[shape], dtype)
    actions = torch.from_numpy(np.random.default_rng(2).integers(0, scheme.space.n, view.equity.shape))
    compiled = scheme._compiled(actions, view)
    assert compiled is not None
    expected = scheme._by_tensors(actions, view).market
    assert compiled.dtype == expected.dtype
    assert torch.equal(compiled, expected)
    assert bool((compiled != 0).any())
    assert torch.equal(scheme.orders(actions, view).market, expected)


def test_another_arithmetic_would_be_seen():
    scheme, view = SizingActions(MODELS["seven"], Account(), torch.float32), seen(*SHAPES["walk"], torch.float32)
    actions = torch.ones(view.equity.shape, dtype=torch.int64)
    odd = scheme._sizes._replace(limit=np.nextafter(scheme._sizes.limit, np.float32(2.0)))
    with mock.patch.object(scheme, "_sizes", odd):
        assert not torch.equal(scheme._compiled(actions, view), scheme._by_tensors(actions, view).market)


@pytest.mark.parametrize("lies", ["bars of another shape", "actions of another shape", "money of another dtype"])
def test_accounts_that_lie_otherwise_are_left_to_tensors(lies):
    scheme, view = SizingActions(MODELS["seven"], Account(), torch.float32), seen(*SHAPES["walk"], torch.float32)
    actions = torch.ones(view.equity.shape, dtype=torch.int64)
    if lies == "bars of another shape":
        view = view._replace(close=view.close[:, :1], direction=view.direction[:1])
    elif lies == "actions of another shape":
        actions = actions[:1]
    else:
        view = view._replace(equity=view.equity.double())
    with mock.patch.object(sizing, "order_units", side_effect=AssertionError):
        assert scheme._compiled(actions, view) is None


@pytest.mark.parametrize("action", [-1, 7])
def test_an_action_that_there_is_not_is_no_order(action):
    scheme, view = SizingActions(MODELS["seven"], Account(), torch.float32), seen(*SHAPES["walk"], torch.float32)
    actions = torch.ones(view.equity.shape, dtype=torch.int64)
    actions[3] = action
    orders = scheme.orders(actions, view)
    assert orders.market.isnan().nonzero().tolist() == [[0, 3]]
    with pytest.raises(ActionError, match="order of nan units"):
        check_orders(orders, view)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", [name for name, model in MODELS.items() if model.mode == "masked"])
def test_what_is_allowed_is_the_same(model, dtype, shape):
    scheme, view = SizingActions(MODELS[model], Account(), dtype), seen(*SHAPES[shape], dtype)
    compiled, expected = scheme._may(view), scheme._allowed(view)
    assert torch.equal(compiled, expected)
    assert 0.0 < expected.double().mean() < 1.0
    with mock.patch.object(scheme, "_side", -scheme._side):
        assert not torch.equal(scheme._may(view), expected)

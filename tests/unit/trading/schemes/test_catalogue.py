"""Every scheme of trading_rules opens, trades through the desk in either dtype, and says what it cannot trade."""

from typing import get_args

import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.params.trading import trading
from sizewise.params.trading.trading import Rules
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.interface import Discrete, Weights
from sizewise.trading.schemes.orders import ManagedRisk, ManageInventory, Simple
from sizewise.trading.schemes.sizing import BSH, Legacy3, LevelActions, Simplex, SizeByLeverage, SizingActions

from ....hand_tape import ACCOUNT, hand_tape, instrument, open_desk, open_env

RULES = Rules(max_open_orders=2, max_open_lots=3, margin="isolated")
# kind: (model, class, space of one instrument)
EVERY = {
    "sizing3": (trading.Sizing(kind="sizing3"), SizingActions, Discrete(3)),
    "sizing7": (trading.Sizing(kind="sizing7"), SizingActions, Discrete(7)),
    "sizing13": (trading.Sizing(kind="sizing13", close_action=True), SizingActions, Discrete(14)),
    "sizing": (trading.OwnSizes(kind="sizing", sizes=(0.5, 1.0)), SizingActions, Discrete(5)),
    "levels": (trading.Levels(kind="levels", levels=(-0.2, 0.0, 0.2), mode="free"), LevelActions, Discrete(3)),
    "legacy3": (trading.Legacy3(kind="legacy3", encoding="signed"), Legacy3, Discrete(3, start=-1)),
    "size_by_leverage25": (
        trading.SizeByLeverage25(kind="size_by_leverage25"), SizeByLeverage, Discrete(25),
    ),
    "simple": (trading.Simple(kind="simple"), Simple, Discrete(25)),
    "managed_risk": (trading.ManagedRisk(kind="managed_risk"), ManagedRisk, Discrete(73)),
    "bsh": (trading.BSH(kind="bsh"), BSH, Discrete(2)),
    "simplex": (trading.Simplex(kind="simplex"), Simplex, Weights(2)),
    "manage_inventory": (trading.ManageInventory(kind="manage_inventory"), ManageInventory, Discrete(3)),
}  # fmt: skip
SEVERAL = {"simple", "managed_risk", "simplex"}


def kinds_of_params() -> set[str]:
    """Every value of `kind` that the trading section takes for a scheme."""
    models = get_args(get_args(trading.SchemeModel)[0])
    return {kind for model in models for kind in get_args(model.model_fields["kind"].annotation)}


def test_every_kind_of_params_is_tried_here():
    assert kinds_of_params() == set(EVERY)


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_opens(kind):
    model, scheme, space = EVERY[kind]
    opened = open_scheme(model, ["A"], ACCOUNT)
    assert type(opened) is scheme
    assert opened.space == space


@pytest.mark.parametrize("kind", sorted(EVERY.keys() - SEVERAL))
def test_schemes_of_one_instrument_refuse_two(kind):
    with pytest.raises(ConfigError) as caught:
        open_scheme(EVERY[kind][0], ["A", "B"], ACCOUNT)
    assert str(caught.value) == (
        f"scheme '{kind}' trades one instrument, but the account has 2 (A, B): "
        "name one symbol, or use simple, managed_risk or simplex"
    )


@pytest.mark.parametrize("kind", sorted(SEVERAL))
def test_the_others_take_two(kind):
    opened = open_scheme(EVERY[kind][0], ["A", "B"], ACCOUNT).space
    assert opened == {"simple": Discrete(49), "managed_risk": Discrete(145), "simplex": Weights(3)}[kind]


def some_actions(space: Discrete | Weights, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Random actions of a space."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(space, Discrete):
        return space.check(space.start + torch.randint(0, space.n, shape, generator=generator))
    draws = torch.rand((*shape, space.k), generator=generator)
    return space.check(draws / draws.sum(-1, keepdim=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_trades_in_the_environment(kind, dtype, make_bars):
    # Any scheme goes with any costs: here fees, a spread and funding.
    rows = make_bars(60, seed=3)[["open", "high", "low", "close"]].round(2).to_numpy().tolist()
    tape = hand_tape(rows, terms=instrument(taker_bps=5.0, maker_bps=-1.0, half_spread_bps=2.0))
    direction = torch.randint(-1, 2, (60,), generator=torch.Generator().manual_seed(1)).to(torch.int8)
    env = open_env(tape, EVERY[kind][0], RULES, groups=2, replicas=3, horizon=40, direction=direction, dtype=dtype)
    env.restart()
    total, start = torch.zeros(env.shape, dtype=torch.float64), env.equity.double()
    for t in range(40):
        scalars, mask = env.observe()
        space = env.desk.scheme.space
        # Money is in `dtype`; what a policy sees and earns is in single precision.
        assert (scalars.dtype, scalars.shape[:-1]) == (torch.float32, env.shape)
        assert env.equity.dtype == dtype
        assert mask.shape == (*env.shape, space.n if isinstance(space, Discrete) else space.k)
        reward, terminated, *_ = env.step(some_actions(space, env.shape, t))
        assert reward.dtype == torch.float32
        assert not terminated.any()
        total += reward
    assert bool(torch.isfinite(total).all())
    assert bool((total != 0).any())
    torch.testing.assert_close(total, torch.log(env.equity.double() / start), rtol=0, atol=1e-5)


def test_a_desk_takes_a_scheme_of_ones_own():
    tape = hand_tape([100.0] * 3)
    own = BSH()
    assert open_desk(tape, EVERY["sizing7"][0], scheme=own).scheme is own

"""What is allowed, where it is said, and what becomes of an action that is not."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.gym.environments import ENV_ID, SizewiseEnv, SizewiseVectorEnv
from sizewise.params.trading import trading as trading_rules
from sizewise.trading.broker.orders import Orders
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View

from ...hand_tape import frame
from .conftest import hand

MASKED = trading_rules.Sizing(kind="sizing7", mode="masked")
QUIET = frame([100.0] * 20)
HOLD_ONLY, BUYS, SELLS = [1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1]


def masked(direction: list[int], **more: Any) -> SizewiseEnv:
    return hand(QUIET, MASKED, direction=np.resize(direction, len(QUIET)), **more)


@pytest.mark.parametrize(("side", "mask"), [(0, HOLD_ONLY), (1, BUYS), (-1, SELLS)])
def test_a_flat_account_may_follow_the_signal(side, mask):
    env = masked([side])
    _, info = env.reset()
    assert info["action_mask"].tolist() == mask
    assert info["disallowed"] is False
    assert env.action_masks().tolist() == [bool(value) for value in mask]
    env.action_space.seed(1)
    assert {mask[env.action_space.sample(info["action_mask"])] for _ in range(50)} == {1}


def test_the_mask_of_a_step_is_that_of_the_next_action():
    env = masked([1] * 3 + [-1] * 17)
    env.reset()
    # A quarter is held, and a half cannot be sold of it.
    infos = [env.step(action)[4] for action in (1, 0, 0)]
    assert infos[0]["action_mask"].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert infos[2]["action_mask"].tolist() == SELLS
    assert env.action_masks().dtype == np.bool_
    assert infos[2]["action_mask"].dtype == np.int8


def test_an_action_against_the_signal_holds_and_is_told():
    """The signal turns while the account is long, and it buys again: it ends flat, as holding does, and not long."""
    turns = [1, 1, -1, -1]
    env, holds = masked(turns), masked(turns)
    for one in (env, holds):
        one.reset()
        assert one.step(3)[4]["position"][0] > 75.0
        one.step(0)
    told, quiet = env.step(3), holds.step(0)
    assert told[4]["disallowed"] is True
    assert quiet[4]["disallowed"] is False
    assert told[4]["position"][0] == 0.0
    assert told[4]["equity"] == quiet[4]["equity"]
    assert env.step(0)[4]["disallowed"] is False


def test_an_action_against_the_signal_is_refused_where_that_is_asked():
    env, twin = (masked([1, 1, -1, -1], disallowed="refuse") for _ in range(2))
    for one in (env, twin):
        one.reset()
        one.step(3)
        one.step(0)
    with pytest.raises(ActionError) as caught:
        env.step(3)
    assert str(caught.value) == "environment 0: action 3 is not allowed here: send one of 0, 4, 5, 6"
    np.testing.assert_array_equal(env.step(4)[0], twin.step(4)[0])


def test_a_batch_has_a_mask_each(terms):
    env = SizewiseVectorEnv(3, **terms("sizing7_masked", episode_bars=8))
    # The signal changes every 12 rows: 1, 0, -1.
    _, infos = env.reset(options={"start_row": [24, 36, 48]})
    assert infos["action_mask"].tolist() == [SELLS, BUYS, HOLD_ONLY]
    assert infos["_action_mask"].all()
    np.testing.assert_array_equal(env.action_masks(), infos["action_mask"].astype(bool))
    infos = env.step([3, 3, 3])[4]
    assert infos["disallowed"].tolist() == [True, False, True]
    for _ in range(7):
        infos = env.step([0, 0, 0])[4]
    # An episode's last mask is its own, and the next begins with another.
    np.testing.assert_array_equal(env.action_masks(), infos["action_mask"].astype(bool))
    assert infos["final_info"]["action_mask"].shape == (3, 7)
    refusing = SizewiseVectorEnv(3, **terms("sizing7_masked", disallowed="refuse"))
    refusing.reset(options={"start_row": [36, 48, 24]})
    with pytest.raises(ActionError, match=r"environment 1: action 2 is not allowed here: send one of 0$"):
        refusing.step([2, 2, 2])


def test_wrappers_hand_the_mask_on(terms):
    env = gymnasium.make(ENV_ID, **terms("sizing7_masked"))
    assert not isinstance(env, SizewiseEnv)
    _, info = env.reset(seed=1)
    np.testing.assert_array_equal(env.get_wrapper_attr("action_masks")(), info["action_mask"])


def test_a_scheme_that_allows_everything_says_so(terms):
    env = SizewiseEnv(**terms("bsh", disallowed="refuse"))
    assert env.reset()[1]["action_mask"].tolist() == [1, 1]
    assert env.step(1)[4]["disallowed"] is False


def test_weights_have_no_mask(terms):
    for env in (SizewiseEnv(**terms("simplex")), SizewiseVectorEnv(2, **terms("simplex"))):
        assert not {"action_mask", "disallowed"} & set(env.reset()[1])
        with pytest.raises(ConfigError, match=r"the actions are SimplexSpace\(3\): there is a mask of discrete"):
            env.action_masks()


class Signed(ActionScheme):
    """-1 sells, 0 waits, 1 buys a unit; once long it may only wait or sell."""

    space = Discrete(3, start=-1)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return Orders(market=actions.unsqueeze(0).to(view.equity.dtype))

    def allowed(self, view: View) -> torch.Tensor:
        mask = torch.ones((*view.equity.shape, 3), dtype=torch.bool)
        mask[..., 2] = view.book.units[0] <= 0
        return mask


def test_numbers_below_zero_are_shown_from_zero():
    env = hand(QUIET, MASKED, scheme=Signed())
    assert env.action_space == gymnasium.spaces.Discrete(3)
    env.reset()
    info = env.step(2)[4]
    assert info["position"].tolist() == [100.0]
    assert info["action_mask"].tolist() == [1, 1, 0]
    # A second purchase waits instead.
    info = env.step(2)[4]
    assert info["disallowed"] is True
    assert info["position"].tolist() == [100.0]
    assert env.step(0)[4]["position"].tolist() == [0.0]
    with pytest.raises(ActionError, match="action -1 is no whole number from 0 to 2"):
        env.step(-1)


def test_an_idle_action_that_is_not_allowed_either_is_refused():
    scheme = Signed()
    scheme.idle = 1
    env = hand(QUIET, MASKED, scheme=scheme)
    env.reset()
    env.step(2)
    with pytest.raises(ActionError, match="action 2 is not allowed here, nor is the scheme's idle action 2: set"):
        env.step(2)


def test_legacy_actions_count_from_zero(terms):
    env = SizewiseEnv(**terms("legacy3_signed", random_start=False))
    positions = []
    for action in (0, 1, 2):
        env.reset()
        positions.append(float(env.step(action)[4]["position"][0]))
    assert positions[0] < 0 == positions[1] < positions[2]

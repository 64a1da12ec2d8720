"""A policy answers for any window and account state, as the sizer does."""

import pytest
import torch

from sizewise.base.errors import CheckpointError
from sizewise.base.seeding import torch_generator
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.params.learning.outcome import ClosedTrades, Contributions

from ....hand_trades import ACCOUNT, NAMES, RULES, even, planted_fold, planted_market


def test_one_policy_sizes_a_batch_of_states():
    market = planted_market(60)
    only = ClosedTrades(**{**RULES.model_dump(), "contributions": Contributions(cnn=0.0, dqn=0.6, order_flow=0.4)})
    member = train_closed_trades(
        market,
        planted_fold(market),
        [1],
        "o",
        "outcome_ensemble",
        only,
        ACCOUNT,
        confidence=even(market),
        features=NAMES,
    )[0]
    windows = torch.randn(7, 4, 2, generator=torch_generator("windows"))
    sizes = member.policy.sizes("S0", windows, torch.zeros(7, 3))
    assert sizes.shape == (7,)
    assert ((sizes >= 0) & (sizes <= 1)).all()
    for k in range(7):
        assert member.policy.sizes("S0", windows[k : k + 1], torch.zeros(1, 3))[0] == sizes[k]
    with pytest.raises(CheckpointError, match="not trained on symbol 'S9'"):
        member.policy.sizes("S9", windows, torch.zeros(7, 3))

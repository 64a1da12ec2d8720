"""A trained policy's decision for now: the same features, network and order as in the backtest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from sizewise.base.errors import BarError, CheckpointError
from sizewise.dataset.confidence import confidence_inputs
from sizewise.dataset.features import CONFIDENCE, NAMES, compute_features, longest_warmup_bars
from sizewise.dataset.signals import carry_from_entry
from sizewise.learning.ppo.agent import Actors, Agent, load_agent
from sizewise.learning.ppo.encoders import scaled, scaler_of
from sizewise.market.bars import validate_bars
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import SEVEN
from sizewise.trading.schemes.values import Sizing7, decode
from sizewise.trading.situation import standing


@dataclass(frozen=True)
class Decision:
    """What to do at the close of the last bar; the order is meant for the next open.

    Attributes:
        action: values.Sizing7, or the number of an action of another scheme. direction: -1, 0 or 1, the side of the order.
        dollars: signed order value in the account's currency at this close (what the backtest would order).
        size_frac: |dollars| over equity. probabilities: of the 7 actions, masked ones 0.
    """

    action: Sizing7 | int
    direction: int
    size_frac: float
    dollars: float
    probabilities: tuple[float, ...]
    memory: tuple[float, ...] = ()


@dataclass(frozen=True)
class LivePolicy:
    """A trained policy taken out of the project: `decide` is its only business."""

    agent: Agent

    def decide(
        self,
        bars: pd.DataFrame,
        account: Account | None = None,
        *,
        equity: float | None = None,
        position: float = 0.0,
        symbol: str | None = None,
        memory: Sequence[float] = (),
    ) -> Decision:
        """Decide at the close of the last bar.

        Args:
            bars: as from load_bars, ending with the bar that just closed; long enough for warm-up and one window.
            account: default the account the policy was trained for.
            equity: current equity; default the account's initial equity. position: signed value held, at this close.
            symbol: whose train scaler applies; default `bars.attrs["symbol"]`, which load_bars sets.
            memory: of a recurrent policy, from its decision at the close before; empty for an account that starts.
        Raises:
            BarError: the bars break the schema or are too few.
            CheckpointError: the policy was not trained on that symbol.
        """
        agent = self.agent
        account = account or agent.account
        name = symbol or str(bars.attrs.get("symbol", ""))
        scaler = scaler_of(agent.scalers, name)
        bars = validate_bars(bars, source=name)
        needed = longest_warmup_bars(agent.regimes) + agent.spec.window_bars
        if len(bars) < needed:
            raise BarError(
                f"{name}: {len(bars)} bars are too few to decide: {needed} are needed for warm-up and window"
            )
        table = compute_features(bars, agent.regimes, agent.signals)
        direction = table["direction"].to_numpy(dtype=np.float64)
        scores = agent.confidence.predict(confidence_inputs(table, direction))
        table[CONFIDENCE] = carry_from_entry(scores, table)
        raw = torch.from_numpy(np.nan_to_num(table[list(NAMES)].to_numpy(dtype=np.float32)[-agent.spec.window_bars :]))
        segment = scaled(raw, scaler).view(1, 1, -1, len(NAMES))

        agent = replace(agent, world=replace(agent.world, account=account))
        population = {key: value.unsqueeze(0) for key, value in agent.parameters.items()}
        actors = Actors.of(agent.spec, population, torch.zeros(1, dtype=torch.int64))
        start = account.initial_equity if equity is None else equity
        worth, held, side = torch.tensor([[start], [position], [direction[-1]]], dtype=torch.float64)
        scheme, observe = agent.opened(torch.float64)
        at = standing(worth, held, side)
        log_prob, kept = actors.log_prob(
            actors.encode(0, segment), observe(at.held, at.bar).float(), scheme.allowed(at.view()), _state(agent, memory)
        )
        action = log_prob.argmax(-1)
        orders = scheme.orders(action, at.view())
        order = 0.0 if orders.market is None else float(orders.market * at.close)
        seven = agent.scheme == SEVEN
        still = decode(int(action))[0] if seven else 0
        return Decision(
            action=Sizing7(int(action)) if seven else int(action),
            direction=still if order == 0.0 else int(np.sign(order)),
            size_frac=abs(order) / float(worth),
            dollars=order,
            probabilities=tuple(log_prob[0].exp().tolist()),
            memory=() if kept is None else tuple(kept[0].tolist()),
        )


def _state(agent: Agent, memory: Sequence[float]) -> torch.Tensor | None:
    units = agent.spec.memory
    if len(memory) not in (0, units):
        raise CheckpointError(
            f"policy remembers {units} numbers, {len(memory)} were given: pass the last decision's memory"
        )
    if not units:
        return None
    return torch.tensor([memory or [0.0] * units], dtype=torch.float32)


def load_policy(folder: str | Path) -> LivePolicy:
    """Load a policy folder, such as artifacts/policies/ppo/rolling_fold5_seed1.

    Raises:
        DataMissingError, CheckpointError: see agent.load_agent.
    """
    return LivePolicy(load_agent(folder))

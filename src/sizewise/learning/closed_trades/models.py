"""The networks that learn from closed trades, for a population: every parameter leads with an axis [S], one a member.

Shapes: S members, B trades, W bars, F features, A sizes. Nothing is reduced over S.

- `cnn`: a causal convolution over the window of all features, pooled over time; tells whether the trade will gain.
- `dqn`: two layers over the features at the entry and the account's scalars; values each size.
- `order_flow`: two layers over a short window of a few features; values each size of this trade alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from sizewise.learning.closed_trades.lessons import SCALARS
from sizewise.params.learning.outcome import ClosedTrades, ModelName

Parameters = dict[str, torch.Tensor]
# Of each model in a size: one number, or one a member or policy that broadcasts with its proposals.
Shares = Mapping[ModelName, float | torch.Tensor]
Networks = dict[ModelName, Parameters]


class Proposed(NamedTuple):
    """What a model proposes: places in the grid of sizes, int64 [S, B], and how certain it is of each, in [0, 1].

    The convolution is as certain as its probability is far from a half, |2 p - 1|; a network that values sizes is so by the
    range r of its values in ordinary rewards, r / (1 + r).
    """

    place: torch.Tensor
    certainty: torch.Tensor


def contributions(kind: str, rules: ClosedTrades) -> dict[ModelName, float]:
    """Declared share of each model in the size, of those that have one: the Q-network alone, or the ensemble."""
    if kind == "dqn":
        return {"dqn": 1.0}
    shares: dict[ModelName, float] = {
        "cnn": rules.contributions.cnn,
        "dqn": rules.contributions.dqn,
        "order_flow": rules.contributions.order_flow,
    }
    return {name: share for name, share in shares.items() if share > 0.0}


def earned_contributions(declared: np.ndarray, record: np.ndarray, rate: float) -> np.ndarray:
    """Shares in proportion to the declared ones times exp(rate x what each model's own proposals have earned).

    Args:
        declared: float64 (M,), > 0, sum 1. record: float64 [S, M], scaled rewards added up. rate: >= 0; 0 keeps `declared`.
    Returns:
        float64 [S, M]; each member's sum to 1.
    Source: Freund and Schapire (1997), Journal of Computer and System Sciences 55, 119-139, Hedge.
    """
    if rate == 0.0:
        return np.broadcast_to(declared, record.shape).copy()
    lead = rate * (record - record.max(axis=1, keepdims=True))
    weight = declared * np.exp(lead)
    return weight / weight.sum(axis=1, keepdims=True)


def layer_shapes(rules: ClosedTrades, n_features: int) -> dict[ModelName, dict[str, tuple[int, int]]]:
    """(inputs, outputs) of every layer of every model."""
    sizes, hidden = len(rules.sizes), rules.hidden
    flow = rules.flow_window_bars * len(rules.flow_features)
    return {
        "cnn": {
            "conv": (rules.kernel_bars * n_features, rules.channels),
            "dense": (2 * rules.channels, hidden),
            "head": (hidden, 1 + len(rules.horizons_bars)),
        },
        "dqn": {
            "first": (n_features + len(SCALARS), hidden),
            "second": (hidden, hidden),
            "head": (hidden, sizes),
        },
        "order_flow": {"first": (flow, hidden), "second": (hidden, hidden), "head": (hidden, sizes)},
    }


def initialise(
    rules: ClosedTrades,
    n_features: int,
    models: Sequence[ModelName],
    generators: Mapping[ModelName, Sequence[torch.Generator]],
) -> Networks:
    """Weights uniform within sqrt(3 / inputs), heads a tenth of that, biases 0; one member a generator.

    Returns:
        by model: `<layer>_w` float32 [S, inputs, outputs] and `<layer>_b` [S, outputs].
    """
    shapes = layer_shapes(rules, n_features)
    networks: Networks = {}
    for model in models:
        parameters: Parameters = {}
        for layer, (rows, columns) in shapes[model].items():
            reach = (3.0 / rows) ** 0.5 * (0.1 if layer == "head" else 1.0)
            drawn = [torch.rand((rows, columns), generator=generator) for generator in generators[model]]
            parameters[f"{layer}_w"] = (2.0 * torch.stack(drawn) - 1.0) * reach
            parameters[f"{layer}_b"] = torch.zeros((len(drawn), columns))
        networks[model] = parameters
    return networks


def _dense(parameters: Parameters, layer: str, inputs: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(parameters[f"{layer}_b"].unsqueeze(1), inputs, parameters[f"{layer}_w"])


def gain_logits(parameters: Parameters, windows: torch.Tensor) -> torch.Tensor:
    """Logits of a net gain, and of a favourable move after each horizon: [S, B, 1 + horizons] from windows [S, B, W, F]."""
    members, trades, bars, features = windows.shape
    kernel = parameters["conv_w"].shape[1] // features
    steps = bars - kernel + 1
    windows = windows.contiguous()
    strides = windows.stride()
    # Each step sees its own bar and those before it; consecutive bars lie side by side, so a view holds them all.
    patches = windows.as_strided((members, trades, steps, kernel * features), (*strides[:3], 1))
    seen = torch.relu(_dense(parameters, "conv", patches.reshape(members, trades * steps, -1)))
    seen = seen.view(members, trades, steps, -1)
    pooled = torch.cat([seen.mean(2), seen.amax(2)], dim=-1)
    return _dense(parameters, "head", torch.relu(_dense(parameters, "dense", pooled)))


def gain_loss(
    logits: torch.Tensor, unit: torch.Tensor, move: torch.Tensor, rose: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the label, did the trade gain net of costs on the side it was entered, counted by how much it moved.

    So weighted, the probability is the share of gains in all that is expected to be won or lost: above one half it pays to
    trade, however skewed the results are.

    Args:
        logits: [S, B, 1 + horizons]. unit, move: [S, B], unit return and the symbol's typical move. weights: [S, B].
        rose: [S, B, n], 1, 0 or NaN after each horizon; read if the network has horizons, NaN is left out.
    Returns:
        [S].
    """
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    gained = entropy(logits[..., 0], (unit > 0.0).float(), reduction="none")
    loss = (weights * (unit.abs() / move) * gained).mean(-1)
    if logits.shape[-1] == 1:
        return loss
    further = entropy(logits[..., 1:], rose.nan_to_num(), reduction="none")
    known = torch.where(rose.isnan(), 0.0, further).mean(-1)
    return loss + (weights * known).mean(-1)


def size_values(parameters: Parameters, inputs: torch.Tensor) -> torch.Tensor:
    """What each size is expected to earn, in scaled reward: [S, B, A] from inputs [S, B, n]."""
    hidden = torch.relu(_dense(parameters, "first", inputs))
    return _dense(parameters, "head", torch.relu(_dense(parameters, "second", hidden)))


def flow_inputs(windows: torch.Tensor, columns: Sequence[int], bars: int) -> torch.Tensor:
    """What the order-flow model reads of windows [S, B, W, F]: the named columns of the last bars, [S, B, bars * n]."""
    return windows[:, :, -bars:][..., list(columns)].flatten(2)


def q_inputs(windows: torch.Tensor, scalars: torch.Tensor) -> torch.Tensor:
    """What the Q-network reads: the features at the entry and the account's scalars, [S, B, F + 3]."""
    return torch.cat([windows[:, :, -1], scalars], dim=-1)


def best_size(gain: torch.Tensor, move: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
    """The size of the grid with the largest expected log growth if the trade gains or loses `move`.

    Args:
        gain: probability of the gain, any shape. move: share of notional, broadcasts with it. fractions: (A,), of equity.
    Returns:
        int64, places in the grid.
    Source: Kelly (1956), Bell System Technical Journal 35, 917-926, for even odds.
    """
    stake = fractions * move.unsqueeze(-1)
    chance = gain.unsqueeze(-1)
    growth = chance * torch.log1p(stake) + (1.0 - chance) * torch.log1p(-stake.clamp(max=1.0 - 1e-6))
    return growth.argmax(-1)


def _of_values(values: torch.Tensor) -> Proposed:
    """From values [S, B, A], see size_values."""
    reach = values.amax(-1) - values.amin(-1)
    return Proposed(values.argmax(-1), reach / (1.0 + reach))


def market_proposals(
    networks: Networks,
    windows: torch.Tensor,
    move: torch.Tensor,
    columns: Sequence[int],
    rules: ClosedTrades,
    limit_frac: float,
) -> dict[ModelName, Proposed]:
    """Greedy proposals of the models that read the market alone.

    Args:
        windows: [S, B, W, F]. move: typical move of each trade's symbol, [B] or [S, B]. columns: from flow_columns.
    """
    found: dict[ModelName, Proposed] = {}
    if "cnn" in networks:
        gain = torch.sigmoid(gain_logits(networks["cnn"], windows)[..., 0])
        place = best_size(gain, move, limit_frac * torch.tensor(rules.sizes))
        found["cnn"] = Proposed(place, (2.0 * gain - 1.0).abs())
    if "order_flow" in networks:
        inputs = flow_inputs(windows, columns, rules.flow_window_bars)
        found["order_flow"] = _of_values(size_values(networks["order_flow"], inputs))
    return found


def proposals(
    networks: Networks,
    windows: torch.Tensor,
    scalars: torch.Tensor,
    move: torch.Tensor,
    columns: Sequence[int],
    rules: ClosedTrades,
    limit_frac: float,
) -> dict[ModelName, Proposed]:
    """Greedy proposals of every model; scalars float32 [S, B, 3]."""
    found = market_proposals(networks, windows, move, columns, rules, limit_frac)
    if "dqn" in networks:
        found["dqn"] = account_proposals(networks["dqn"], windows, scalars)
    return found


def account_proposals(parameters: Parameters, windows: torch.Tensor, scalars: torch.Tensor) -> Proposed:
    """Those of the Q-network, which reads the account as well; windows [S, B, W, F], of which it sees the last bar."""
    return _of_values(size_values(parameters, q_inputs(windows, scalars)))


def decision_shares(found: Mapping[ModelName, Proposed], shares: Shares, by_certainty: float) -> Shares:
    """Share of each model in each decision: its general share times what its certainty makes of it, summing to 1.

    Args:
        found: proposals. shares: of the models, that broadcast with the proposals. by_certainty: 0 leaves the shares as they
            are, the same for every signal; 1 makes them proportional to the models' certainty.
    """
    if by_certainty == 0.0:
        return shares
    weighed = {
        model: share * (1.0 - by_certainty + by_certainty * found[model].certainty.double())
        for model, share in shares.items()
    }
    whole = torch.stack(list(weighed.values())).sum(0)
    # Nobody is certain of anything: the general shares hold.
    return {model: torch.where(whole > 0.0, weight / whole, shares[model]) for model, weight in weighed.items()}


def weighted_size(places: Mapping[ModelName, torch.Tensor], shares: Shares, rules: ClosedTrades) -> torch.Tensor:
    """Mean of the sizes at those places of the grid by shares, share of the limit: float64, their shape."""
    grid = torch.tensor(rules.sizes, dtype=torch.float64)
    return torch.stack([share * grid[places[model]] for model, share in shares.items()]).sum(0)


def mean_size(found: Mapping[ModelName, Proposed], shares: Shares, rules: ClosedTrades) -> torch.Tensor:
    """The size that proposals come to, share of the limit: float64, their shape; see decision_shares."""
    mine = decision_shares(found, shares, rules.contribution_certainty)
    return weighted_size({model: found[model].place for model in shares}, mine, rules)


def next_values(online: Parameters, target: Parameters, following: torch.Tensor, *, double: bool) -> torch.Tensor:
    """Value of the best size at the next entry, [S, B], without gradient. following: its inputs [S, B, n].

    Both networks value it; `double` lets the online one choose, which removes the bias of taking a maximum of noise.
    """
    with torch.no_grad():
        values = size_values(target, following)
        if not double:
            return values.amax(-1)
        chosen = size_values(online, following).argmax(-1, keepdim=True)
        return values.gather(-1, chosen).squeeze(-1)


def td_targets(rewards: torch.Tensor, following: torch.Tensor, known: torch.Tensor, gamma: float) -> torch.Tensor:
    """reward + gamma * next value, for every size: [S, B, A].

    A trade whose account has decided nothing since stands on its reward alone; there is at most one such an account.

    Args:
        rewards: [S, B, A]. following: [S, B], from next_values. known: bool [S, B], whether the next entry has come.
    """
    return rewards + gamma * torch.where(known, following, 0.0).unsqueeze(-1)


def td_loss(
    values: torch.Tensor, targets: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor, *, every_size: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean square of the TD error.

    Squares and not Huber's loss: the results of trades are skewed, and a size is worth their mean, which a loss that
    forgives outliers does not find.

    Args:
        values, targets: [S, B, A]. chosen: int64 [S, B], the size proposed. weights: [S, B].
        every_size: average the squares over all sizes instead of taking that of the chosen one.
    Returns:
        the loss [S], and the TD error of the chosen size [S, B], without gradient.
    """
    errors = values - targets
    own = errors.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    squares = errors.square().mean(-1) if every_size else own.square()
    return (weights * squares).mean(-1), own.detach()

"""What risk costs in a learner's reward: log(1 + k r), with k putting the reference at half of its growth-optimal leverage.

At a few percent of volatility log growth is all but linear in size, so a learner of plain log growth goes to the corners.
Growth of an account that is k times as bold is not. With r the reference's simple return from one decision to the next on
train, a multiple m of it earns g(km) = mean log(1 + k m r), which is greatest where km = f*, the growth-optimal leverage. So
k = f*/2 makes 2 the best constant multiple of the reference, and 1 half of it: half Kelly, for about three quarters of the
growth at half of the risk. Where returns are small, f* is their mean over their variance.

f* of a train slice is a noisy figure, and none at all where the reference lost there. It is therefore taken as that of a
reference whose Sharpe ratio is between a least and a most one that are declared: f* of an annual Sharpe ratio S at an
annual volatility v is S / v. A reference that lost prices risk as one of the least ratio would. And no multiple up to 2 of
the reference may lose more than LARGEST_LOSS of the bold account in one step of train.

Sources: Kelly (1956), Bell System Technical Journal 35; Thorp (2006), The Kelly criterion in blackjack, sports betting and
the stock market, sections 2 (two outcomes) and 7 (the continuous approximation).
"""

import numpy as np
import torch
from scipy.optimize import brentq

from sizewise.base.arithmetic import fitted
from sizewise.base.errors import ConfigError
from sizewise.dataset.market_tensor import Market
from sizewise.params.arms import MultiplesOf, RuleArm
from sizewise.params.trading.world import World
from sizewise.sizing.multiples import size_of
from sizewise.sizing.walks.decision_steps import DAYS_PER_YEAR, Parts, steps_of, walk_rule
from sizewise.trading.priced import LARGEST_LOSS
from sizewise.trading.priced import TANGENT_BELOW as TANGENT_BELOW
from sizewise.trading.priced import priced_growth as priced_growth
from sizewise.trading.schemes.values import position_limit_frac

# Annual Sharpe ratios that a reference is taken to have at least and at most.
LEAST_SHARPE, MOST_SHARPE = 0.25, 4.0


def risk_price(
    market: Market, parts: Parts, rule: RuleArm, world: World, *, confidence: torch.Tensor | None = None
) -> float:
    """k of the rule, held at its size of the moment at every decision of the world's clock, over train slices.

    Steps of all symbols are pooled. See the module's text.

    Args:
        market: on the CPU. parts: train slices by symbol; what a policy is selected on does not belong there.
        rule: the reference, unscaled. confidence: of the fold, for a rule that reads it.
    Raises:
        ConfigError: the rule holds nothing on these slices.
    """
    exact = market.to("cpu", torch.float64)
    steps = steps_of(exact, parts, world.decisions)
    size = size_of(MultiplesOf(kind="multiples_of", base=rule))
    walked = walk_rule(exact, steps, size, position_limit_frac(world.account), confidence)
    returned = walked.returned[steps.alive > 0].numpy()
    return price_of(returned, float(steps.days.sum()) / DAYS_PER_YEAR)


def price_of(returned: np.ndarray, years: float) -> float:
    """k of simple returns from decision to decision.

    Args:
        returned: float64 (n,), of all accounts. years: that they took, added up over the accounts.
    Raises:
        ConfigError: nothing was earned or lost.
    """
    vol = float(np.sqrt((returned**2).sum() / years))
    if vol == 0.0:
        raise ConfigError("the reference holds nothing on train, so that its risk has no price: name another rule")
    leverage = min(max(growth_optimal(returned), LEAST_SHARPE / vol), MOST_SHARPE / vol)
    worst = float(returned.min())
    if worst < 0.0:
        leverage = min(leverage, LARGEST_LOSS / -worst)
    return fitted(leverage / 2.0)


def growth_optimal(returned: np.ndarray) -> float:
    """The leverage f that maximises mean log(1 + f r): 0 where the mean is not positive, infinite without a loss."""
    if returned.mean() <= 0.0:
        return 0.0
    worst = float(returned.min())
    if worst >= 0.0:
        return float("inf")

    def slope(leverage: float) -> float:
        return float((returned / (1.0 + leverage * returned)).mean())

    # The slope falls without bound on the way to losing everything.
    return float(brentq(slope, 0.0, (1.0 - 1e-12) / -worst, xtol=1e-12, rtol=1e-12))

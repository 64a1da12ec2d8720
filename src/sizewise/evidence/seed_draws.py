"""What other draws of the learners' seeds would have made of a comparison. See statistics.seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sizewise.base.seeding import numpy_generator
from sizewise.evidence.joint_rule import joint_p_values
from sizewise.evidence.pairing import ArmLedger, check_pair, open_ledger
from sizewise.evidence.statistics.cosines import cosine_terms
from sizewise.evidence.statistics.seeds import LEAST_SEEDS, FoldSeeds, SeedDraws, redraw, training_error
from sizewise.ledgers.metrics import daily_returns, log_returns, portfolio
from sizewise.ledgers.weights import weights
from sizewise.params.evidence.plan import Plan


def classify(mean: float, p_value: float, alpha: float) -> str:
    """`better`, `worse` or `inconclusive`: the class of a mean and its p-value."""
    if p_value >= alpha:
        return "inconclusive"
    return "better" if mean > 0 else "worse"


def _growth_by_seed(arm: ArmLedger, share: pd.DataFrame, sign: float) -> list[FoldSeeds]:
    """What each seed of each fold adds to the daily series; nothing of an arm with one seed.

    Args:
        share: what a symbol counts on a day, see weights.weights.
    """
    if len(arm.seeds) < 2:
        return []
    keys = [arm.rows["fold"], arm.rows["timestamp"].dt.floor("D"), arm.rows["symbol"], arm.rows["seed"]]
    summed = log_returns(arm.rows).groupby(keys, observed=True, sort=True).sum().unstack("seed")
    folds = []
    for _, part in summed.groupby(level=0):
        days, symbols = (part.index.get_level_values(level) for level in (1, 2))
        counts = share.to_numpy()[share.index.get_indexer(days), share.columns.get_indexer(symbols)]
        growth = part.mul(counts, axis=0).groupby(level=1).sum()
        folds.append(FoldSeeds(share.index.get_indexer(growth.index), sign * growth.to_numpy()))
    return folds


def redraw_seeds(
    a: ArmLedger,
    b: ArmLedger,
    returns: pd.DataFrame,
    daily: pd.Series,
    *,
    blocks: int,
    terms_coef: float,
    alpha: float,
    seed: int,
) -> SeedDraws | None:
    """Redraw the seeds of two arms under the rule that decides; None where no arm has several.

    Args:
        returns: daily log growth of an arm by symbol, for the symbols live. daily: the series that is tested.
    """
    share = weights(returns)
    folds = [*_growth_by_seed(a, share, 1.0), *_growth_by_seed(b, share, -1.0)]
    if not folds:
        return None
    error = training_error(folds, len(daily))
    terms, rng = cosine_terms(len(daily), terms_coef), numpy_generator(seed, "seeds")
    return _redraw(daily, folds, error, blocks=blocks, terms=terms, alpha=alpha, rng=rng)


def redraw_sizes(
    plan: Plan, equity_a: pd.DataFrame, equity_b: pd.DataFrame, sizes: Sequence[int], *, market_alone: bool
) -> dict[int, SeedDraws]:
    """What two arms' comparison would have been with so many seeds a fold, drawn with replacement from all there are.

    Args:
        market_alone: test without training's error; else with that of so many seeds.
    Returns:
        by size; nothing where no arm has several seeds. Both kinds of test meet the same draws.
    Raises:
        LedgerError: the two do not cover the same symbols, folds and bars.
    """
    a, b = open_ledger(equity_a, "first arm"), open_ledger(equity_b, "second arm")
    check_pair(a, b)
    returns = [daily_returns(arm.rows) for arm in (a, b)]
    daily, share = portfolio(returns[0] - returns[1]), weights(returns[0])
    folds = [*_growth_by_seed(a, share, 1.0), *_growth_by_seed(b, share, -1.0)]
    found, terms = {}, cosine_terms(len(daily), plan.cosine_terms_coef)
    for size in sizes if folds else ():
        error = 0.0 if market_alone else training_error(folds, len(daily), size)
        rng = numpy_generator(plan.bootstrap_seed, "seeds", size)
        found[size] = _redraw(
            daily, folds, error, blocks=plan.blocks, terms=terms, alpha=plan.alpha, rng=rng, size=size
        )
    return found


def _redraw(
    daily: pd.Series,
    folds: list[FoldSeeds],
    error: float,
    *,
    blocks: int,
    terms: int,
    alpha: float,
    rng: np.random.Generator,
    size: int | None = None,
) -> SeedDraws:
    """Redraw under the rule that decides, whose standard errors are also `error`, that of training."""

    def test(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return joint_p_values(series, blocks=blocks, terms=terms, error=error)

    return redraw(daily.to_numpy(), folds, test, lambda mean, p: classify(mean, p, alpha), rng=rng, size=size)


def doubts_about(seeds: SeedDraws | None, own: str) -> tuple[str, ...]:
    """Why a verdict of better or worse cannot stand, where training is a draw; a sentence each, without a full stop.

    Args:
        own: the class by the rule with the seeds as they are.
    """
    if seeds is None:
        return ()
    found = []
    if seeds.too_few:
        found.append(f"{seeds.n_seeds} seeds are too few to tell what training does: a verdict needs {LEAST_SEEDS}")
    if seeds.unstable:
        found.append(
            f"unstable: other draws of the seeds change the class of the verdict's tests ({own}) in "
            f"{100.0 * seeds.changed_frac:.0f}% of {len(seeds.effects)} redraws"
        )
    return tuple(found)

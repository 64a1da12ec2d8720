"""The candidate trained with other budgets and other networks, looked at checkpoint by checkpoint.

Test slices are looked at for the budget alone, after training, and choose nothing. Networks are compared on train and tail.
"""

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd
import torch

from sizewise.base.errors import ConfigError
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold, tail_of
from sizewise.dataset.store import Prepared
from sizewise.dataset.store import open_prepared as open_prepared
from sizewise.learning.ppo import training
from sizewise.learning.ppo.encoders import MarketView
from sizewise.learning.ppo.scores import Ground
from sizewise.learning.ppo.training import Job, Settings, Trained
from sizewise.params.arms import PpoArm
from sizewise.params.stage import Stage
from sizewise.params.studies.budget import Network
from sizewise.params.trading.world import World

PRIMARY = "rolling"
BPS = 1e4
AS_DECLARED = Network()


def candidate(p: Any) -> PpoArm:
    """The arm that is studied.

    Raises:
        ConfigError: it is no PPO arm whose actions are multiples of a rule.
    """
    arm = p.arms[p.plan.candidate]
    if not isinstance(arm, PpoArm) or arm.scheme.kind != "multiples_of":
        raise ConfigError(
            f"plan.candidate '{p.plan.candidate}' is no ppo arm of scheme multiples_of: the budget study trains one"
        )
    return arm


def settings_of(p: Any, *, multiple: int = 1, network: Network = AS_DECLARED) -> Settings:
    """The candidate's training with so many times the samples, or another network."""
    changes = {
        "iterations": p.train.iterations * multiple,
        "validate_every": p.train.validate_every * multiple,
        "hidden": network.hidden or p.train.hidden,
        "weight_decay": p.train.weight_decay if network.weight_decay is None else network.weight_decay,
    }
    seen = p.observation.model_copy(update={"inputs": None}) if network.every_input else p.observation
    train = p.train.model_copy(update=changes)
    world = candidate(p).world(World.of(p))
    return Settings(train, seen, world, p.regimes, p.signals, p.splits.purge_bars, yardsticks={})


def jobs_of(p: Any, given: Prepared) -> list[Job]:
    """All seeds on the studied folds; streams are those of the main job.

    Raises:
        ConfigError: there is no such fold.
    """
    arm, folds = candidate(p), given.folds[PRIMARY]
    odd = [number for number in p.budget.folds if number >= len(folds)]
    if odd:
        raise ConfigError(f"budget.folds names {odd[0]}, and there are folds 0 to {len(folds) - 1}")
    seeds = arm.seeds_on(PRIMARY, p.train.seeds)
    return [Job(p.plan.candidate, folds[number], seed, arm.scheme) for number in p.budget.folds for seed in seeds]


def _columns(one: Trained) -> dict[str, Any]:
    return {"fold": one.job.fold.number, "seed": one.job.seed}


def budget_curves(stage: Stage, given: Prepared) -> pd.DataFrame:
    """Every checkpoint of every budget.

    Returns:
        columns multiple, fold, seed, iteration, samples, head_bps, tail_bps, test_bps (scores, see scores), growth_bps (of
        log equity on test, a day, mean over symbols), selected (bool).
    """
    p, parts = stage.params, []
    for multiple in p.budget.multiples:
        settings = settings_of(p, multiple=multiple)
        for one in training.train_jobs(given.market, jobs_of(p, given), given.models, settings):
            rows = pd.DataFrame(one.curve).assign(multiple=multiple, **_columns(one))
            scores, growth = _on_test(given.market, one, settings)
            chosen = rows["iteration"] == one.agent.origin["iteration"]
            parts.append(rows.assign(test_bps=scores, growth_bps=growth, selected=chosen))
    return pd.concat(parts, ignore_index=True)


def _view(market: Market, one: Trained, count: int) -> MarketView:
    spec, known = one.agent.spec, fold_confidence(market, one.job.fold)
    return MarketView(market, [known] * count, [one.agent.scalers] * count, spec.window_bars, spec.inputs)


def _ground(market: Market, one: Trained, settings: Settings, count: int) -> Ground:
    known = [fold_confidence(market, one.job.fold)] * count
    chunk = settings.train.validation_chunk_steps
    return Ground.of(market, settings.world, known, follows_signal=one.agent.follows_signal, chunk_steps=chunk)


def _on_test(market: Market, one: Trained, settings: Settings) -> tuple[list[float], list[float]]:
    """(scores, growth) of every checkpoint on the fold's test slices, bps a day."""
    exact, count = market.to("cpu", torch.float64), len(one.checkpoints)
    ground = _ground(exact, one, settings, count)
    fold = cast(Fold, one.job.fold)
    paths = ground.paths([{symbol: [part] for symbol, part in fold.test.items()}] * count)
    weights = {name: torch.stack([kept[name] for kept in one.checkpoints]) for name in one.checkpoints[0]}
    returned = ground.policies([one.agent], weights, _view(exact, one, count), paths)
    price = float(one.agent.origin["risk_price"])
    scores, growth = (ground.scores(returned, paths, [value] * count) for value in (price, 1.0))
    return (BPS * scores).tolist(), (BPS * growth).tolist()


def networks_table(stage: Stage, given: Prepared) -> pd.DataFrame:
    """Each network on train and tail: means over folds and seeds, bps a day.

    Returns:
        one row a network: inputs, hidden, weight_decay; head_last, tail_last: where training ended; tail_selected; kept_pct:
        policies of which the untrained one was selected; tail_ensemble: of all seeds of a fold, as selected, as one policy.
    """
    p, rows = stage.params, {}
    for name, network in p.budget.networks.items():
        settings = settings_of(p, network=network)
        trained = training.train_jobs(given.market, jobs_of(p, given), given.models, settings)
        last = [one.curve[-1] for one in trained]
        first = trained[0].agent.spec
        rows[name] = {
            "inputs": first.n_features,
            "hidden": "-".join(str(width) for width in first.hidden),
            "weight_decay": settings.train.weight_decay,
            "head_last": _mean([row["head_bps"] for row in last]),
            "tail_last": _mean([row["tail_bps"] for row in last]),
            "tail_selected": _mean([max(row["tail_bps"] for row in one.curve) for one in trained]),
            "kept_pct": 100.0 * _mean([float(one.agent.origin["iteration"] == 0) for one in trained]),
            "tail_ensemble": _mean(_ensembles(given.market, trained, settings)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ensembles(market: Market, trained: Sequence[Trained], settings: Settings) -> list[float]:
    """The score of all seeds as one policy on each fold's tails, bps a day."""
    exact, found = market.to("cpu", torch.float64), []
    for number in dict.fromkeys(one.job.fold.number for one in trained):
        mine = [one for one in trained if one.job.fold.number == number]
        ground = _ground(exact, mine[0], settings, 1)
        cut = {"tail_frac": settings.train.validation_frac, "purge_bars": settings.purge_bars}
        tails = {symbol: [tail_of(part, **cut)[1]] for symbol, part in mine[0].job.fold.train.items()}  # type: ignore[arg-type]
        paths = ground.paths([tails])
        returned = ground.together([one.agent for one in mine], [_view(exact, one, 1) for one in mine], paths)
        price = float(mine[0].agent.origin["risk_price"])
        found.append(BPS * float(ground.scores(returned, paths, [price])[0]))
    return found

"""Train the closed-trade learners of a fold, all seeds together, on its train slice alone; report as the trades close."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from sizewise.base.errors import TrainingError
from sizewise.dataset.features import NAMES, Scaler
from sizewise.dataset.market_tensor import Market, fold_confidence
from sizewise.dataset.splits import Fold
from sizewise.learning.closed_trades.learner import ClosedTradeLearner, Tally
from sizewise.learning.closed_trades.lessons import Lessons, build_lessons, flow_columns
from sizewise.learning.closed_trades.policy import ClosedTradePolicy, save_closed_trades
from sizewise.learning.ppo.encoders import fit_scalers
from sizewise.params.learning.outcome import ClosedTrades
from sizewise.params.trading.account import Account
from sizewise.sizing.identifiability import check_identifiable, trade_probe
from sizewise.trading.schemes.values import position_limit_frac

HISTORY = "history.jsonl"
LAST_GOOD = "last_good"
# Rewards by the name under which their identifiability is measured.
PROBES = {
    "log_growth": "trade_log_growth",
    "outcome_of_equity": "outcome_of_equity",
    "composite_close": "composite_close",
}
Row = dict[str, float]


@dataclass(frozen=True)
class ClosedTradeTrained:
    """A finished member: its policy and the rows of its history, see `history_rows`."""

    name: str
    seed: int
    policy: ClosedTradePolicy
    history: tuple[Row, ...]


def train_closed_trades(
    market: Market,
    fold: Fold,
    seeds: Sequence[int],
    arm: str,
    kind: str,
    rules: ClosedTrades,
    account: Account,
    *,
    confidence: torch.Tensor | None = None,
    features: Sequence[str] = NAMES,
    live_dir: Path | None = None,
) -> list[ClosedTradeTrained]:
    """One member a seed, trained on the trades of fold.train in the order in which they were opened and closed.

    Args:
        market: float64, on the CPU. arm: its name, part of each member's; kind: dqn or outcome_ensemble.
        confidence: float32 (R,), default the fold's. features: names of the market's columns and then of the confidence.
        live_dir: `<member>/history.jsonl` is written there, a line a row of the history, as it comes; or nowhere.
    Raises:
        BarError, ConfigError: see build_lessons, flow_columns and check_identifiable.
        TrainingError: a loss or gradient is not finite or explodes; names the fold, the statistic, the close, and where
            the last good policies are kept.
    """
    limit_frac = position_limit_frac(account)
    if not rules.accept_size_blind:
        check_identifiable(trade_probe(PROBES[rules.reward]), [limit_frac * size for size in rules.sizes])
    scores = fold_confidence(market, fold) if confidence is None else confidence
    scalers = fit_scalers(market, scores, {symbol: market.rows(symbol, part) for symbol, part in fold.train.items()})
    lessons = build_lessons(market, fold.train, scores, scalers, rules, limit_frac)
    names = [f"{arm}_{fold.scheme}_fold{fold.number}_seed{seed}" for seed in seeds]
    learner = ClosedTradeLearner(lessons, rules, kind, account, names, flow_columns(rules, features))
    history: list[list[Row]] = [[] for _ in names]
    lives = [_open_live(live_dir, name) for name in names]
    origin = {"arm": arm, "scheme": fold.scheme, "fold": fold.number, "test_start": str(fold.test_start.date())}

    def members() -> list[ClosedTradeTrained]:
        return [
            ClosedTradeTrained(
                name, seed, _policy(learner, k, kind, tuple(features), scalers, {**origin, "seed": seed}), rows
            )
            for k, (name, seed, rows) in enumerate(zip(names, seeds, map(tuple, history), strict=True))
        ]

    try:
        for closes in _live_through(learner, lessons, rules.passes):
            if closes % rules.report_every == 0 or closes == len(lessons) * rules.passes:
                for k, row in enumerate(history_rows(learner)):
                    history[k].append(row)
                    _report(lives[k], row)
                learner.tally = Tally.empty(len(names), learner.models)
    except TrainingError as error:
        raise TrainingError(f"training {names[0]}: {error}; {_keep(members(), live_dir)}") from None
    finally:
        for live in lives:
            if live is not None:
                live.close()
    return members()


def _live_through(learner: ClosedTradeLearner, lessons: Lessons, passes: int) -> Iterator[int]:
    """Open and close every trade in its time, `passes` times over; yields the number of closes after each."""
    events = lessons.events()
    for _ in range(passes):
        learner.restart()
        decision_of: dict[int, int] = {}
        for closes, trade in events:
            if closes:
                learner.close(decision_of.pop(trade))
                yield learner.closes
            else:
                decision_of[trade] = learner.open(trade)


def history_rows(learner: ClosedTradeLearner) -> list[Row]:
    """One row a member about the closes since the last one.

    closes, updates, q_updates, skipped count from the start. updates_per_close, mean_reward (a trade, as configured, not
    scaled), win_rate (of trades that had a size, NaN without one), mean_size (share of the limit) and a loss_<model> for
    each (mean of an update, NaN without one) are of the closes since the last row. contribution_<model> is of now.
    """
    tally, rows = learner.tally, []
    contributions = learner.contributions()
    for k in range(len(tally.reward)):
        sized = float(tally.sized[k])
        row = {
            "closes": float(learner.closes),
            "updates": float(learner.updates),
            "q_updates": float(learner.q_updates),
            "skipped": float(learner.skipped),
            "updates_per_close": tally.updates / tally.closes,
            "mean_reward": float(tally.reward[k]) / tally.closes,
            "win_rate": float(tally.won[k]) / sized if sized else float("nan"),
            "mean_size": float(tally.size[k]) / tally.closes,
            "exploration": learner.exploration(),
        }
        losses = {
            f"loss_{model}": float(total[k]) / tally.steps[model] if tally.steps[model] else float("nan")
            for model, total in tally.loss.items()
        }
        shares = {f"contribution_{model}": float(contributions[k, m]) for m, model in enumerate(learner.models)}
        rows.append(row | losses | shares)
    return rows


def _policy(
    learner: ClosedTradeLearner,
    member: int,
    kind: str,
    features: tuple[str, ...],
    scalers: Mapping[str, Scaler],
    origin: Mapping[str, Any],
) -> ClosedTradePolicy:
    symbols = learner.lessons.symbols
    return ClosedTradePolicy(
        kind=kind,
        rules=learner.rules,
        account=learner.account,
        features=features,
        networks={
            model: {name: value[member].clone() for name, value in parameters.items()}
            for model, parameters in learner.networks.items()
        },
        contributions=dict(zip(learner.models, learner.contributions()[member].tolist(), strict=True)),
        scalers=scalers,
        typical_move={symbol: float(learner.lessons.typical_move[symbols.index(symbol)]) for symbol in scalers},
        origin={**origin, "closes": learner.closes, "updates": learner.updates, "skipped": learner.skipped},
    )


def _keep(members: Sequence[ClosedTradeTrained], live_dir: Path | None) -> str:
    """Save the last good policies where there is a folder for them, and say where."""
    if live_dir is None:
        return "the last good policies are kept nowhere: no folder was given"
    for member in members:
        save_closed_trades(member.policy, live_dir / member.name / LAST_GOOD)
    return f"the last good policies are kept in {live_dir.name}/<policy>/{LAST_GOOD}"


def _open_live(live_dir: Path | None, name: str) -> TextIO | None:
    if live_dir is None:
        return None
    (live_dir / name).mkdir(parents=True, exist_ok=True)
    return (live_dir / name / HISTORY).open("w", encoding="utf-8")


def _report(live: TextIO | None, row: Row) -> None:
    if live is not None:
        # NaN is no JSON; a reader finds null where a statistic does not exist.
        live.write(json.dumps({name: None if value != value else value for name, value in row.items()}) + "\n")
        live.flush()

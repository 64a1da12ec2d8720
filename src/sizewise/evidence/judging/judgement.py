"""The verdict on two or more curves from elsewhere, by the rule that decides everything else here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sizewise.base.card import card
from sizewise.base.errors import ConfigError, LedgerError
from sizewise.evidence.inference import Comparison, compare, verdict_of
from sizewise.evidence.joint_rule import joint_test
from sizewise.evidence.judging import sentences
from sizewise.evidence.judging.alignment import Common, align
from sizewise.evidence.judging.curve import DAY, Curve
from sizewise.evidence.judging.findings import START, Pair, Terms, pair_record, rounded
from sizewise.evidence.judging.given import answers
from sizewise.evidence.judging.objects import ASKED, read_object
from sizewise.evidence.judging.tables import one_line
from sizewise.evidence.statistics.bounds import check_bounds
from sizewise.evidence.statistics.means import always_the_same
from sizewise.evidence.statistics.power import holm
from sizewise.evidence.statistics.selection import deflated_sharpe, moments
from sizewise.ledgers.metrics import BPS

# A curve that falls to this share of its start was ruined; as in inference.compare.
RUIN_FRAC = 0.10
# The stretch of the bootstrap and of the e-value's looks, days of the calendar.
STRETCH_DAYS = 60.0


@dataclass(frozen=True)
class Judgement:
    """What is to be said of curves from elsewhere.

    Attributes:
        terms: what was tested, and how. pairs: one a candidate, in the order given. curves: as they were read.
        assumed, cannot_say: a sentence each.
    """

    terms: Terms
    pairs: tuple[Pair, ...]
    curves: tuple[Curve, ...]
    assumed: tuple[str, ...]
    cannot_say: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Of the first candidate: better, worse, inconclusive or invalid."""
        return self.pairs[0].verdict

    @property
    def verdicts(self) -> dict[str, str]:
        """By candidate."""
        return {pair.candidate: pair.verdict for pair in self.pairs}

    @property
    def equity(self) -> pd.DataFrame:
        """The curves on their common marks, each from $100,000 on."""
        return self.terms.equity

    def __str__(self) -> str:
        found = []
        for pair in self.pairs:
            found += [sentences.question(self.terms, pair), sentences.verdict_sentence(self.terms, pair)]
            found += [sentences.deflation_sentence(self.terms, pair), ""]
        found += ["Assumed:", *(f"- {said}" for said in self.assumed), ""]
        return "\n".join([*found, "It cannot say:", *(f"- {said}" for said in self.cannot_say)])

    def _repr_html_(self) -> str:
        """For notebooks: a card a comparison, then what was assumed and what it cannot say."""
        cards = [
            card(
                sentences.headline(pair),
                said=[sentences.question(self.terms, pair), sentences.plain_words(self.terms, pair)],
            )
            for pair in self.pairs
        ]
        held = {"assumed": self.assumed, "it cannot say": self.cannot_say}
        return "\n".join([*cards, *(card(name, said=said) for name, said in held.items() if said)])

    def record(self) -> dict[str, Any]:
        """All of it for JSON; effects in basis points of equity a day, null where there is no number."""
        terms, table = self.terms, self.terms.table()
        described = {
            curve.name: {"source": curve.source, **{key: rounded(x) for key, x in table.loc[curve.name].items()}}
            for curve in self.curves
        }
        return {
            "verdict": self.verdict,
            "reference": self.pairs[0].reference,
            "tried": terms.tried,
            "alpha": terms.alpha,
            "power": terms.power,
            "first": f"{terms.equity.index[0]:%Y-%m-%d}",
            "last": f"{terms.equity.index[-1]:%Y-%m-%d}",
            "marks": len(terms.equity),
            "mark": terms.step.word,
            "comparisons": [pair_record(terms, pair) for pair in self.pairs],
            "curves": described,
            "sentences": [sentences.verdict_sentence(terms, pair) for pair in self.pairs],
            "assumed": list(self.assumed),
            "cannot_say": list(self.cannot_say),
        }


def judge(
    curves: Mapping[str, Any] | pd.DataFrame,
    *,
    tried: int | None = None,
    reference: str | None = None,
    equity: float | Mapping[str, float] | None = None,
    kind: str | Mapping[str, str] | None = None,
    currency: str | Mapping[str, str] | None = None,
    timezone: str | Mapping[str, str] | None = None,
    alpha: float = 0.05,
    blocks: int = 8,
    power: float = 0.80,
    bootstrap_draws: int = 10_000,
    bootstrap_seed: int = 0,
) -> Judgement:
    """Did one account grow faster than another, mark by mark, and is that more than chance?

    Args:
        curves: two or more by name: a series of equity or of returns with its times, a vectorbt portfolio, the stats of
            backtesting.py, a frame of trades, or the path of a CSV or JSON file (`file.csv#column` where it has several). A
            frame is its columns.
        tried: how many variants were looked at before these were chosen, the chosen one included. The level is divided by
            it.
        reference: the curve that the others are held against; the last by default.
        equity: what an account of closed trades started with. kind: what a series holds where it is not clear: equity,
            returns or percent. currency: where a source names none. timezone: of times that name none. One answer for all,
            or by name.
        alpha, blocks, power, bootstrap_draws, bootstrap_seed: see inference.compare.
    Raises:
        ConfigError: a parameter is missing or out of its bound. LedgerError: a curve cannot be read, or curves cannot be
            compared. DataMissingError: a file is missing.
    """
    if tried is None:
        raise ConfigError(
            "tried is missing: say how many variants you looked at before you chose these, 1 where these are the only ones"
        )
    settings = {"alpha": alpha, "blocks": blocks, "power": power}
    draws = {"bootstrap_draws": bootstrap_draws, "bootstrap_seed": bootstrap_seed}
    check_bounds(tried=tried, **settings, **draws)
    named = _named(curves)
    held = _reference(list(named), reference)
    said = answers(list(named), equity=equity, kind=kind, currency=currency, timezone=timezone)
    read = tuple(read_object(name, value, said[name]) for name, value in named.items())
    _check_currencies(read)
    common = align(read, 2 * blocks + 1)
    terms = Terms(START * (common.equity / common.equity.iloc[0]), common.step, int(tried), alpha, power)
    stretch = max(2, round(STRETCH_DAYS / common.step.days))
    options: dict[str, Any] = {**settings, **draws, "bootstrap_block_days": stretch, "ruin_frac": 0.0}
    steps = {name: _steps(terms.equity[name]) for name in named}
    compared = {name: compare(steps[name], steps[held], **options) for name in named if name != held}
    pairs = _pairs(compared, terms, held, blocks)
    assumed = (*_assumed(read, common, terms, len(pairs)), *sentences.oddities(terms))
    return Judgement(terms, pairs, read, assumed, sentences.cannot_say(terms))


def _steps(marks: pd.Series) -> pd.Series:
    """Marks for `compare`, whose paths earn nothing at their first: that one stands on the day of the second."""
    times = pd.DatetimeIndex(marks.index) + pd.Timedelta(hours=12)
    return marks.set_axis(times[1:2].normalize().append(times[1:]))


def _named(curves: Any) -> dict[str, Any]:
    """The curves by name."""
    if isinstance(curves, pd.DataFrame):
        curves = {str(name): curves[name] for name in curves.columns}
    if not isinstance(curves, Mapping):
        raise LedgerError(
            f'a {type(curves).__name__} has no names: give curves by name, as in {{"mine": curve, "theirs": other}}: {ASKED}'
        )
    if len(curves) < 2:
        raise LedgerError(f"{len(curves)} curves are no comparison: give two or more by name, the reference last")
    return {one_line(name): value for name, value in curves.items()}


def _reference(names: list[str], wanted: str | None) -> str:
    if wanted is None:
        return names[-1]
    if wanted not in names:
        raise ConfigError(f"reference '{wanted}' is no curve: name one of {', '.join(names)}")
    return wanted


def _check_currencies(curves: tuple[Curve, ...]) -> None:
    """Hold the curves that name a currency to one.

    Raises:
        LedgerError: two name different ones.
    """
    named = {curve.name: curve.currency for curve in curves if curve.currency}
    for name, code in named.items():
        first, own = next(iter(named.items()))
        if code != own:
            raise LedgerError(
                f"different currencies: {first} is in {own} and {name} in {code}, and their rate is part of any difference: "
                f"convert one, or say that both mean the same with currency (on the command line --currency {own})"
            )


def _pairs(compared: Mapping[str, Comparison], terms: Terms, reference: str, blocks: int) -> tuple[Pair, ...]:
    """Each candidate's verdict: the level over the variants tried, and Holm over the pairs."""
    level = terms.alpha / terms.tried
    tests = {
        name: joint_test(one.daily.to_numpy(), blocks=blocks, alpha=level, power=terms.power)
        for name, one in compared.items()
    }
    breaches = {name: _breaches(terms, name, reference, one.daily) for name, one in compared.items()}
    p_tried = {name: min(1.0, terms.tried * test.p_value) for name, test in tests.items()}
    # A pair whose assumptions are broken takes its place among the questions with a p of 1.
    asked = np.array([1.0 if breaches[name] else p for name, p in p_tried.items()])
    p_holm = dict(zip(tests, map(float, holm(asked)), strict=True))
    found = []
    for name, one in compared.items():
        doubts = sentences.doubts(terms, one.primary.p_value, p_tried[name], p_holm[name], len(tests))
        verdict = verdict_of(one.primary, terms.alpha, breaches[name], doubts)
        deflated = _deflated(one.daily.to_numpy(), terms.tried)
        p_values = (p_tried[name], p_holm[name], deflated)
        found.append(Pair(name, reference, verdict, one, tests[name], *p_values, breaches[name], doubts))
    return tuple(found)


def _breaches(terms: Terms, name: str, reference: str, daily: pd.Series) -> tuple[str, ...]:
    """What voids a verdict on two curves. Whether an account held anything a curve cannot show."""
    found = []
    for one in (name, reference):
        least = float(terms.equity[one].min()) / START
        if least <= RUIN_FRAC:
            found.append(f"{one} falls to {100.0 * least:.1f}% of its start, and such an account trades no more")
    same = always_the_same(daily.to_numpy())
    if same:
        found.append(
            f"the difference is {BPS * same:+.4f} bps whenever it is not 0, so no test can judge it by how it varies"
        )
    return tuple(found)


def _deflated(series: np.ndarray, tried: int) -> float:
    """The deflated Sharpe ratio of the difference.

    The other variants' ratios are not known here; those of worthless ones scatter by 1 / (n - 1) about 0.
    """
    try:
        return deflated_sharpe(moments(series), tried, 1.0 / (len(series) - 1))
    except LedgerError:
        return float("nan")


def _assumed(curves: tuple[Curve, ...], common: Common, terms: Terms, pairs: int) -> list[str]:
    """What had to be assumed, curve by curve, then of all."""
    found = [f"{curve.name}: {note}" for curve in curves for note in curve.notes]
    found += common.said
    starts = {curve.name: float(curve.equity.iloc[0]) for curve in curves if curve.money}
    if starts and max(starts.values()) > 1.001 * min(starts.values()):
        amounts = ", ".join(f"{name} {start:,.6g}" for name, start in starts.items())
        found.append(
            f"the accounts start with different amounts ({amounts}): growth is compared, each is scaled to ${START:,.0f} on "
            "the first common mark, and costs that depend on size are not scaled"
        )
    if any(curve.money and not curve.currency for curve in curves):
        found.append("all are taken to be in one currency")
    if common.step.days == DAY:
        found.append("a mark dated to a day is taken for what the account was worth at the end of that day")
    found.append(sentences.tried_sentence(terms.tried, pairs))
    return found

"""The verdict on curves from elsewhere in words, and what it cannot say. Made from numbers alone."""

import numpy as np

from sizewise.evidence.judging.findings import YEAR_DAYS, Pair, Terms
from sizewise.ledgers.metrics import BPS, volatility

# Smaller p-values are not told apart in words.
LEAST_P = 0.001
# A move of one mark that is more often a deposit than a profit.
JUMP_LOG, JUMP_OVER_TYPICAL = 0.25, 20.0
# Volatilities further apart than this are another risk, and not another skill.
RISK_RATIO = 1.25


def question(terms: Terms, pair: Pair) -> str:
    """What was asked."""
    first, last, word = terms.equity.index[0], terms.equity.index[-1], terms.step.word
    return (
        f"Did {pair.candidate} grow faster than {pair.reference}, {word} by {word}, on their {len(terms.equity):,} common "
        f"{word}s from {first:%Y-%m-%d} to {last:%Y-%m-%d}, by more than chance?"
    )


def headline(pair: Pair) -> str:
    """A title of a few words."""
    match pair.verdict:
        case "better":
            return f"{pair.candidate} grew faster than {pair.reference}, by more than chance"
        case "worse":
            return f"{pair.candidate} grew more slowly than {pair.reference}, by more than chance"
        case "invalid":
            return f"No verdict on {pair.candidate} against {pair.reference}"
    return f"{pair.candidate} against {pair.reference}: inconclusive"


def plain_words(terms: Terms, pair: Pair) -> str:
    """The verdict for a reader without statistics."""
    if pair.breaches:
        return "An assumption of the test is broken, so that the figures below decide nothing."
    table = terms.table()["growth_pct"]
    grown = (
        f"$100,000 became ${1_000.0 * (100.0 + table[pair.candidate]):,.0f} in {pair.candidate} and "
        f"${1_000.0 * (100.0 + table[pair.reference]):,.0f} in {pair.reference}."
    )
    if pair.verdict == "inconclusive":
        among = f", as the best of {terms.tried:,}," if terms.tried > 1 else ""
        return f"{grown} Between accounts that are equally good a gap like this{among} is no rarity: no winner can be named."
    rare = f"in at most {100.0 * terms.alpha:.4g} of a hundred comparisons"
    return f"{grown} Between accounts that are equally good, the rule that decides here names a winner {rare}."


def verdict_sentence(terms: Terms, pair: Pair) -> str:
    """The verdict with effect, interval, p-value, and the smallest difference that would have been found."""
    alone, tested = pair.comparison.primary, pair.tested
    effect, low, high = (terms.bps_a_day(value) for value in (alone.mean, alone.low, alone.high))
    level = f"{100.0 * (1.0 - terms.alpha):.4g}% interval"
    span = f"{len(terms.equity):,} {terms.step.word}s"
    figures = f"{effect:+.2f} bps of equity a day ({level} {low:+.2f} to {high:+.2f}, {_p(alone.p_value)}; {span})"
    if pair.breaches:
        why = "; ".join(pair.breaches)
        return (
            f"No verdict on {pair.candidate} against {pair.reference}: {why}. The figures ({figures}) decide nothing."
        )
    between = f"{pair.candidate} and {pair.reference}"
    claim = {
        "better": f"{pair.candidate} grew faster than {pair.reference}",
        "worse": f"{pair.candidate} grew more slowly than {pair.reference}",
    }.get(pair.verdict, f"no difference in growth between {between} can be told from chance")
    said = [f"On these {terms.step.word}s, {claim}: {figures}."]
    said += [f"{doubt[0].upper()}{doubt[1:]}." for doubt in pair.doubts]
    if terms.tried > 1:
        ends = tuple(terms.bps_a_day(value) for value in (tested.low, tested.high))
        said.append(
            f"With {terms.tried:,} variants tried it is {_p(pair.p_tried)}, and the interval {ends[0]:+.2f} to "
            f"{ends[1]:+.2f}."
        )
    if tested.alone:
        said.append(f"Fragile: of the two tests that must agree, {tested.alone} alone rejects.")
    return " ".join([*said, power_sentence(terms, pair)])


def power_sentence(terms: Terms, pair: Pair) -> str:
    """The smallest true difference that the test finds here."""
    mde = terms.bps_a_day(pair.tested.mde)
    if mde == 0.0:
        return "The two never differ by more than rounding, so that there is nothing to find."
    a_year = 100.0 * float(np.expm1(mde / BPS * terms.days_a_year))
    return (
        f"By the noise of these {terms.step.word}s the test finds true differences of {mde:.2f} bps a day (about "
        f"{a_year:,.3g}% a year) in {100.0 * terms.power:.4g}% of cases, and smaller ones less often."
    )


def _p(value: float) -> str:
    return f"p < {LEAST_P:g}" if value < LEAST_P else f"p = {value:.3f}"


def deflation_sentence(terms: Terms, pair: Pair) -> str:
    """The deflated Sharpe ratio, in words."""
    if not np.isfinite(pair.deflated_sharpe):
        return "The difference hardly varies, so that it has no information ratio to deflate."
    others = f"what the best of {terms.tried:,} worthless variants would show" if terms.tried > 1 else "0"
    return (
        f"The probability that the difference's true information ratio exceeds {others} is "
        f"{100.0 * pair.deflated_sharpe:.1f}% by the deflated Sharpe ratio, which takes {terms.step.word}s for "
        "independent and decides nothing here."
    )


def doubts(terms: Terms, p_value: float, p_tried: float, p_holm: float, pairs: int) -> tuple[str, ...]:
    """Why a p-value that would do alone does not, a sentence each, without a full stop."""
    if p_value >= terms.alpha or p_holm < terms.alpha:
        return ()
    if p_tried >= terms.alpha:
        return (f"its {_p(p_value)} would do for a single variant, but not for the best of {terms.tried:,}",)
    return (f"its p-value is {p_holm:.3f} after Holm over the {pairs} comparisons made together",)


def tried_sentence(tried: int, pairs: int) -> str:
    """What was assumed of the search."""
    said = (
        "no other variant was looked at before this one was chosen, as you said"
        if tried == 1
        else f"{tried:,} variants were looked at, as you said: the level is divided by that number, however alike they are"
    )
    return said if pairs == 1 else f"{said}; Holm is over the {pairs} comparisons"


def oddities(terms: Terms) -> tuple[str, ...]:
    """What a reader should look at in the curves themselves."""
    found = []
    for name in map(str, terms.equity):
        moves = terms.returns(name)
        sizes = moves.abs()
        moved = np.flatnonzero(sizes.to_numpy())
        typical = float(sizes.iloc[moved].median()) if len(moved) else 0.0
        jumps = sizes[(sizes > JUMP_LOG) & (sizes > JUMP_OVER_TYPICAL * typical)]
        if len(jumps):
            place = int(sizes.to_numpy().argmax())
            move, day = 100.0 * float(np.expm1(moves.iloc[place])), moves.index[place]
            found.append(
                f"{name} moves by {move:+.0f}% on {day:%Y-%m-%d}: that counts as growth, which a deposit, "
                "a withdrawal or a split is not"
            )
        still = len(sizes) - 1 - int(moved[-1]) if len(moved) else 0
        if 2 * still >= len(sizes) and still > 1:
            found.append(
                f"{name} does not move on its last {still:,} marks: whether it held nothing then, or was no longer kept, "
                "a curve does not show, and it counts as it stands"
            )
    return tuple(found)


def cannot_say(terms: Terms) -> tuple[str, ...]:
    """What the verdict leaves open, a sentence each."""
    risks = {str(name): 100.0 * volatility(terms.returns(str(name))) for name in terms.equity}
    least, most = min(risks, key=risks.__getitem__), max(risks, key=risks.__getitem__)
    found = []
    if risks[most] > RISK_RATIO * risks[least]:
        found.append(
            f"Whether a difference is skill or risk: {most} varies by {risks[most]:.1f}% a year and {least} by "
            f"{risks[least]:.1f}%, and growth alone is compared."
        )
    found += [
        "Whether the curves are true: fills, costs and a look at the future inside a backtest leave no trace in a curve, "
        "nor does whether an account held a position on a day.",
        "Whether it lasts: the span is that of the curves, and a backtest's days are out of sample only where nothing was "
        "chosen on them.",
    ]
    if terms.tried == 1:
        found.append("Whether really one variant was tried: that number is taken at your word.")
    years = (terms.equity.index[-1] - terms.equity.index[0]).days / YEAR_DAYS
    if years < 1.0:
        found.append(f"Anything about a whole year: there are {12.0 * years:.1f} months.")
    if terms.step.days > 1.0:
        found.append(f"What happened within a {terms.step.word}: drawdowns are those of its marks.")
    found.append("That two accounts are equal: inconclusive means that what was found could not be told from chance.")
    return tuple(found)

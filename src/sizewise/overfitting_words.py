"""What the overfitting study says, in sentences made from its numbers."""

from collections.abc import Mapping

import pandas as pd

from sizewise.field_tests import SuperiorAbility
from sizewise.overfitting_study import Deflation, SelectionStudy, best_of
from sizewise.sealed import sentence as seal_sentence
from sizewise.trials import chain_sentence

# A probability of a Sharpe ratio above its benchmark that is taken as evidence for it.
CONFIDENCE = 0.95


def trial_sentences(study: SelectionStudy) -> str:
    """Whether the trial ledger is whole, and whether the seal is."""
    return f"{chain_sentence(study.ledger)}\n\n{seal_sentence(study.ledger.trials, study.splits)}"


def pool_sentence(study: SelectionStudy) -> str:
    """Who is in the tables below, and who is not and why."""
    days = study.pool.daily.index
    text = (
        f"{len(study.pool.daily.columns)} configurations are at hand on {len(days)} days, {days[0]:%Y-%m-%d} to "
        f"{days[-1]:%Y-%m-%d}."
    )
    if not study.pool.left_out:
        return f"{text} None is left out."
    reasons = "; ".join(f"`{name}` {reason}" for name, reason in study.pool.left_out.items())
    return f"{text} Left out: {reasons}."


def deflation_sentence(by: Deflation) -> str:
    """N, V and where it comes from, and the Sharpe ratio that luck alone gives the best."""
    count = "1 configuration has" if by.n_trials == 1 else f"{by.n_trials} configurations have"
    text = f"{count} been evaluated so far (N)."
    if by.variance != by.variance:
        return f"{text} The variance of their Sharpe ratios is not known: nothing can be deflated."
    source = (
        f"the {by.counted} of them whose lines say it"
        if by.from_ledger
        else f"the {by.counted} configurations at hand, because fewer than two lines of the ledger say it"
    )
    return (
        f"{text} V, the variance of daily Sharpe ratios, is {by.variance:.6f}, from {source}. The best of N worthless "
        f"trials with this variance shows an annual Sharpe ratio of {by.benchmark:.2f} on average."
    )


def sharpe_sentence(name: str, row: Mapping[str, float], by: Deflation) -> str:
    """One configuration's Sharpe ratio, alone and after the trials it was chosen from."""
    ratio = row["sharpe"]
    if ratio != ratio:
        return f"`{name}` never varied: it has no Sharpe ratio."
    text = f"`{name}` has an annual Sharpe ratio of {ratio:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
    if ratio <= 0.0:
        return f"{text}: it did not earn anything, before any count of trials."
    text = f"{text}, above 0 with probability {row['psr']:.3f}"
    if row["dsr"] != row["dsr"]:
        return f"{text}; it cannot be deflated."
    text = f"{text}, and above the best of {by.n_trials} worthless trials with probability {row['dsr']:.3f}"
    if row["dsr"] >= CONFIDENCE:
        return f"{text}: it survives the count of trials."
    if row["psr"] >= CONFIDENCE:
        return f"{text}: taken alone it would pass, after the count of trials it does not."
    return f"{text}: it could be luck even if it had been the only trial."


def selection_sentence(name: str, row: Mapping[str, float]) -> str:
    """One pool's PBO, beside what rotated days give."""
    text = (
        f"Chosen among {name} by the Sharpe ratio of one half of the blocks, the best is at the median or below it in the "
        f"other half in {100.0 * row['pbo']:.1f}% of {row['splits']:.0f} splits, and loses there in "
        f"{100.0 * row['loss_probability']:.1f}%. With each configuration's days rotated, "
        f"{100.0 * row['rotated_low']:.1f}% to {100.0 * row['rotated_high']:.1f}%"
    )
    if row["pbo"] >= 0.5:
        return f"{text}. The choice is worth no more than a draw by lot."
    if row["pbo"] > row["rotated_high"]:
        return f"{text}: choosing is worth less than these Sharpe ratios without a common calendar would make it."
    if row["pbo"] < row["rotated_low"]:
        return f"{text}: the order of the configurations is steadier than these Sharpe ratios alone would make it."
    return f"{text}: the figure lies where configurations with these Sharpe ratios would put it."


def superiority_sentence(superior: SuperiorAbility, members: pd.DataFrame, reference: str, alpha: float) -> str:
    """What SPA and the model confidence set say."""
    told = (
        "at least one configuration grows faster than" if superior.p_value < alpha else "no configuration is told from"
    )
    inside = members.index[members["in_set"]]
    names = ", ".join(f"`{name}`" for name in inside)
    rest = "and leaves none out" if len(inside) == len(members) else f"of {len(members)}: {names}"
    return (
        f"Superior predictive ability: p = {superior.p_value:.3f} ({superior.p_lower:.3f} to {superior.p_upper:.3f}), "
        f"{told} `{reference}`. The model confidence set holds {len(inside)} {rest}."
    )


def overfitting_sentences(study: SelectionStudy, by: Deflation, table: pd.DataFrame, chosen: pd.DataFrame) -> str:
    """The study's answer: the candidate and the best after the count of trials, and what choosing is worth."""
    names = dict.fromkeys((study.plan.candidate, best_of(table)))
    rows = {name: dict(zip(table.columns, table.loc[name], strict=True)) for name in names}
    said = [deflation_sentence(by), *(sharpe_sentence(name, row, by) for name, row in rows.items())]
    pools = {str(name): dict(zip(chosen.columns, row, strict=True)) for name, *row in chosen.itertuples()}
    said += [selection_sentence(name, row) for name, row in pools.items()]
    if study.ledger.breach:
        said.insert(0, chain_sentence(study.ledger))
    return "\n\n".join(said)

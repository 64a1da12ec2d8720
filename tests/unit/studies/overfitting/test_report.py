"""What the overfitting study says: for a result that survives, one that does not, a loss, and a ledger that was edited."""

from dataclasses import replace

import pandas as pd
import pytest

from sizewise.evidence.statistics.many_arms import SuperiorAbility
from sizewise.ledgers.trials import TrialLedger
from sizewise.studies.overfitting import report
from sizewise.studies.overfitting import study as overfitting_study
from sizewise.studies.overfitting.study import Deflation, Pool

from .test_study import growth, study  # noqa: F401

BY = Deflation(n_trials=30, variance=0.0015, counted=25, from_ledger=True, benchmark=1.54)
NAN = float("nan")


def row(sharpe: float = 1.0, psr: float = 0.99, dsr: float = 0.99) -> dict[str, float]:
    return {"sharpe": sharpe, "low": sharpe - 0.8, "high": sharpe + 0.8, "psr": psr, "dsr": dsr}


@pytest.mark.parametrize(
    ("values", "end"),
    [
        (row(), "and above the best of 30 worthless trials with probability 0.990: it survives the count of trials."),
        (row(dsr=0.5), "with probability 0.500: taken alone it would pass, after the count of trials it does not."),
        (row(psr=0.8, dsr=0.1), "with probability 0.100: it could be luck even if it had been the only trial."),
        (row(dsr=NAN), "above 0 with probability 0.990; it cannot be deflated."),
        (row(sharpe=-0.5), "-0.50 (-1.30 to +0.30): it did not earn anything, before any count of trials."),
        (row(sharpe=NAN), "`arm` never varied: it has no Sharpe ratio."),
    ],
    ids=["survives", "selected", "luck", "no variance", "loss", "flat"],
)
def test_what_is_said_of_a_sharpe_ratio(values, end):
    said = report.sharpe_sentence("arm", values, BY)
    assert said.startswith("`arm` ")
    assert said.endswith(end)


def test_where_n_and_v_come_from():
    said = report.deflation_sentence(BY)
    assert said.startswith(
        "30 configurations have been evaluated so far (N). V, the variance of daily Sharpe ratios, is 0.001500"
    )
    assert "from the 25 of them whose lines say it. The best of N worthless trials" in said
    assert said.endswith("shows an annual Sharpe ratio of 1.54 on average.")
    said = report.deflation_sentence(replace(BY, from_ledger=False))
    assert "from the 25 configurations at hand, because fewer than two lines of the ledger say it" in said
    said = report.deflation_sentence(replace(BY, n_trials=1, variance=NAN))
    assert said == (
        "1 configuration has been evaluated so far (N). The variance of their Sharpe ratios is not known: nothing can be "
        "deflated."
    )


@pytest.mark.parametrize(
    ("pbo", "end"),
    [
        (0.7, "The choice is worth no more than a draw by lot."),
        (0.4, "choosing is worth less than these Sharpe ratios without a common calendar would make it."),
        (0.2, "the figure lies where configurations with these Sharpe ratios would put it."),
        (0.05, "the order of the configurations is steadier than these Sharpe ratios alone would make it."),
    ],
)
def test_what_is_said_of_choosing(pbo, end):
    values = {
        "splits": 12870,
        "pbo": pbo,
        "rotated_low": 0.1,
        "rotated_high": 0.3,
        "loss_probability": 0.25,
        "slope": 0.1,
    }
    said = report.selection_sentence("everything", values)
    assert said.startswith("Chosen among everything by the Sharpe ratio of one half of the blocks")
    assert f"in {100 * pbo:.1f}% of 12870 splits, and loses there in 25.0%" in said
    assert "10.0% to 30.0%" in said
    assert said.endswith(end)
    # What falls by itself is said to do so.
    falling = report.selection_sentence("everything", values | {"slope": -0.56})
    assert falling.startswith(said)
    assert "The slope of one half on the other, -0.56, says nothing by itself" in falling


@pytest.mark.parametrize(
    ("p_value", "inside", "parts"),
    [
        (0.01, [True, False], ("at least one configuration grows faster than `atr`", "holds 1 of 2: `a`.")),
        (0.50, [True, True], ("no configuration is told from `atr`", "holds 2 and leaves none out.")),
    ],
)
def test_what_is_said_of_the_field(p_value, inside, parts):
    members = pd.DataFrame({"in_set": inside}, index=["a", "b"])
    superior = SuperiorAbility(p_value, p_value - 0.01, p_value + 0.01, pd.DataFrame(), ())
    said = report.superiority_sentence(superior, members, "atr", 0.05)
    assert said.startswith(
        f"Superior predictive ability: p = {p_value:.3f} ({p_value - 0.01:.3f} to {p_value + 0.01:.3f})"
    )
    assert all(part in said for part in parts)


def test_who_is_left_out_is_said(study):  # noqa: F811
    said = report.pool_sentence(study)
    assert said == "6 configurations are at hand on 400 days, 2020-01-01 to 2021-02-03. None is left out."
    partial = replace(study, pool=Pool(growth(), {"oracle": "looks ahead", "late": "has no ledger"}))
    assert report.pool_sentence(partial).endswith("Left out: `oracle` looks ahead; `late` has no ledger.")


def test_the_ledger_and_the_seal_are_spoken_of(study):  # noqa: F811
    chain, seal = report.trial_sentences(replace(study, ledger=TrialLedger((), ""))).split("\n\n")
    assert chain == "The trial ledger is whole: none of its 0 lines was edited, removed or moved."
    assert seal.endswith("has not been opened.")


def test_the_answer_holds_every_part_and_an_edit_first(study):  # noqa: F811
    by = overfitting_study.deflation(study)
    table = overfitting_study.sharpe_table(study, by)
    chosen = overfitting_study.selection_table(overfitting_study.selections(study))
    said = report.overfitting_sentences(study, by, table, chosen).split("\n\n")
    assert [part.split(" ")[0] for part in said] == ["5", "`ppo`", "`kelly`", "Chosen", "Chosen"]
    edited = replace(study, ledger=TrialLedger(study.ledger.trials, "line 3 was edited"))
    told = report.overfitting_sentences(edited, by, table, chosen).split("\n\n")
    assert told[0].startswith("**The trial ledger was edited: line 3 was edited.**")
    assert told[1:] == said
    best = replace(study, plan=study.plan.model_copy(update={"candidate": "kelly"}))
    assert report.overfitting_sentences(best, by, table, chosen).count("annual Sharpe ratio of +") == 1

"""What stability says of its numbers."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence.statistics.seeds import SeedDraws
from sizewise.params.studies.stability import Stability
from sizewise.studies.stability import report
from sizewise.studies.stability.study import GapRatio, StabilityStudy, said

from ....hand_joint import hand_joint

NONE = pd.DataFrame()
WORSE, UNTOLD = (-1.5, 0.01, "worse"), (-0.5, 0.2, "inconclusive")


def row(seeds: tuple[int, ...], found: tuple[float, float, str], arithmetic: str = "portable") -> dict[str, object]:
    effect, p, kind = found
    ends = {"effect_bps": effect, "low_bps": effect - 1.0, "high_bps": effect + 1.0}
    return {"arithmetic": arithmetic, "seeds": said(seeds), **ends, "p_value": p, "class": kind}


class Study(StabilityStudy):
    """Seeds 1 to 7 with rows that are given."""

    @property
    def seeds(self):
        return [1, 2, 3, 4, 5, 6, 7]

    def set_row(self, seeds):
        return row(seeds, WORSE)


@pytest.fixture
def study(params) -> Study:
    return Study(params.plan, Stability(), NONE, NONE, {})


def table(again: tuple, fresh: tuple, second: tuple = WORSE, whole: tuple = WORSE) -> pd.DataFrame:
    rows = {
        "seeds 1-3": row((1, 2, 3), WORSE),
        "seeds 4-6": row((4, 5, 6), second),
        "seeds 1-3, baseline": row((1, 2, 3), again, "baseline"),
        "fresh seeds 11-13": row((11, 12, 13), fresh),
        "all 7 seeds": row(tuple(range(1, 8)), whole),
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("set")


def test_the_title_counts_the_seeds_of_a_set(study):
    assert report.title(study) == "Three seeds at a time"
    one = replace(study, stability=Stability(seeds=(1,), fresh_seeds=(9,)))
    assert report.title(one) == "One seed at a time"
    assert report.seeds_in_words(11) == "11 seeds"


def test_sets_that_decide_otherwise_are_counted(study):
    assert report.sets_sentence(study, table(UNTOLD, UNTOLD)) == (
        "Of 4 sets of three seeds: 2 worse, 2 inconclusive. Their differences run from -1.50 to -0.50 bps of equity a day "
        "and their p-values from 0.010 to 0.200; all 7 seeds give -1.50 bps, p = 0.010, worse. 2 of 4 would have decided "
        "otherwise than all seeds."
    )
    assert report.sets_sentence(study, table(WORSE, WORSE)).endswith("Every set decides what all seeds decide.")


def test_what_the_arithmetic_did(study):
    assert report.arithmetic_sentence(study, table(UNTOLD, WORSE)) == (
        "Trained under the arithmetic `baseline`, seeds 1, 2 and 3 give -0.50 bps a day, p = 0.200; in the main job -1.50 "
        "bps, p = 0.010. The class would have changed from worse to inconclusive."
    )
    assert report.arithmetic_sentence(study, table(WORSE, WORSE)).endswith("The class stays worse.")
    left_out = replace(study, left_out="the second arithmetic (baseline) could not be tried: a GPU")
    assert report.arithmetic_sentence(left_out, table(WORSE, WORSE)) == (
        "The second arithmetic (baseline) could not be tried: a GPU."
    )


def test_what_fresh_seeds_did(study):
    assert report.fresh_sentence(study, table(WORSE, UNTOLD)) == (
        "Fresh seeds 11, 12 and 13 give -0.50 bps a day, p = 0.200: outside the span of the candidate's own sets, -1.50 to "
        "-1.50. The class would have changed from worse to inconclusive."
    )
    same = report.fresh_sentence(study, table(WORSE, WORSE, second=UNTOLD))
    assert "within the span of the candidate's own sets, -1.50 to -0.50. The class of the test is that of all" in same
    single = replace(study, stability=Stability(seeds=(1,), fresh_seeds=(9,)))
    single.__dict__["triples"] = lambda: [[1]]
    assert report.fresh_sentence(single, table(WORSE, UNTOLD)).startswith(
        "Fresh seed 9 gives -0.50 bps a day, p = 0.200: the candidate's own set gives -1.50. The class"
    )


@pytest.mark.parametrize(
    ("same", "low", "high", "end"),
    [
        (0.9, 0.8, 1.1, "Another arithmetic cannot be told from another seed."),
        (0.5, 0.4, 0.6, "Another arithmetic moves a policy less than another seed does."),
        (1.5, 1.2, 1.6, "Another arithmetic moves a policy more than another seed does."),
        (0.0, 0.0, 0.0, "The other arithmetic moved no fold."),
    ],
)
def test_whether_another_arithmetic_is_another_seed(same, low, high, end):
    found = report.gap_sentence(GapRatio(same, 1.0, same, low, high, 6))
    assert found == (
        f"In a fold, one seed under two arithmetics differs by {same:.2f} bps a day on average, two seeds by 1.00: a ratio "
        f"of {same:.2f} (95% {low:.2f} to {high:.2f} by bootstrap over 6 folds, which are few). {end}"
    )


def test_a_ratio_that_is_not_there():
    nan = float("nan")
    assert report.gap_sentence(None) == "How another arithmetic compares with another seed is not known here."
    assert report.gap_sentence(GapRatio(0.1, 0.0, nan, nan, nan, 2)).startswith("The seeds do not differ")


def result(p: float, changed_frac: float) -> SimpleNamespace:
    draws = SeedDraws(10, 1e-5, np.linspace(-2e-4, 0.0, 101), np.linspace(0.0, 0.1, 101), changed_frac)
    return SimpleNamespace(seeds=draws, primary=hand_joint(-1e-4, -2e-4, 0.0, p, 1e-4))


@pytest.mark.parametrize(
    ("p", "changed_frac", "text"),
    [
        (
            0.04,
            0.3,
            "p = 0.040, worse. Redrawing the ten seeds of every fold changes the class in 30.0% of 101 redraws, enough",
        ),
        (0.04, 0.02, "changes the class in 2.0% of 101 redraws, too few to question it; the middle"),
        # What is inconclusive stays so, whatever redraws say.
        (
            0.08,
            0.3,
            "p = 0.080, inconclusive. Redrawing the ten seeds of every fold changes the class in 30.0% of 101 redraws;",
        ),
    ],
)
def test_what_redraws_do(p, changed_frac, text):
    found = report.redraw_sentence(result(p, changed_frac), 0.05)
    assert text in found
    assert found.endswith("the middle 90% of them run from -1.90 to -0.10 bps a day and from p = 0.005 to 0.095.")


def test_one_seed_is_not_redrawn():
    assert report.redraw_sentence(SimpleNamespace(seeds=None, primary=None), 0.05) == (
        "The candidate has one seed, which cannot be redrawn."
    )


def shares(*worse: float) -> pd.DataFrame:
    worse_pct = pd.Series(worse, index=[1, 2, 3, 5, 10][: len(worse)])
    return pd.DataFrame({"better_pct": 0.0, "worse_pct": worse_pct, "inconclusive_pct": 100.0 - worse_pct})


@pytest.mark.parametrize(
    ("worse", "end"),
    [
        ((40.0, 60.0, 96.0, 94.0, 99.0), "From ten seeds on at least 95% of draws decide alike."),
        ((2.0, 60.0, 96.0, 97.0, 99.0), "From three seeds on at least 95% of draws decide alike."),
        ((96.0, 96.0, 96.0, 97.0, 99.0), "Any number of them decides alike in at least 95% of draws."),
        ((40.0, 60.0, 70.0, 80.0, 90.0), "No number of seeds up to 10 decides alike in 95% of draws."),
    ],
)
def test_how_many_seeds_are_enough(worse, end):
    found = report.sizes_sentence(shares(*worse))
    assert found.endswith(end)
    first = (f"{100 - worse[0]:.0f}%", "inconclusive") if worse[0] < 50 else (f"{worse[0]:.0f}%", "worse")
    assert found.startswith(f"With one seed a fold {first[0]} of draws are {first[1]}, with ten seeds {worse[-1]:.0f}%")


def test_metrics_hold_every_set(study):
    gap = GapRatio(0.5, 1.0, 0.5, 0.4, 0.6, 6)
    found = report.metrics(table(UNTOLD, WORSE), gap, result(0.04, 0.25))
    assert found["sets"]["seeds 1-3, baseline"] == {"effect_bps": -0.5, "p_value": 0.2, "class": "inconclusive"}
    assert len(found["sets"]) == 5
    assert found["arithmetic_to_seed"] == {"ratio": 0.5, "ratio_low": 0.4, "ratio_high": 0.6}
    assert found["seeds_changing_pct"] == 25.0
    assert report.metrics(table(UNTOLD, WORSE), None, result(0.04, 0.25))["arithmetic_to_seed"] == {}
    nan = float("nan")
    none = report.metrics(table(UNTOLD, WORSE), GapRatio(0.1, 0.0, nan, nan, nan, 2), result(0.04, 0.25))
    assert none["arithmetic_to_seed"] == {"ratio": None, "ratio_low": None, "ratio_high": None}


# Figures; what they draw is kept in tests/unit/reports/drawn.json.


@pytest.mark.usefixtures("drawn")
def test_a_second_arithmetic_that_was_not_tried_leaves_its_panel_empty():
    main = pd.DataFrame({1: [1.0, 2.0], 2: [0.5, 1.0]})
    left, right = report.seed_gaps(main, None, arithmetic="baseline").axes
    assert [text.get_text() for text in left.texts] == ["not tried"]
    assert not left.collections
    # Both ways.
    assert sorted(tuple(point) for part in right.collections for point in part.get_offsets()) == [
        (0.5, 1.0),
        (1.0, 0.5),
        (1.0, 2.0),
        (2.0, 1.0),
    ]


@pytest.mark.usefixtures("drawn")
def test_no_bar_of_p_values_holds_two_classes():
    draws = SeedDraws(3, 0.0, np.full(200, 1e-4), np.linspace(0.013, 0.087, 200), 0.5)
    _, right = report.redraws(draws, 1.0, 0.04, alpha=0.05).axes
    bars = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in right.patches if patch.get_height() > 0]
    assert bars
    assert all(high <= 0.05 + 1e-9 or low >= 0.05 - 1e-9 for low, high in bars)

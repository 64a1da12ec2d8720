"""Least squares on planted markets, and bars of all learners until they are there."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.studies.known_answers.study import DIRECT, PPO, exam_of
from sizewise.studies.outside import experience, least_squares
from sizewise.studies.outside.predictions import FAILED, HELD, OPEN
from sizewise.studies.planted.answers import growth_of, share_of_optimal
from sizewise.studies.planted.markets import laws


@pytest.mark.parametrize("name", least_squares.MARKETS)
def test_two_regressions_find_the_optimum_of_many_bars(name):
    law = laws()[name]
    exam = exam_of(law, 4000, 1)
    sizes = least_squares.fit(law, law.make(60_000, np.random.default_rng(0))).sizes(exam)
    assert sizes.min() >= min(law.levels)
    assert sizes.max() <= max(law.levels)
    assert float(share_of_optimal(law, growth_of(law, sizes, exam), exam)) > 0.9


def test_curves_are_of_every_market_seed_and_number_of_bars(params):
    train = params.laboratory.train.model_copy(update={"seeds": (1, 2)})
    given = least_squares._Given(params.laboratory.model_copy(update={"train": train, "exam_bars": 1001}), (200, 500))
    rows = least_squares._curve(given, ("two_regime", 1))
    assert [row[:4] for row in rows] == [("two_regime", least_squares.ARM, 1, bars) for bars in (200, 500)]
    assert rows != least_squares._curve(given, ("two_regime", 2))


def curves(bars: dict[str, tuple[int | None, int | None]]) -> pd.DataFrame:
    """Two seeds an arm, each there from these bars on; None is never there."""
    rows = []
    for arm, seeds in bars.items():
        for seed, there in enumerate(seeds, start=1):
            rows.append(("two_regime", arm, seed, 1, 0.0))
            rows += [] if there is None else [("two_regime", arm, seed, there, 0.95)]
    return pd.DataFrame(rows, columns=["market", "arm", "seed", "bars", "share"])


@pytest.mark.parametrize(
    ("bars", "outcomes"),
    [
        ({least_squares.ARM: (10, 20), DIRECT: (30, 40), PPO: (90, None)}, [HELD, HELD]),
        ({least_squares.ARM: (50, None), DIRECT: (30, 40), PPO: (20, 20)}, [FAILED, FAILED]),
        ({least_squares.ARM: (10, 50), DIRECT: (30, 40), PPO: (90, 35)}, [OPEN, OPEN]),
        ({least_squares.ARM: (None, None), DIRECT: (None, None), PPO: (None, None)}, [OPEN, OPEN]),
    ],
)
def test_outcomes_follow_the_seeds(bars, outcomes):
    found = experience.predictions(experience.bars_by_seed(curves(bars)))
    assert [one.outcome for one in found] == outcomes


def test_a_seed_that_never_came_there_is_slower_than_any():
    seeds = experience.bars_by_seed(curves({DIRECT: (30, 40), PPO: (90, None)}))
    table = experience.bars_table(seeds)
    assert table.loc[("two_regime", DIRECT), "first (median)"] == 35.0
    assert table.loc[("two_regime", PPO), "first (slowest seed)"] == np.inf
    assert (
        "not reached"
        in experience.predictions(
            experience.bars_by_seed(curves({least_squares.ARM: (1, 2), DIRECT: (30, 40), PPO: (None, None)}))
        )[0].found
    )


def test_without_the_laboratorys_curves_the_remedy_is_named(tmp_path):
    stage = SimpleNamespace(workspace=SimpleNamespace(plots=tmp_path))
    with pytest.raises(
        DataMissingError, match=r"plots/laboratory_curves.csv is missing: run `dvc repro known_answers`"
    ):
        experience.read_curves(stage, (100,))

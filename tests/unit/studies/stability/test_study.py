"""The numbers of stability, from a hand-made ledger, against plain loops."""

import json
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.base.paths import Workspace
from sizewise.dataset.regimes import LABELS
from sizewise.evidence.statistics.cosines import cosine_terms, cosine_test
from sizewise.evidence.statistics.seeds import SeedDraws
from sizewise.ledgers.files import LedgerWriter
from sizewise.params.stage import Stage
from sizewise.params.studies.stability import Stability
from sizewise.studies.stability import study
from sizewise.studies.stability.files import FRESH, LEFT_OUT, SECOND, folder_of

from ...reports.test_walk_forward import path

FOLDS, DAYS, SYMBOLS = 3, 12, ("A", "B")
Growth = dict[tuple[str, int, int], np.ndarray]


def grown(seeds: tuple[int, ...], drift: float, rng: int, noise: float = 1e-3) -> Growth:
    """Log growth a day by symbol, fold and seed."""
    drawn = np.random.default_rng(rng)
    return {
        (symbol, fold, seed): drift + drawn.normal(0.0, noise, DAYS)
        for symbol in SYMBOLS
        for fold in range(FOLDS)
        for seed in seeds
    }


def as_marks(growth: Growth) -> pd.DataFrame:
    """A start and a mark a day, as daily.marks makes them."""
    parts = []
    for (symbol, fold, seed), days in growth.items():
        first = pd.Timestamp("2020-01-01", tz="UTC") + pd.Timedelta(days=DAYS * fold)
        times = [first, *(first + pd.Timedelta(days=day, seconds=1) for day in range(DAYS))]
        equity = np.exp(np.append(0.0, np.cumsum(days)))
        keys = {"symbol": symbol, "fold": fold, "seed": seed}
        regime = pd.Categorical([LABELS[0]] * len(times), categories=list(LABELS))
        parts.append(
            pd.DataFrame({**keys, "timestamp": times, "equity": equity, "position_frac": 0.1, "regime": regime})
        )
    return pd.concat(parts, ignore_index=True)


MAIN, RULE = grown((1, 2, 3, 4, 5), 5e-4, rng=1), grown((0,), 0.0, rng=2, noise=2e-4)
AGAIN, NEW = grown((1, 2), 5e-4, rng=3), grown((7, 8), -5e-4, rng=4)


@pytest.fixture
def made(params) -> study.StabilityStudy:
    plan = params.plan.model_copy(update={"bootstrap_draws": 100, "bootstrap_block_days": 4, "blocks": 4})
    given = Stability(seeds=(1, 2), fresh_seeds=(7, 8))
    repeats = {SECOND: as_marks(AGAIN), FRESH: as_marks(NEW)}
    return study.StabilityStudy(plan, given, as_marks(MAIN), as_marks(RULE), repeats)


def series(growth: Growth, seeds: tuple[int, ...], folds=range(FOLDS)) -> list[float]:
    """The daily difference to the rule: seeds averaged, then symbols."""
    found = []
    for fold in folds:
        for day in range(DAYS):
            total = 0.0
            for symbol in SYMBOLS:
                mean = sum(growth[symbol, fold, seed][day] for seed in seeds) / len(seeds)
                total += mean - RULE[symbol, fold, 0][day]
            found.append(total / len(SYMBOLS))
    return found


def t_test(values: list[float]) -> tuple[float, float]:
    means = [np.mean(part) for part in np.array_split(values, 4)]
    days = np.array(values)
    other = cosine_test(days, terms=cosine_terms(len(days)), alpha=0.05)
    return 1e4 * float(np.mean(means)), max(float(stats.ttest_1samp(means, 0.0).pvalue), other.p_value)


def test_sets_are_disjoint_and_consecutive(made):
    assert made.triples() == [[1, 2], [3, 4]]


def test_every_set_is_the_primary_test_of_its_seeds(made):
    table = made.sets()
    expected = {
        "seeds 1-2": ("portable", MAIN, (1, 2)),
        "seeds 3-4": ("portable", MAIN, (3, 4)),
        "seeds 1-2, baseline": ("baseline", AGAIN, (1, 2)),
        "fresh seeds 7-8": ("portable", NEW, (7, 8)),
        "all 5 seeds": ("portable", MAIN, (1, 2, 3, 4, 5)),
    }
    assert list(table.index) == list(expected)
    for name, (arithmetic, growth, seeds) in expected.items():
        effect, p = t_test(series(growth, seeds))
        row = table.loc[name]
        assert row["effect_bps"] == pytest.approx(effect)
        assert row["p_value"] == pytest.approx(p)
        assert row["low_bps"] < effect < row["high_bps"]
        assert row["class"] == ("inconclusive" if p >= 0.05 else "better" if effect > 0 else "worse")
        if arithmetic == "baseline":
            assert row["arithmetic"] == arithmetic
        else:
            assert row["arithmetic"] == study.fingerprint()
    assert set(table["class"]) >= {"better", "worse"}


def test_fold_effects_are_means_of_differences(made):
    effects = made.fold_effects()
    for name, growth in (("main", MAIN), (SECOND, AGAIN), (FRESH, NEW)):
        for (fold, seed), value in effects[name].stack().items():
            assert value == pytest.approx(1e4 * np.mean(series(growth, (seed,), [fold])))
    assert effects["main"].shape == (FOLDS, 5)


def test_the_ratio_of_gaps_against_loops(made):
    effects = made.fold_effects()
    main, second = effects["main"], effects[SECOND]
    same = [[abs(second.loc[f, s] - main.loc[f, s]) for s in (1, 2)] for f in range(FOLDS)]
    other = [[abs(main.loc[f, a] - main.loc[f, b]) for a, b in combinations(range(1, 6), 2)] for f in range(FOLDS)]
    gap = study.gap_ratio(main, second, seed=7)
    assert gap.same_bps == pytest.approx(np.mean(same))
    assert gap.other_bps == pytest.approx(np.mean(other))
    assert gap.ratio == pytest.approx(np.mean(same) / np.mean(other))
    assert gap.n_folds == FOLDS
    # Every ratio of redrawn folds lies between those of single folds.
    alone = [np.mean(a) / np.mean(b) for a, b in zip(same, other, strict=True)]
    assert min(alone) - 1e-9 <= gap.low <= gap.ratio <= gap.high <= max(alone) + 1e-9


def test_a_ratio_of_seeds_that_do_not_differ_is_none(made):
    main = made.fold_effects()["main"]
    alike = main.apply(lambda column: main[1])
    gap = study.gap_ratio(alike, alike[[1, 2]] + 1.0, seed=7)
    assert (gap.same_bps, gap.other_bps) == (pytest.approx(1.0), 0.0)
    assert np.isnan([gap.ratio, gap.low, gap.high]).all()


def test_an_arithmetic_that_changes_nothing_has_a_ratio_of_zero(made):
    main = made.fold_effects()["main"]
    gap = study.gap_ratio(main, main[[1, 2]], seed=7)
    assert (gap.ratio, gap.low, gap.high) == (0.0, 0.0, 0.0)


def test_the_verdict_is_that_of_all_seeds_with_trainings_error(made):
    found = made.verdict()
    assert 1e4 * found.primary.mean == pytest.approx(t_test(series(MAIN, (1, 2, 3, 4, 5)))[0])
    assert found.primary.p_value > made.sets().iloc[-1]["p_value"]
    assert found.seeds is not None


def test_more_seeds_move_less(made):
    table = made.sizes()
    assert list(table.index) == [1, 2, 3, 5, 10]
    spread = (table["effect_high_bps"] - table["effect_low_bps"]).to_numpy()
    assert (np.diff(spread) < 0).all()
    np.testing.assert_allclose(table[["better_pct", "worse_pct", "inconclusive_pct"]].sum(axis=1), 100.0)
    told = 100.0 - table["inconclusive_pct"]
    assert (table["told_with_error_pct"] <= told).all()
    assert (table["told_with_error_pct"] < told).any()


def test_one_seed_a_fold_is_every_choice_of_a_seed(made):
    """The draws of one seed a fold are the 125 series that take a seed in each fold."""
    table = made.sizes()
    effects, p_values = [], []
    for chosen in np.ndindex(*[5] * FOLDS):
        values = [value for fold, seed in enumerate(chosen) for value in series(MAIN, (seed + 1,), [fold])]
        effect, p = t_test(values)
        effects.append(effect)
        p_values.append(p)
    assert table.loc[1, "effect_low_bps"] >= min(effects) - 1e-9
    assert table.loc[1, "effect_high_bps"] <= max(effects) + 1e-9
    inconclusive = 100.0 * np.mean(np.array(p_values) >= 0.05)
    # 2,000 draws: three standard errors.
    assert table.loc[1, "inconclusive_pct"] == pytest.approx(inconclusive, abs=3.4)
    np.testing.assert_allclose(
        table.loc[1, ["effect_low_bps", "effect_high_bps"]], np.quantile(effects, [0.05, 0.95]), atol=0.3
    )


def test_classes_are_counted():
    draws = SeedDraws(3, 0.1, np.array([1.0, -1.0, 1.0, 1.0]), np.array([0.01, 0.01, 0.5, 0.05]), 0.5)
    assert study.classes(draws, 0.05) == {"better": 0.25, "worse": 0.25, "inconclusive": 0.5}


@pytest.mark.parametrize(("seeds", "text"), [((1, 2, 3), "1-3"), ((4,), "4"), ((1, 3), "1, 3"), ((2, 1), "2, 1")])
def test_how_seeds_are_said(seeds, text):
    assert study.said(seeds) == text
    assert study.labelled(seeds) == ("seed 4" if seeds == (4,) else f"seeds {text}")


# From files.


def write(folder: Path, arms: dict[str, tuple[int, ...]], symbol: str = "A") -> None:
    writer = LedgerWriter(folder)
    for arm, seeds in arms.items():
        for seed in seeds:
            frame = path(arm, symbol, 0, seed, 0.001 * seed).assign(price_pnl=0.0)
            writer.add(frame, pd.DataFrame())
    writer.close()


@pytest.fixture
def stage(params, root, tmp_path) -> Stage:
    given = SimpleNamespace(
        plan=params.plan.model_copy(update={"reference": "atr"}), stability=Stability(seeds=(1,), fresh_seeds=(3,))
    )
    made = Stage("stability", given, Workspace(root=root, base=tmp_path), "0" * 8)
    write(made.workspace.ledger, {"ppo": (1, 2), "atr": (0,), "constant": (0,)})
    write(folder_of(made, SECOND), {SECOND: (1,)})
    write(folder_of(made, FRESH), {FRESH: (3,)})
    return made


def test_a_study_is_read_from_its_ledgers(stage):
    found = study.open_study(stage)
    assert found.seeds == [1, 2]
    assert found.left_out == ""
    assert set(found.reference["arm"].astype(str)) == {"atr"}
    assert {name: set(frame["seed"]) for name, frame in found.repeats.items()} == {SECOND: {1}, FRESH: {3}}


def test_what_was_left_out_is_not_missed(stage):
    folder = folder_of(stage, SECOND)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataMissingError, match=r"^stability has no ledger of 'second_arithmetic': run `make studies`$"):
        study.open_study(stage)
    (folder / LEFT_OUT).write_text(json.dumps({"why": "no other arithmetic"}))
    found = study.open_study(stage)
    assert list(found.repeats) == [FRESH]
    assert found.left_out == "no other arithmetic"


def test_a_repeat_over_other_bars_is_refused(stage):
    write(folder_of(stage, FRESH), {FRESH: (3,)}, symbol="B")
    with pytest.raises(LedgerError, match="cover different bars"):
        study.open_study(stage)

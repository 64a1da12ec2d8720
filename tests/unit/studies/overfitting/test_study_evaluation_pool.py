"""The pool of configurations: the candidate's days for all, and nobody left out without a word."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError
from sizewise.ledgers.files import LedgerWriter
from sizewise.ledgers.metrics import daily_returns, portfolio
from sizewise.params.studies.ablations import Variant
from sizewise.studies.overfitting import study
from sizewise.studies.overfitting.study import pool_of, read_pool

from ...reports.test_walk_forward import path

DAYS = pd.date_range("2020-01-01", periods=5, freq="D", tz="UTC", name="day")


def series(values, days: pd.DatetimeIndex = DAYS) -> pd.Series:
    return pd.Series(np.asarray(values, dtype=float), index=days)


def test_series_of_the_same_days_are_columns_in_order():
    pool = pool_of({"b": series(range(5)), "a": series([0.0] * 5)}, "b", {})
    assert list(pool.daily) == ["b", "a"]
    assert pool.left_out == {}
    assert pool.matrix.dtype == np.float64
    assert pool.matrix.shape == (5, 2)
    np.testing.assert_array_equal(pool.matrix[:, 0], range(5))


def test_who_is_left_out_is_named_with_the_reason():
    given = {
        "candidate": series(range(5)),
        "longer": series(range(6), pd.date_range("2020-01-01", periods=6, tz="UTC")),
        "later": series(range(5), DAYS + pd.Timedelta(days=1)),
        "ruined": series([0, 0, -np.inf, 0, 0]),
        "gap": series([0, np.nan, 0, 0, 0]),
        "missing": pd.Series(),
    }
    pool = pool_of(given, "candidate", {"oracle": "looks ahead"})
    assert list(pool.daily) == ["candidate"]
    assert pool.left_out == {
        "oracle": "looks ahead",
        "longer": "covers other days than the candidate: 6 from 2020-01-01 to 2020-01-06",
        "later": "covers other days than the candidate: 5 from 2020-01-02 to 2020-01-06",
        "ruined": "has days that are not finite: an account was ruined",
        "gap": "has days that are not finite: an account was ruined",
        "missing": "has no ledger: it was not run",
    }


def write(folder, *parts: pd.DataFrame) -> pd.DataFrame:
    equity = pd.concat(parts, ignore_index=True)
    writer = LedgerWriter(folder)
    for _, rows in equity.groupby(["arm", "fold", "seed"], sort=False, observed=True):
        writer.add(rows.assign(price_pnl=0.0), pd.DataFrame())
    writer.close()
    return equity


@pytest.fixture
def ledgers(params, tmp_path):
    arms = {name: params.arms[name] for name in ("ppo", "atr", "oracle_hindsight", "kelly")}
    variants = {"plain": Variant(), "late": Variant(memory=2)}
    main = write(
        tmp_path / "artifacts" / "ledger",
        *(path("ppo", "A", 0, seed, 0.01 * seed) for seed in (1, 2)),
        path("atr", "A", 0, 0, 0.02),
        path("oracle_hindsight", "A", 0, 0, 0.5),
    )
    write(tmp_path / "artifacts" / "ablations" / "plain", path("plain", "A", 0, 1, -0.01))
    return tmp_path, arms, variants, main


def test_the_pool_is_read_from_every_ledger(ledgers):
    base, arms, variants, main = ledgers
    pool = read_pool(base, arms, variants, "ppo")
    assert list(pool.daily) == ["ppo", "atr", "ablation plain"]
    expected = portfolio(daily_returns(main[main["arm"] == "ppo"]))
    np.testing.assert_allclose(pool.daily["ppo"], expected, rtol=0.0, atol=1e-15)
    assert pool.daily["ablation plain"].sum() < 0.0
    assert pool.left_out == {
        "oracle_hindsight": "looks ahead: a bound, which nobody could have chosen",
        "kelly": "has no ledger: it was not run",
        "ablation late": "has no ledger: it was not run",
    }


def test_without_the_candidate_there_is_no_pool(ledgers):
    base, arms, variants, _ = ledgers
    with pytest.raises(
        DataMissingError, match=r"^arm 'kelly' has no rows in the ledger: run `dvc repro walk_forward`$"
    ):
        read_pool(base, arms, variants, "kelly")
    with pytest.raises(DataMissingError, match=r"daily\.parquet is missing"):
        study.read_pool(base / "elsewhere", arms, variants, "ppo")

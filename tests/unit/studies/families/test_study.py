"""Every family is walked over the same slices, and what its trades earn is what their fills say."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.dataset.days import Days
from sizewise.dataset.signals import signal_stream
from sizewise.studies.families import study
from sizewise.studies.families.study import SIZINGS, FamiliesStudy, run, summaries, yearly_sharpe


@pytest.fixture(scope="module")
def given(quick) -> FamiliesStudy:
    p = quick.params
    market = quick.market.to("cpu", torch.float64)
    return FamiliesStudy(
        quick.universe, quick.folds["rolling"], market, p.families, p.signals, p.arms[p.plan.reference]
    )


@pytest.fixture(scope="module")
def runs(given):
    return study.run_all(given)


def test_every_family_and_draw_of_the_null_is_run(given, runs):
    drawn = [f"random {seed}" for seed in range(1, given.rules.null_draws + 1)]
    assert list(runs) == ["of the study", *given.rules.variants, *drawn]


def test_trades_are_those_of_the_stream_within_each_slice(given, runs):
    expected = []
    for fold in given.folds:
        for symbol, part in fold.test.items():
            frame = given.universe.bars[symbol]
            days = Days.of(frame, given.universe.instruments[symbol])
            stream = signal_stream(frame, given.signals, days)
            opens, last = frame["open"].to_numpy(), part.stop - 2
            for row in np.flatnonzero(stream["entry"]):
                if not part.start <= row < last:
                    continue
                side, end = stream["direction"].iloc[row], row + 1
                while end < last and stream["direction"].iloc[end] == side and not stream["entry"].iloc[end]:
                    end += 1
                gross = side * (opens[end + 1] / opens[row + 1] - 1.0)
                expected.append((symbol, days.number[end] - days.number[row], gross))
    found = runs["of the study"].trades
    assert len(expected) > 10
    assert found["symbol"].tolist() == [symbol for symbol, _, _ in expected]
    assert found["days"].tolist() == [held for _, held, _ in expected]
    np.testing.assert_allclose(found["gross_return"], [gross for _, _, gross in expected], rtol=1e-9, atol=1e-12)


def test_costs_stand_between_gross_and_net(runs):
    for done in runs.values():
        assert (done.trades["net_return"] < done.trades["gross_return"]).all()


def test_no_risk_asked_for_is_no_growth(given):
    idle = replace(given, arm=given.arm.model_copy(update={"risk_frac": 1e-300}))
    daily = run(idle, given.signals.family).daily
    np.testing.assert_allclose(daily["atr"], 0.0, atol=1e-200)
    assert daily["constant"].abs().sum() > 0.0
    assert yearly_sharpe(daily["atr"] * 0.0) == 0.0


def test_a_summary_is_of_all_trades(runs):
    table = summaries(runs)
    trades = runs["of the study"].trades
    row = table.loc["of the study"]
    assert row["trades"] == len(trades)
    assert row["net_bps"] == pytest.approx(row["gross_bps"] - row["cost_bps"])
    assert row["gross_bps"] == pytest.approx(1e4 * trades["gross_return"].mean())
    assert list(table.columns[-2:]) == [f"sharpe_{sizing}" for sizing in SIZINGS]


def test_sharpe_is_a_year_of_the_days_that_came():
    workdays = pd.date_range("2020-01-01", "2021-12-31", freq="B", tz="UTC")
    daily = pd.Series(np.resize([0.01, -0.005], len(workdays)), workdays)
    expected = daily.mean() / daily.std() * np.sqrt(260.9)
    assert yearly_sharpe(daily) == pytest.approx(expected, rel=2e-3)

"""The evaluation's benchmark at tiny sizes: its ledgers are ledgers, and everything named is computed."""

import json

import numpy as np
import pandas as pd
import pytest

from sizewise import bench_evidence, daily
from sizewise.bench_evidence import EvidenceSizes, cut_stretches, made_up_path, run_bench
from sizewise.errors import ConfigError
from sizewise.ledger import EQUITY_COLUMNS, TRADE_COLUMNS, check_adds_up
from sizewise.pairing import check_signals

TINY = EvidenceSizes(arms=3, folds=2, seeds=2, draws=50, fold_bars=900)


@pytest.fixture(scope="module")
def record(quick):
    return run_bench(quick.universe, quick.params, TINY)


def test_every_path_is_a_ledger_that_adds_up(quick):
    stretches = list(cut_stretches(quick.universe, TINY))
    expected = [(symbol, fold) for symbol in quick.universe.bars for fold in (0, 1)]
    assert [(one.symbol, one.fold) for one in stretches] == expected
    for stretch in stretches:
        equity, trades = made_up_path(stretch, "arm 0", 1)
        assert list(equity.columns) == list(EQUITY_COLUMNS)
        assert list(trades.columns) == list(TRADE_COLUMNS)
        check_adds_up(equity, tolerance=1e-6)
        assert trades["pnl"].sum() == pytest.approx(equity["equity"].iloc[-1] - 1000.0)
        closes = quick.universe.bars[stretch.symbol]["close"].reindex(equity["timestamp"]).to_numpy()
        np.testing.assert_array_equal(stretch.close, closes)
        assert equity["position_frac"].iloc[[0, -1]].abs().max() <= bench_evidence.CAP_FRAC
        assert equity["position_frac"].iloc[-1] == 0.0


def test_arms_size_one_signal_each_in_its_own_way(quick):
    stretch = next(cut_stretches(quick.universe, TINY))
    (_, a), (_, b), (_, again) = (made_up_path(stretch, *key) for key in (("arm 0", 1), ("arm 1", 1), ("arm 0", 1)))
    check_signals(a, b)
    assert a["qty"].ne(b["qty"]).all()
    pd.testing.assert_frame_equal(a, again)


def test_the_record_counts_what_was_written(record, quick):
    assert record["paths"] == 3 * 2 * 2 * 2
    assert record["bars"] == record["paths"] * 900
    assert record["symbols"] == len(quick.universe.bars)
    assert 0 < record["daily_rows"] < record["bars"] / 5
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_everything_named_is_timed(record):
    tests = {"all_tests_of_every_arm", "regimes_of_every_arm", "field", "welch", "placebo", "spa", "mcs", "selection"}
    tables = {"summaries", "regime_tables", "paths", "by_symbol_fold_and_seed", "heat_map"}
    assert set(record["seconds"]) == {"write", "read"} | tests | tables
    assert record["wall_s"] == pytest.approx(sum(record["seconds"].values()), abs=0.1)
    assert record["peak_rss_gb"] > 0.05


def test_every_arm_is_evaluated(quick, tmp_path):
    bench_evidence.write_ledgers(tmp_path, quick.universe, TINY)
    study = bench_evidence.open_study(tmp_path, quick.params, TINY)
    found = {name: work() for name, work in bench_evidence.evaluations(study, TINY).items()}
    assert len(found["summaries"]) == len(found["regime_tables"]) == 3
    assert len(found["all_tests_of_every_arm"]) == len(found["regimes_of_every_arm"]) == 2
    assert list(found["field"].index) == ["arm 1", "arm 2"]
    assert not found["paths"]["ruined"].any()
    assert len(found["paths"]) == 24
    bars = daily.exposure_pct(study.daily, "arm 0")
    assert found["summaries"][0]["exposure_pct"] == bars > 0


def test_errors_are_one_line(capsys, monkeypatch):
    def refuse(*_):
        raise ConfigError("no such thing")

    monkeypatch.setattr(bench_evidence.config, "read_params", refuse)
    assert bench_evidence.main(["--profile", "quick"]) == 2
    assert capsys.readouterr().err == "sizewise: no such thing\n"

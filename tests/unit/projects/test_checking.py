"""One table of what a project will use of its bars: by the functions of the pipeline, so that they cannot disagree."""

import numpy as np
import pandas as pd
import pytest
import yaml

from sizewise.base.errors import BarError, ConfigError, InstrumentError
from sizewise.dataset.store import build_tables, cut_folds, read_universe
from sizewise.market.bars import load_bars
from sizewise.params.reading import parse_params, read_params
from sizewise.params.stage import dated_params
from sizewise.projects.checking import check_project
from sizewise.reports import features
from sizewise.walkforward import cutting


def set_params(root, section, **values):
    """Change keys of a section; dates are written out by `splits`."""
    held = yaml.safe_load((root / "params.yaml").read_text())
    held[section] = values if section == "splits" else {**held[section], **values}
    (root / "params.yaml").write_text(yaml.safe_dump(held))


def set_instrument(root, **values):
    held = yaml.safe_load((root / "data" / "own" / "instruments.yaml").read_text())
    held["SHARE_1d"] |= values
    (root / "data" / "own" / "instruments.yaml").write_text(yaml.safe_dump(held))


DATES = {
    "test_starts": ["2012-01-03", "2013-01-02"],
    "end": "2014-01-02",
    "sealed_end": "2014-06-02",
    "purge_bars": 5,
    "rolling_days": 1200,
}
DATES |= {"min_train_bars": 250, "min_test_bars": 20}


@pytest.fixture
def project(make, monkeypatch):
    root = make()
    monkeypatch.chdir(root)
    return root


def test_its_row_is_what_the_pipeline_does(project):
    set_params(project, "splits", **DATES)
    p = parse_params(read_params(project))
    found = check_project(project)
    universe = read_universe(project / "data" / "bars", p.data, before=p.splits.end)
    folds = cut_folds(universe, p.splits, p.regimes, window_bars=1)["rolling"]
    tables, _ = build_tables(universe, [], p.regimes, p.signals)
    shown = features.signal_table(universe, tables).loc["SHARE_1d"]
    row = found.table.loc["SHARE_1d"]
    assert found.refused is None
    assert row["folds"] == "0-1"
    assert int(row["test"].replace(",", "")) == sum(len(fold.test["SHARE_1d"]) for fold in folds)
    assert int(row["train"].replace(",", "")) == max(len(fold.train["SHARE_1d"]) for fold in folds)
    assert (row["trades"], row["gross bps"]) == (f"{shown['trades']:.0f}", f"{shown['mean gross (bps)']:.1f}")


def test_every_bar_is_accounted_for(project):
    set_params(project, "splits", **DATES)
    row = check_project(project).table.loc["SHARE_1d"]
    bars, sealed, unused = (int(row[name].replace(",", "")) for name in ("bars", "sealed", "unused"))
    index = load_bars(project / "data" / "own" / "bars" / "SHARE_1d.parquet").index
    assert bars == len(index)
    assert sealed == ((index >= "2014-01-02") & (index < "2014-06-02")).sum() > 0
    assert unused == (index >= "2014-06-02").sum() > 0
    assert f"{unused:,} bars from 2014-06-02 on are read by nothing" in row["note"]


def test_what_a_trade_costs_is_both_fills_and_the_loan(project):
    set_params(project, "splits", **DATES)
    terms = {"half_spread_bps": 2.0, "borrow_bps_per_day": 0.0}
    set_instrument(project, **terms, fee_schedule=[{"from": "2000-01-01", "maker_bps": 0.0, "taker_bps": 3.0}])
    assert check_project(project).table.loc["SHARE_1d", "cost bps"] == "10.0"
    set_instrument(project, borrow_bps_per_day=5.0)
    assert float(check_project(project).table.loc["SHARE_1d", "cost bps"]) > 10.0


def test_auto_says_the_dates_it_finds_and_the_stage_finds_the_same(project):
    found = check_project(project)
    assert found.said[0].startswith("splits: auto finds 4 folds, tested from")
    cutting.write()
    assert parse_params(dated_params(project)).splits == found.splits
    assert len(check_project(project).said) == 1


def test_dates_of_an_earlier_run_are_named(project):
    cutting.write()
    set_params(project, "signals", max_hold_days=11)
    assert any("dates of an earlier run" in said for said in check_project(project).said)


def test_a_symbol_outside_the_folds_is_said(project):
    set_params(project, "splits", **{**DATES, "min_test_bars": 100})
    short = pd.read_parquet(project / "data" / "own" / "bars" / "SHARE_1d.parquet").iloc[:700]
    short.to_parquet(project / "data" / "own" / "bars" / "SHORT_1d.parquet")
    held = yaml.safe_load((project / "data" / "own" / "instruments.yaml").read_text())
    held["SHORT_1d"] = held["SHARE_1d"]
    (project / "data" / "own" / "instruments.yaml").write_text(yaml.safe_dump(held))
    found = check_project(project).table
    assert found.loc["SHORT_1d", "note"] == "not in data.symbols: add it there, and it is used"
    set_params(project, "data", symbols=["SHARE_1d", "SHORT_1d"])
    found = check_project(project)
    assert found.table.loc["SHORT_1d", "folds"] == "none"
    assert "in no fold: a fold asks for 250 warm bars" in found.table.loc["SHORT_1d", "note"]
    assert found.refused is None


def test_a_signal_that_costs_more_than_it_earns_is_said(project):
    set_params(project, "splits", **DATES)
    set_instrument(project, half_spread_bps=900.0)
    assert "bps on average and costs" in check_project(project).table.loc["SHARE_1d", "note"]


def test_bars_cut_by_the_section_data_are_said(project):
    set_params(project, "splits", **DATES)
    set_params(project, "data", start="2010-01-04")
    assert "bars lie outside data.start, data.end or data.spans" in check_project(project).table.loc["SHARE_1d", "note"]


# Where a run would be refused.


def test_fees_that_begin_after_the_bars_are_refused(project):
    set_instrument(project, fee_schedule=[{"from": "2011-01-01", "maker_bps": 0.0, "taker_bps": 3.0}])
    with pytest.raises(InstrumentError, match="begins 2011-01-01, after the first bar"):
        check_project(project)


def test_a_study_stops_where_its_check_refuses(project):
    set_params(project, "splits", **{**DATES, "min_train_bars": 100_000})
    with pytest.raises(ConfigError, match="has no symbol with 100000 train bars"):
        check_project(project).short()


def test_a_fold_without_a_symbol_is_refused_as_the_pipeline_does(project):
    set_params(project, "splits", **{**DATES, "min_train_bars": 100_000})
    found = check_project(project)
    assert found.refused is not None
    assert found.refused.startswith("splits: fold 0 (2012-01-03 to 2013-01-02) has no symbol with 100000 train bars")


def test_too_few_trades_for_a_confidence_are_refused_as_the_pipeline_does(project):
    set_params(project, "splits", **DATES)
    set_params(project, "signals", confidence_blocks=60)
    assert "too few for a confidence" in (check_project(project).refused or "")


def test_bars_in_which_no_fold_is_found_are_refused(project):
    bars = pd.read_parquet(project / "data" / "own" / "bars" / "SHARE_1d.parquet").iloc[:150]
    bars.to_parquet(project / "data" / "own" / "bars" / "SHARE_1d.parquet")
    found = check_project(project)
    assert (found.refused or "").startswith("splits: auto finds no fold in the bars before")
    assert found.table.loc["SHARE_1d", "folds"] == "none"


def test_a_class_that_cannot_be_opened_is_refused(project):
    held = yaml.safe_load((project / "params.yaml").read_text())
    held["arms"]["mine"] = {"kind": "custom", "class": "own/absent.py:Mine"}
    (project / "params.yaml").write_text(yaml.safe_dump(held))
    with pytest.raises(ConfigError, match=r"there is no file own/absent\.py"):
        check_project(project)


def test_bars_that_break_the_schema_are_refused(project):
    bars = pd.read_parquet(project / "data" / "own" / "bars" / "SHARE_1d.parquet")
    bars.iloc[3, 0] = np.nan
    bars.to_parquet(project / "data" / "own" / "bars" / "SHARE_1d.parquet")
    with pytest.raises(BarError, match="row 3"):
        check_project(project)

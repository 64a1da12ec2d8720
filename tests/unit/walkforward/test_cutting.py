"""Folds that follow the bars: the declared rule, on real bars, against what it promises."""

from datetime import timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from sizewise.base.errors import ConfigError
from sizewise.dataset.store import Universe, build_tables, warm_rows
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Donchian, Signals
from sizewise.params.dataset.splits import AutoSplits, Splits
from sizewise.walkforward import cutting
from sizewise.walkforward.cutting import Ground, cut, find_dates, sealed_from

REGIMES = Regimes(quantile_window_days=60)
FAST = Signals(family=Donchian(entry_days=5, exit_days=3), max_hold_days=20, confidence_blocks=2)
RULE = AutoSplits(folds=4, purge_bars=5)


def ground_of(bars, instruments, rule, signals=FAST):
    """(ground, end, stop) of some series."""
    times = [pd.DatetimeIndex(frame.index) for frame in bars.values()]
    end, stop = sealed_from(times, rule)
    before = {name: frame[frame.index < pd.Timestamp(end, tz="UTC")] for name, frame in bars.items()}
    universe = Universe(before, {name: instruments[name] for name in bars}, "hash")
    return Ground(universe, warm_rows(universe, REGIMES, window_bars=1), signals), end, stop


@pytest.fixture
def shares(real_bars):
    return {symbol: real_bars(symbol) for symbol in ("AAPL_1d", "ABBV_1d")}


def test_the_rule_keeps_what_it_promises(shares, instruments):
    on, end, stop = ground_of(shares, instruments, RULE)
    dates = cut(on, RULE, stop=stop, end=end)
    first = min(frame.index[0] for frame in shares.values()).date()
    last = max(frame.index[-1] for frame in shares.values()).date()
    assert stop == last + timedelta(days=1)
    assert dates.sealed_end == stop
    assert abs((stop - end).days / (stop - first).days - RULE.sealed_frac) < 0.001
    assert len(dates.test_starts) == RULE.folds
    edges = [*dates.test_starts, dates.end]
    lengths = [(b - a).days for a, b in zip(edges, edges[1:], strict=False)]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= RULE.min_test_days
    warm = min(on.times[symbol][row] for symbol, row in on.warm.items()).date()
    assert (dates.test_starts[0] - warm).days >= RULE.train_frac * (end - warm).days
    assert dates.rolling_days <= (dates.test_starts[0] - warm).days


def test_every_fold_it_finds_can_be_fitted(real_bars, instruments):
    on, end, stop = ground_of({"AAPL_1d": real_bars("AAPL_1d", 0, 800)}, instruments, RULE)
    folds = on.folds(cut(on, RULE, stop=stop, end=end))["rolling"]
    _, models = build_tables(on.universe, folds, REGIMES, FAST)
    assert len(models) == len(folds) > 1


def test_it_is_the_same_every_time_and_reads_no_sealed_price(shares, instruments):
    on, end, stop = ground_of(shares, instruments, RULE)
    found = cut(on, RULE, stop=stop, end=end)
    spoilt = {}
    for symbol, frame in shares.items():
        other = frame.copy()
        other.loc[other.index >= pd.Timestamp(end, tz="UTC")] *= 3.0
        spoilt[symbol] = other
    again = cut(ground_of(spoilt, instruments, RULE)[0], RULE, stop=stop, end=end)
    assert again == found


def test_a_slow_signal_begins_to_be_tested_later(real_bars, instruments):
    bars = {"AAPL_1d": real_bars("AAPL_1d", 0, 1500)}
    starts = []
    for signals in (FAST, Signals(confidence_blocks=3)):
        on, end, stop = ground_of(bars, instruments, RULE, signals)
        starts.append(cut(on, RULE, stop=stop, end=end).test_starts[0])
    assert starts[0] < starts[1]


def test_fewer_folds_where_windows_would_be_short(real_bars, instruments):
    bars = {"AAPL_1d": real_bars("AAPL_1d", 0, 700)}
    rule = RULE.model_copy(update={"folds": 9, "min_test_days": 100})
    on, end, stop = ground_of(bars, instruments, rule)
    dates = cut(on, rule, stop=stop, end=end)
    assert 1 <= len(dates.test_starts) < 9
    assert (dates.test_starts[-1] - dates.end).days <= -100


def test_nothing_is_sealed_where_nothing_is_to_be(shares, instruments):
    rule = RULE.model_copy(update={"sealed_frac": 0.0})
    on, end, stop = ground_of(shares, instruments, rule)
    assert end == stop
    assert cut(on, rule, stop=stop, end=end).sealed_end is None


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (90, "no bar is left after the warm-up"),
        (190, "train bars over"),
        (330, "too few for a confidence|train bars over|no test window"),
    ],
)
def test_too_few_bars_are_refused_with_what_there_is(real_bars, instruments, rows, why):
    bars = {"AAPL_1d": real_bars("AAPL_1d", 0, rows)}
    on, end, stop = ground_of(bars, instruments, RULE)
    with pytest.raises(ConfigError, match=rf"splits: auto finds no fold .*AAPL_1d \d+ bars.*({why})") as refused:
        cut(on, RULE, stop=stop, end=end)
    assert "\n" not in str(refused.value)
    assert "quantile_window_days" in str(refused.value)


def test_dates_written_out_are_handed_on(tmp_path):
    dates = Splits(test_starts=("2019-01-01",), end="2020-01-01")
    assert find_dates(SimpleNamespace(bars=tmp_path), SimpleNamespace(splits=dates)) is dates


def test_the_stage_refuses_on_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cutting.main([]) == 2
    assert capsys.readouterr().err.startswith("sizewise: no dvc.yaml")

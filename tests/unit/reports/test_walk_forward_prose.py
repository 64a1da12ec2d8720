"""Report 03's words are about the series and folds at hand."""

from types import SimpleNamespace

import pandas as pd

from sizewise.reports import walk_forward


def fold(*symbols):
    return SimpleNamespace(test=dict.fromkeys(symbols))


def test_how_many_symbols_a_fold_rests_on_is_said_where_it_changes():
    said = walk_forward.limitations([fold("a", "b"), fold("a")], ["a", "b"])
    assert "folds rest on 1 to 2 symbols" in said
    assert "folds rest" not in walk_forward.limitations([fold("a"), fold("a")], ["a"])


def test_a_symbol_that_no_fold_tests_is_named():
    assert "No fold tests b, c." in walk_forward.limitations([fold("a")], ["a", "b", "c"])
    assert "No fold tests" not in walk_forward.limitations([fold("a")], ["a"])


def test_what_is_not_there_to_show_is_said(monkeypatch):
    (shown,) = walk_forward.dependence_parts(pd.DataFrame())
    assert "none can be asked so" in shown.data
    monkeypatch.setattr(walk_forward, "venue_table", lambda stage: pd.DataFrame())
    (shown,) = walk_forward.venue_parts(SimpleNamespace())
    assert "met a rule of the venue" in shown.data
    counted = pd.DataFrame({"clipped": [1]}, index=["atr"])
    monkeypatch.setattr(walk_forward, "venue_table", lambda stage: counted)
    assert walk_forward.venue_parts(SimpleNamespace()) == [counted]

"""Report 02 of a project without tables and without models from closed trades: it says so, and shows nothing."""

import pandas as pd

from sizewise.reports import train


def test_without_a_table_one_sentence_says_so():
    history, in_use = train.arm_histories({}), pd.DataFrame()
    assert train.phase_tables(history) == train.trade_curves(history) == train.use_tables(in_use) == []
    assert train.use_sentences(in_use) == "No arm of `params.yaml` is a table: nothing was learned here."
    assert train.phase_sentence(history) == ""
    promises = train.promise_tables(history, alpha=0.05)
    assert promises == []
    assert train.promise_sentences(promises) == ""


def test_without_a_model_from_closed_trades_one_sentence_says_so():
    (shown,) = train.closed_trade_parts(pd.DataFrame())
    assert shown.data == "No arm of `params.yaml` learns from closed trades."

"""Tables on disk are read back as they were, and gone with whoever held them."""

import gc

import numpy as np
import pandas as pd
import pytest

from sizewise.dataset.features import compute_features
from sizewise.dataset.spill import Spilled
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals


def test_a_table_comes_back_equal_and_is_a_copy(bars):
    table = compute_features(bars, Regimes(), Signals())
    held = Spilled()
    held["one"] = table
    pd.testing.assert_frame_equal(held["one"], table, check_freq=False)
    read = held["one"]
    read.iloc[:, 0] = 7.0
    pd.testing.assert_frame_equal(held["one"], table, check_freq=False)


def test_it_is_a_mapping_and_takes_another_in_place_of_one(bars):
    held = Spilled()
    held["one"], held["two"] = bars, bars
    read = held["one"]
    held["one"] = bars.assign(more=np.arange(len(bars), dtype=np.float32))
    assert "more" not in read
    assert held["one"]["more"].dtype == np.float32
    assert list(held) == ["one", "two"]
    del held["one"]
    assert (len(held), "one" in held) == (1, False)
    with pytest.raises(KeyError):
        held["one"]


def test_nothing_is_left_behind(bars, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    held = Spilled()
    held["one"] = bars
    assert len(list(tmp_path.iterdir())) == 1
    del held
    gc.collect()
    assert list(tmp_path.iterdir()) == []

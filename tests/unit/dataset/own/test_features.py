"""Features of one's own: columns and a class, named, checked, known from where they say, and refused where they are not."""

import numpy as np
import pandas as pd
import pytest

from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.days import Days
from sizewise.dataset.features import all_features, chosen_inputs, compute_features, first_warm_row, own_names
from sizewise.dataset.own.features import Features, check_known, own_definitions, own_values, own_warmup_days
from sizewise.params.dataset.observation import Observation, OwnFeatures
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals

SOURCE = """
import numpy as np
import sizewise as sw


class Lean(sw.Features):
    window: int = 24

    def definitions(self):
        return {"lean": f"less its mean of {self.window}", "double": "twice that"}

    def warmup_days(self):
        return 1

    def values(self, bars, days):
        lean = bars["imbalance"] - bars["imbalance"].rolling(self.window).mean()
        return {"double": 2.0 * lean, "lean": lean}


class Late(Lean):
    def warmup_days(self):
        return 0


class Silent(Lean):
    def values(self, bars, days):
        return {"lean": bars["imbalance"]}


class Short(Lean):
    def values(self, bars, days):
        return {"lean": np.zeros(3), "double": np.zeros(len(bars))}


class Words(Lean):
    def values(self, bars, days):
        return {"lean": ["up"] * len(bars), "double": np.zeros(len(bars))}


class Taken(Lean):
    def definitions(self):
        return {"atr_frac": "taken"}


class Nothing:
    pass
"""


def own(name: str | None = None, *columns: str, **values) -> OwnFeatures:
    named = {} if name is None else {"class": f"own/mine.py:{name}"}
    return OwnFeatures.model_validate({"columns": list(columns), **named, **values})


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(SOURCE)
    monkeypatch.setattr("sizewise.params.own_class.project_root", lambda: tmp_path)


@pytest.fixture
def booked(bars):
    """The walk with a column that nobody's book gave; its first five values are not known."""
    found = bars.assign(imbalance=np.sin(np.arange(len(bars)) / 7.0), depth=1.0)
    found.loc[found.index[:5], "imbalance"] = np.nan
    return found


def test_columns_and_a_class_stand_behind_the_56(booked):
    both = own("Lean", "imbalance", window=12)
    assert own_names(both) == ("imbalance", "lean", "double")
    assert own_definitions(both)["lean"] == "less its mean of 12"
    table, plain = (compute_features(booked, Regimes(), Signals(), own=one) for one in (both, None))
    assert list(table.columns[:58]) == [*plain.columns[:55], "imbalance", "lean", "double"]
    pd.testing.assert_frame_equal(table[plain.columns], plain)
    lean = booked["imbalance"] - booked["imbalance"].rolling(12).mean()
    np.testing.assert_array_equal(table["lean"], lean)
    assert [one.name for one in all_features(both)][54:] == [
        *plain.columns[54:55], "imbalance", "lean", "double", "signal_confidence",
    ]  # fmt: skip
    assert all_features(both)[-2].warmup_days == own_warmup_days(both) == 1


def test_none_leave_everything_as_it_is(bars):
    assert own_values(None, bars, Days.of(bars)) == {}
    assert own_names(None) == ()
    assert "own" not in Observation().model_dump()


def test_inputs_name_them_in_the_order_of_the_tables():
    assert chosen_inputs(["lean", "signal_confidence", "ret_1"], ("imbalance", "lean")) == (
        "ret_1",
        "lean",
        "signal_confidence",
    )
    with pytest.raises(ConfigError, match="names 'lean', which is no feature"):
        chosen_inputs(["lean"])


def test_no_slice_begins_before_they_are_known(booked):
    rules = Regimes(quantile_window_days=8)
    plain = first_warm_row(booked, None, rules)
    late = booked.copy()
    late.loc[late.index[: plain + 100], "imbalance"] = np.nan
    assert first_warm_row(late, None, rules, own(None, "imbalance")) == plain + 100
    assert first_warm_row(booked, None, rules, own(None, "imbalance")) == plain
    assert first_warm_row(booked.assign(imbalance=np.nan), None, rules, own(None, "imbalance")) == len(booked)


def held(bars, features):
    check_known(features, own_values(features, bars, Days.of(bars)), bars, Days.of(bars))


def test_what_is_known_passes_and_what_is_missing_is_refused_with_its_row(booked):
    held(booked, own(None, "imbalance"))
    with pytest.raises(
        BarError, match=r"bars: row 0 \(2020-01-01 00:00 UTC\): feature 'lean' is nan: .* warmup_days\(\)"
    ):
        held(booked.fillna(0.0), own("Late"))
    held(booked.fillna(0.0), own("Lean"))
    holed = booked.copy()
    holed.iloc[700, holed.columns.get_loc("imbalance")] = np.nan
    with pytest.raises(BarError, match=r"row 700 .*: feature 'imbalance' is nan: give what was known at that close$"):
        held(holed, own(None, "imbalance"))
    holed.iloc[2, holed.columns.get_loc("imbalance")] = np.inf
    with pytest.raises(BarError, match=r"row 2 .*: feature 'imbalance' is inf"):
        held(holed, own(None, "imbalance"))


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (own(None, "spread"), BarError, "names column 'spread', and the bars of the symbol have none of numbers"),
        (own("Silent"), ConfigError, r"Silent does not both define and give 'double': let both name it"),
        (own("Short"), ConfigError, r"Short gives 'lean' in shape \(3,\) for 3000 bars: give one a bar"),
        (own("Words"), ConfigError, r"Words gives no numbers as 'lean': give one a bar"),
        (own("Lean", window="wide"), ConfigError, "refuses 'window'"),
        (own("Lean", "lean"), ConfigError, "'lean' is named twice"),
        (own(None, "depth", "depth"), ConfigError, "'depth' is named twice"),
        (own("Nothing"), ConfigError, r"own/mine\.py:Nothing is no sizewise\.Features: derive it from one"),
    ],
)
def test_what_are_no_features_is_refused(booked, features, error, message):
    with pytest.raises(error, match=message):
        compute_features(booked, Regimes(), Signals(), own=features)


@pytest.mark.parametrize("features", [own("Taken"), own(None, "close"), own(None, "regime"), own(None, "confidence_a")])
def test_a_name_that_is_taken_is_refused(features):
    with pytest.raises(ConfigError, match=r"the name '(atr_frac|close|regime|confidence_a)' is taken: give another"):
        own_names(features)


def test_a_class_must_say_what_its_features_are():
    with pytest.raises(TypeError, match="abstract"):
        Features()


def test_parameters_without_a_class_and_nothing_at_all_are_refused():
    with pytest.raises(ValueError, match="'window' is a parameter of no class"):
        own(None, "depth", window=3)
    with pytest.raises(ValueError, match="there are none: name columns or a class"):
        own()

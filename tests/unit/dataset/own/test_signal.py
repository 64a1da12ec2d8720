"""A signal of one's own is opened by its class, checked, and stopped like every other."""

import numpy as np
import pytest

from sizewise.base.errors import BarError, ConfigError
from sizewise.dataset.days import Days
from sizewise.dataset.own.signal import (
    GIVEN,
    Signal,
    column_direction,
    open_own_signal,
    own_confidence,
    own_direction,
)
from sizewise.dataset.signals import signal_stream
from sizewise.params import own_class
from sizewise.params.dataset.signals import Column, CustomSignal, Signals

SOURCE = """
import numpy as np
import sizewise as sw


class Momentum(sw.Signal):
    days: int = 2

    def direction(self, bars, days):
        before = days.before(days.column("close"), self.days)
        return np.sign(np.nan_to_num(bars["close"].to_numpy() / before - 1.0))


class Sure(Momentum):
    share: float = 0.7

    def confidence(self, bars, days):
        return np.full(len(bars), self.share)


class Curt(Sure):
    def confidence(self, bars, days):
        return np.ones(3)


class Wide(sw.Signal):
    def direction(self, bars, days):
        return np.full(len(bars), 2.0)


class Short(sw.Signal):
    def direction(self, bars, days):
        return np.zeros(3)


class Nothing:
    pass
"""


def family(name: str, **own) -> CustomSignal:
    return CustomSignal.model_validate({"kind": "custom", "class": f"own/mine.py:{name}", **own})


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text(SOURCE)
    monkeypatch.setattr("sizewise.params.own_class.project_root", lambda: tmp_path)


def test_it_is_opened_with_its_parameters(bars):
    found = open_own_signal(family("Momentum", days=5))
    assert isinstance(found, Signal)
    assert found.days == 5
    close, days = bars["close"].to_numpy(), Days.of(bars)
    said = own_direction(family("Momentum", days=1), bars, days)
    row = 24 * 30 + 7
    assert said[row] == np.sign(close[row] / close[24 * 30 - 1] - 1.0)


def test_it_is_followed_and_stopped(bars):
    table = signal_stream(bars, Signals(family=family("Momentum"), max_hold_days=4), Days.of(bars))
    assert set(table["direction"]) == {-1, 0, 1}
    assert table["age_days"].max() <= 4
    said = own_direction(family("Momentum"), bars, Days.of(bars))
    live = table["direction"] != 0
    assert (table["direction"][live] == said[live]).all()


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("Wide", {}, r"own/mine\.py:Wide gives 2\.0 at row 0: give -1, 0 or 1"),
        ("Short", {}, r"own/mine\.py:Short gives shape \(3,\) for 3000 bars: give one side a bar"),
        ("Nothing", {}, r"own/mine\.py:Nothing is no sizewise\.Signal: derive it from one"),
        ("Missing", {}, r"own/mine\.py has no class 'Missing'"),
        ("Momentum", {"days": "two"}, "refuses 'days'"),
    ],
)
def test_what_is_no_signal_is_refused(name, own, message, bars):
    with pytest.raises(ConfigError, match=message):
        own_direction(family(name, **own), bars, Days.of(bars))


def test_a_class_that_leaves_out_its_direction_is_refused(monkeypatch, bars):
    class Bare(Signal):
        pass

    monkeypatch.setattr(own_class, "own_class", lambda *_: Bare)
    with pytest.raises(ConfigError, match=r"cannot be made .*direction"):
        open_own_signal(family("Bare"))


def test_a_confidence_of_its_own_stands_beside_it(bars):
    days = Days.of(bars)
    assert own_confidence(family("Momentum"), bars, days) is None
    assert GIVEN not in signal_stream(bars, Signals(family=family("Momentum")), days)
    assert (signal_stream(bars, Signals(family=family("Sure", share=0.6)), days)[GIVEN] == 0.6).all()


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("Sure", {"share": 1.2}, r"Sure gives confidence 1\.2 at row 0: give a number from 0 to 1"),
        ("Sure", {"share": -0.1}, "at row 0: give a number from 0 to 1"),
        ("Curt", {}, r"Curt gives a confidence of shape \(3,\) for 3000 bars: give one a bar"),
    ],
)
def test_what_is_no_confidence_is_refused(name, own, message, bars):
    with pytest.raises(ConfigError, match=message):
        own_confidence(family(name, **own), bars, Days.of(bars))


@pytest.mark.parametrize("name", ["signal", "direction"])
def test_a_column_is_followed_with_its_confidence(bars, name):
    rule, sides = Signals(family=Column(kind="column")), np.resize(np.repeat([1.0, 0.0, -1.0], 30), len(bars))
    table = signal_stream(bars.assign(**{name: sides}, confidence=0.4), rule, Days.of(bars))
    assert (table["direction"] == sides).all()
    assert (table[GIVEN] == 0.4).all()
    assert GIVEN not in signal_stream(bars.assign(**{name: sides}), rule, Days.of(bars))


def test_two_columns_of_sides_are_refused(bars):
    both = bars.assign(signal=1.0, direction=1.0)
    with pytest.raises(BarError, match="have both columns 'signal' and 'direction': keep one"):
        column_direction(both)

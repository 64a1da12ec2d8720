"""A signal of one's own is opened by its class, checked, and stopped like every other."""

import numpy as np
import pytest

from sizewise.base.errors import ConfigError
from sizewise.dataset import own_signal
from sizewise.dataset.days import Days
from sizewise.dataset.own_signal import Signal, open_own_signal, own_direction
from sizewise.dataset.signals import signal_stream
from sizewise.params.dataset.signals import CustomSignal, Signals

SOURCE = """
import numpy as np
import sizewise as sw


class Momentum(sw.Signal):
    days: int = 2

    def direction(self, bars, days):
        before = days.before(days.column("close"), self.days)
        return np.sign(np.nan_to_num(bars["close"].to_numpy() / before - 1.0))


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

    monkeypatch.setattr(own_signal, "own_class", lambda *_: Bare)
    with pytest.raises(ConfigError, match=r"cannot be made .*direction"):
        open_own_signal(family("Bare"))

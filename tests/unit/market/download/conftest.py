"""A source on this machine, and time that passes only by sleeping."""

from collections.abc import Iterator

import pandas as pd
import pytest
import requests

from sizewise.market.download.fetching import Fetcher

from ....hand_vendor import Clock, Vendor, serving
from .own_data import OwnData


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Whatever proxy this machine has, the source on it is asked directly."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serving(Vendor()) as served:
        yield served


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fetcher(clock) -> Iterator[Fetcher]:
    with requests.Session() as session:
        yield Fetcher(clock.patience(), session)


@pytest.fixture
def bars(make_bars) -> pd.DataFrame:
    """Ten days of hours of 2024, of a random walk."""
    return make_bars(240, seed=3, start="2024-01-01")


@pytest.fixture
def own_data(tmp_path, instruments, monkeypatch) -> OwnData:
    """Importing and storing by hand, of a folder of its own."""
    made = OwnData(tmp_path, instruments["BTCUSDT_1h"])
    made.stand_in(monkeypatch)
    return made

"""The manual's own data, as it is printed there: stored, in the catalogue, and able to stand in data.symbols."""

import re
import shutil
from pathlib import Path

import pandas as pd

from sizewise.dataset.store import read_universe
from sizewise.market.catalogue import bars_path, read_catalogue
from sizewise.market.instruments import Funding
from sizewise.params.dataset.data import Data

ROOT = Path(__file__).parents[2]


def printed() -> str:
    """The code between the page's markers."""
    (section,) = re.findall(
        r"<!-- own-data -->(.*?)<!-- /own-data -->", (ROOT / "docs" / "own.md").read_text(), re.DOTALL
    )
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


def test_the_series_of_the_page_is_stored_and_read_beside_the_bundled_ones(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bars").symlink_to(ROOT / "data" / "bars")
    shutil.copy(ROOT / "data" / "instruments.yaml", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(printed(), "own.md", "exec"), found)
    assert isinstance(read_catalogue(tmp_path)["MYCOIN_1h"].funding, Funding)
    universe = read_universe(tmp_path / "data" / "bars", Data(symbols=["MYCOIN_1h", "SPY_1d"]))
    pd.testing.assert_frame_equal(universe.bars["MYCOIN_1h"], found["bars"], check_freq=False)
    assert bars_path(tmp_path, "MYCOIN_1h").parent == tmp_path / "data" / "own" / "bars"

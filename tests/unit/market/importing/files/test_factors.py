"""Factor files adjust the days up to theirs, and damaged ones are refused."""

import numpy as np
import pytest

from sizewise.base.errors import BarError
from sizewise.market.importing.files.factors import read_factors
from sizewise.market.importing.reading import read_foreign


def test_a_row_holds_up_to_its_day(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("20100101,0.5,0.25\n20140606,0.9,0.25\n20501231,1,1\n")
    factors = read_factors(path)
    days = np.array(["2009-01-01", "2010-01-01", "2010-01-02", "2014-06-06", "2014-06-09"], dtype="datetime64[D]")
    price, split = factors.of(days)
    np.testing.assert_allclose(price, [0.125, 0.125, 0.225, 0.225, 1.0])
    np.testing.assert_allclose(split, [0.25, 0.25, 0.25, 0.25, 1.0])


@pytest.mark.parametrize(
    "text", ["20100101,1,1\nnonsense\n", "20200101,1,1\n20100101,1,1\n", "20100101,0,1\n", "20101399,1,1\n"]
)
def test_damaged_ones_are_refused(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(BarError, match=r"x\.csv: no readable factor file"):
        read_factors(path)


def test_factors_alone_hold_no_bars(layouts):
    with pytest.raises(BarError, match="factor files alone hold none"):
        read_foreign([layouts / "equity/usa/factor_files/aapl.csv"])
    assert read_factors(layouts / "spy_us_d.csv") is None

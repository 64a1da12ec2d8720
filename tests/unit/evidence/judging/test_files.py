"""Files of curves: which column is meant, in which notation, and what is refused."""

import pandas as pd
import pytest

from sizewise.base.errors import DataMissingError, LedgerError
from sizewise.evidence.judging.files import read_file
from sizewise.evidence.judging.given import Given

from ....hand_curves import curve

EQUITY = curve(1)


def read(path, column=None, **said):
    return read_file("mine", path, Given(**said), column)


@pytest.fixture
def written(tmp_path):
    def write(text: str, name: str = "mine.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "options",
    [
        {"sep": ","},
        {"sep": ";", "decimal": ","},
        {"sep": "\t", "date_format": "%d/%m/%Y"},
        {"sep": ",", "header": False},
        {"sep": ",", "date_format": "%Y-%m-%dT%H:%M:%SZ"},
    ],
)
def test_notations_of_one_curve(written, options):
    found = read(written(EQUITY.rename("Equity").rename_axis("Date").to_csv(**options)))
    assert found.equity.tolist() == pytest.approx(EQUITY.tolist())
    assert found.times[0].tz_localize(None) == EQUITY.index[0]


def test_a_column_is_chosen_by_its_name_or_asked_for(written):
    table = pd.DataFrame({"Cash": 1.0, "Equity (USD)": EQUITY, "Drawdown": 0.0}).rename_axis("time")
    found = read(written(table.to_csv()))
    assert (found.source, found.currency) == ("mine.csv, column 'Equity (USD)'", "USD")
    two = written(pd.DataFrame({"a": EQUITY, "b": 2.0 * EQUITY}).rename_axis("time").to_csv())
    with pytest.raises(LedgerError, match=r"several columns could be meant \(a, b\): name one, as in NAME=mine.csv#a"):
        read(two)
    assert read(two, "b").equity.iloc[0] == pytest.approx(2.0 * EQUITY.iloc[0])
    with pytest.raises(LedgerError, match="there is no column 'c': it has a, b"):
        read(two, "c")


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_stored_frames(tmp_path, suffix):
    path = tmp_path / f"mine.{suffix}"
    frame = EQUITY.rename("equity").rename_axis("date").reset_index()
    getattr(frame, f"to_{suffix}")(path)
    assert read(path).equity.tolist() == EQUITY.tolist()
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(LedgerError, match="it cannot be read"):
        read(path)


def test_per_cent_in_the_header_or_in_the_cells(written):
    returns = (0.5 * EQUITY.pct_change().dropna()).round(6)
    for text in (
        (100.0 * returns).rename("Return [%]").rename_axis("date").to_csv(),
        (100.0 * returns).map("{:.4f}%".format).rename("Return").rename_axis("date").to_csv(),
    ):
        assert "in per cent" in read(written(text)).notes[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("equity\n1\n2\n", "a single column is no curve"),
        ("date,equity\n", "there are no rows below the header"),
        ("date,what\n2024-01-01,up\n2024-01-02,down\n", "no column holds numbers"),
        ("date,equity\n2024-01-01,1\n2024-01-02,one\n2024-01-03,2\n", "'one' in row 2 is no number"),
        ("date,equity\n2024-01-01,1\n2024-01-02,\n2024-01-03,2\n", "the value is NaN in row 1 .2024-01-02"),
        ("date,equity\nyesterday,1\n", "'yesterday' in row 1 is no time"),
    ],
)
def test_what_is_no_curve_is_refused(written, text, why):
    with pytest.raises(LedgerError, match=why):
        read(written(text))


@pytest.mark.parametrize("text", ["{", "[1", '{"a": ' * 100_000])
def test_a_torn_json_is_refused(written, text):
    with pytest.raises(LedgerError, match="it is no whole JSON"):
        read(written(text, "mine.json"))


def test_a_missing_file_is_named(tmp_path):
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(DataMissingError, match=f"{name} is no file"):
            read(tmp_path / name)

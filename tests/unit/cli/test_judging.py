"""The command `judge`: one page, one verdict, JSON; bad input is one line, status 2, and nothing is written."""

import json

import pandas as pd
import pytest

from sizewise.cli.entry import main
from sizewise.reports.site import judgement

from ...hand_curves import apart


@pytest.fixture
def undrawn(monkeypatch):
    """A page of a line, where it is not the page that is tested."""
    monkeypatch.setattr(judgement, "page", lambda judged: judgement.MARK)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, series in zip(("mine", "theirs"), apart(0, 1e-4), strict=True):
        series.rename("equity").rename_axis("date").to_csv(f"{name}.csv")
    return tmp_path


def test_a_page_and_a_verdict(folder, capsys):
    assert main(["judge", "mine.csv", "theirs.csv", "--tried", "3"]) == 0
    said = capsys.readouterr().out
    assert "mine grew faster than theirs" in said
    assert said.endswith("Page: judgement.html\n")
    assert "mine grew faster" in (folder / "judgement.html").read_text()


def test_names_options_and_json(folder, undrawn, capsys):
    table = pd.read_csv("mine.csv").assign(other=1.0)
    table.to_csv("wide.csv", index=False)
    given = ["a=wide.csv#equity", "b=theirs.csv", "--tried", "1", "--reference", "a", "--page", "x.html", "--json"]
    assert main(["judge", *given, "--currency", "USD", "--kind", "a=equity", "--timezone", "UTC"]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert (record["verdict"], record["reference"], record["page"]) == ("worse", "a", "x.html")
    assert printed.err == "Page: x.html\n"


def test_an_amount_may_be_written_as_people_do(folder, undrawn, capsys):
    closes = pd.date_range("2019-02-01 10:00", periods=40, freq="7D")
    trades = pd.DataFrame({"Entry time": closes - pd.Timedelta(days=1), "Exit time": closes, "Profit": 5.0})
    trades.to_csv("trades.csv", index=False)
    assert main(["judge", "trades.csv", "theirs.csv", "--tried", "1", "--equity", "trades=10,000"]) == 0
    assert "40 closed trades on a start of 10,000.00 (as you said)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["mine.csv", "theirs.csv"], "--tried is missing: say how many variants you looked at"),
        (["mine.csv", "theirs.csv", "--tried", "0"], "tried is 0"),
        (["mine.csv", "theirs.csv", "--tried", "some"], "sizewise judge --help"),
        (
            ["mine.csv", "theirs.csv", "--tried", "1", "--alpha", "5"],
            "alpha is 5.0: give a number above 0 and below 0.5, such as 0.05",
        ),
        (["mine.csv", "--tried", "1"], "1 curves are no comparison"),
        (["mine.csv", "none.csv", "--tried", "1"], "none.csv is no file"),
        (["mine.csv", "x/mine.csv", "--tried", "1"], "two curves are called 'mine': name them"),
        (
            ["mine.csv", "theirs.csv", "--tried", "1", "--kind", "x=percent"],
            "'x' is no curve: name one of mine, theirs",
        ),
        (
            ["mine.csv", "theirs.csv", "--tried", "1", "--page", "mine.csv"],
            "mine.csv is another file and stays as it is",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(folder, capsys, arguments, why):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["judge", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("sizewise: ")
    assert printed.err.count("\n") == 1
    assert why in printed.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

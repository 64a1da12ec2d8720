"""Rows are found in JSON whatever stands around them."""

import json

import pandas as pd
import pytest

from sizewise.base.errors import BarError
from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import read_foreign

TIMES = [1_577_836_800 + 3600 * hour for hour in range(8)]
ROWS = [
    {"timestamp": time, "open": 10.0 + n, "high": 12.0 + n, "low": 9.0 + n, "close": 11.0 + n, "volume": 5.0 + n}
    for n, time in enumerate(TIMES)
]
NAMES = list(ROWS[0])
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}
FRAME = pd.DataFrame(ROWS)
SHAPES = {
    "records": ROWS,
    "lists with a header": [NAMES, *(list(row.values()) for row in ROWS)],
    "a key": {"status": "ok", "values": ROWS},
    "two keys": {"data": {"items": {"candles": ROWS}}},
    "columns": COLUMNS,
    "short columns": {"s": "ok", **{name[0]: values for name, values in COLUMNS.items()}},
    "pandas columns": json.loads(FRAME.to_json()),
    "pandas index": json.loads(FRAME.set_index("timestamp").to_json(orient="index")),
    "pandas split": json.loads(FRAME.to_json(orient="split")),
    "split by time": json.loads(FRAME.set_index("timestamp").to_json(orient="split")),
    "numbers as text": [{name: str(value) for name, value in row.items()} for row in ROWS],
    "nested prices": [
        {"time": row["timestamp"], "mid": {name: row[name] for name in NAMES[1:5]}, "volume": row["volume"]} for row in ROWS
    ],
}  # fmt: skip


def written(tmp_path, document):
    path = tmp_path / "mine.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_holds_the_same_bars(tmp_path, shape):
    bars = read_foreign([written(tmp_path, SHAPES[shape])]).bars
    assert [int(time.timestamp()) for time in bars.index] == TIMES
    assert bars.to_dict("list") == {name: values for name, values in COLUMNS.items() if name != "timestamp"}


def test_a_record_a_line(tmp_path):
    bars = read_foreign([written(tmp_path, "\n".join(map(json.dumps, ROWS)))]).bars
    assert bars["close"].tolist() == COLUMNS["close"]


def test_times_as_keys(tmp_path):
    days = {
        f"2020-01-{9 - day:02d}": {"1. open": "1.5", "2. high": "2.5", "3. low": "1.0", "4. close": str(1.5 + day / 10)}
        for day in range(8)
    }
    imported = read_foreign([written(tmp_path, {"Meta Data": {"2. Symbol": "IBM"}, "Time Series (Daily)": days})])
    assert imported.layout == "alphavantage"
    assert imported.bars["close"].tolist() == [1.5 + day / 10 for day in reversed(range(8))]


def test_several_symbols_are_asked_for(tmp_path):
    path = written(tmp_path, {"bars": {"AAA": ROWS, "BBB": [{**row, "close": row["open"]} for row in ROWS]}})
    with pytest.raises(BarError, match=r"mine\.json: holds AAA, BBB: say --symbol for the one to import"):
        read_foreign([path])
    assert read_foreign([path], How(symbol="BBB")).bars["close"].tolist() == COLUMNS["open"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("[1, 2", "no readable JSON"),
        ("[]", "no rows of bars in this JSON"),
        ('{"error": "limit"}', "no rows of bars in this JSON"),
        ([[1, 2, 3, 4, 5, 6], [1, 2, 3]], "row 1 is no list of 6 values"),
        ([*ROWS, 5], "row 8 is no record"),
        ([{**ROWS[0], "open": None}, *ROWS[1:]], "--repair drop-incomplete"),
        ([{**row, "open": "x"} for row in ROWS], "open: row 0 is 'x', not a number"),
        ([{**row, "open": True} for row in ROWS], "open: row 0 is 'True', not a number"),
        ([{**row, "timestamp": 10**30} for row in ROWS], "no time"),
        ("[" * 5000 + "]" * 5000, "no readable JSON"),
    ],
)
def test_what_holds_no_bars(tmp_path, document, message):
    with pytest.raises(BarError, match=message) as caught:
        read_foreign([written(tmp_path, document)])
    assert "\n" not in str(caught.value)

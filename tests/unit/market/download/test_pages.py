"""Pages are merged where they agree, refused where they do not, and what is kept on disk is what was written."""

import json

import pytest

from sizewise.base.errors import DownloadError
from sizewise.market.download.pages import Page, keep_page, kept_page, merge_page, write_csv

HOUR = 3_600_000
ROWS = tuple((n * HOUR, 10.0 + n, 12.0 + n, 9.0 + n, 11.0 + n, 5.0) for n in range(6))


def merged(known, page):
    return merge_page(known, page, low_ms=HOUR, high_ms=4 * HOUR, place="x, page from 1970")


def test_overlapping_and_repeated_rows_are_one():
    known = {}
    assert merged(known, ROWS[1:3]) == 2
    assert merged(known, (*ROWS[2:4], *ROWS[2:4])) == 1
    assert merged(known, ROWS[1:4]) == 0
    assert tuple(known.values()) == ROWS[1:4]


def test_rows_outside_are_left_out():
    known = {}
    assert merged(known, ROWS) == 3
    assert sorted(known) == [HOUR, 2 * HOUR, 3 * HOUR]


def test_pages_that_disagree_are_refused_with_time_and_column():
    known = {}
    merged(known, ROWS[1:3])
    other = [*ROWS[2][:4], 999.0, 5.0]
    with pytest.raises(
        DownloadError, match=r"^x, page from 1970: two pages disagree on close of the bar 1970-01-01T02:00:00Z"
    ):
        merged(known, [other])


def test_a_page_that_disagrees_with_itself_is_refused():
    with pytest.raises(DownloadError, match="disagree on volume"):
        merged({}, [ROWS[2], [*ROWS[2][:5], 6.0]])


def test_rows_of_another_stretch_must_agree_too():
    with pytest.raises(DownloadError, match="disagree on open"):
        merged({0: ROWS[0]}, [[0, 1.0, *ROWS[0][2:]]])


@pytest.mark.parametrize(
    "row",
    [
        [],
        [HOUR],
        [HOUR, "a", 1, 1, 1, 1],
        ["x", 1, 1, 1, 1, 1],
        [HOUR + 0.5, 1, 1, 1, 1, 1],
        None,
        [float("inf")] * 6,
        "text..",
    ],
    ids=str,
)
def test_what_is_no_row_is_refused(row):
    with pytest.raises(DownloadError, match="is no bar of time and five numbers"):
        merged({}, [row])


def test_numbers_may_be_text_and_may_be_missing():
    known = {}
    merged(known, [[HOUR, "1.5", 2, float("nan"), None, "3", "further"]])
    assert known == {HOUR: (HOUR, 1.5, 2.0, None, None, 3.0)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "page.json"


def test_a_page_is_kept_to_the_last_bit(path):
    page = Page(((HOUR, 0.1 + 0.2, 1e-9, 1e300, None, 3.0),), 2 * HOUR, {"currency": "USDT"})
    keep_page(path, page)
    assert kept_page(path) == page
    assert [found.name for found in path.parent.iterdir()] == ["page.json"]


def test_no_page_is_none(path):
    assert kept_page(path) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("10.0", "10.5"),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: json.dumps({"page": {}, "sha256": "0"}),
        lambda text: text.replace("sha256", "md5"),
    ],
    ids=["a digit", "half", "empty", "no mapping", "nothing in it", "no hash"],
)
def test_a_page_that_was_changed_is_not_taken(path, spoil):
    keep_page(path, Page(ROWS, 6 * HOUR))
    path.write_text(spoil(path.read_text()))
    assert kept_page(path) is None


def test_bars_are_written_as_plain_csv_oldest_first(tmp_path):
    path = write_csv(tmp_path / "bars.csv", [ROWS[1], (0, 1.0, 2.0, None, 1e-7, 0.1)])
    assert path.read_bytes() == (
        b"timestamp,open,high,low,close,volume\n"
        b"1970-01-01T00:00:00Z,1.0,2.0,,1e-07,0.1\n"
        b"1970-01-01T01:00:00Z,11.0,13.0,10.0,12.0,5.0\n"
    )


def test_a_file_that_says_the_same_is_left(tmp_path):
    path = write_csv(tmp_path / "bars.csv", ROWS)
    before = path.stat().st_ino
    write_csv(path, reversed(ROWS))
    assert path.stat().st_ino == before
    write_csv(path, ROWS[1:])
    assert path.stat().st_ino != before

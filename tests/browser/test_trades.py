"""The trade explorer as a reader uses it; what it reads out is held to the files beside it."""

import json
import re
import shutil
from functools import cache

import numpy as np
import pytest

from sizewise.reports.trades.letters import numbers

from .conftest import REPORTS
from .test_pages import overflowing

PANELS = ("price", "size", "equity", "drawdown")
ROWS = "#trades tbody tr"


@cache
def read(symbol: str):
    text = (REPORTS / "trades" / f"{symbol}.js").read_text(encoding="utf-8")
    return json.loads(text[len(f'sizewiseTrades("{symbol}",') : -len(");\n")])


def series(text: str) -> np.ndarray:
    return np.cumsum(numbers(text))


@pytest.fixture
def explore(visit):
    """`explore("SPY_1d/ppo/1/all", width=390)`: the page once it has drawn that."""

    def opened(place: str = "", **how):
        page = visit(f"trades.html{'#' + place if place else ''}", **how)
        page.wait_for_selector(ROWS)
        page.wait_for_function("document.querySelectorAll('#panels canvas').length === 4")
        return page

    return opened


def spans(page) -> list[str]:
    """The days that each panel says it shows."""
    said = [page.get_attribute(f"#{name}", "aria-label") for name in PANELS]
    return [re.search(r"\d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d$", text)[0] for text in said]


def point(page, panel: str, share: float) -> None:
    box = page.locator(f"#{panel} .u-over").bounding_box()
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def reading(page) -> list[tuple[str, str]]:
    return [tuple(cell.inner_text().split("\n")) for cell in page.locator("#reading div").all()]


def column(page, head: str) -> list[str]:
    heads = [text.strip() for text in page.locator("#trades thead th").all_text_contents()]
    return page.locator(f"{ROWS} td:nth-child({heads.index(head) + 1})").all_inner_texts()


def number(text: str) -> float:
    return float(re.sub(r"[,$%]", "", text.replace("\u2212", "-")))


def test_everything_is_shown_at_first_and_every_panel_shows_it(explore):
    page = explore("SPY_1d/ppo/2")
    days = series(read("SPY_1d")["days"]).astype("datetime64[D]")
    assert set(spans(page)) == {f"{days[0]} to {days[-1]}"}
    assert page.locator("#seed").input_value() == "2"
    assert page.said == []


@pytest.mark.parametrize("panel", PANELS)
def test_a_drag_over_one_panel_zooms_all(explore, panel):
    page = explore("SPY_1d")
    whole = spans(page)
    page.locator(f"#{panel}").scroll_into_view_if_needed()
    point(page, panel, 0.4)
    page.mouse.down()
    point(page, panel, 0.6)
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('#price').ariaLabel.endsWith('{whole[0]}') === false")
    zoomed = spans(page)
    assert len(set(zoomed)) == 1
    assert zoomed != whole
    page.get_by_role("button", name="Everything").click()
    assert spans(page) == whole


@pytest.mark.parametrize("panel", PANELS)
def test_fingers_move_and_spread_the_days(explore, panel):
    page = explore("SPY_1d", touch=True)
    whole = spans(page)
    page.locator(f"#{panel}").scroll_into_view_if_needed()
    box = page.locator(f"#{panel} .u-over").bounding_box()
    device = page.context.new_cdp_session(page)

    def touch(kind: str, *shares: float) -> None:
        points = [
            {"x": box["x"] + share * box["width"], "y": box["y"] + box["height"] / 2, "id": i}
            for i, share in enumerate(shares)
        ]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def days() -> np.ndarray:
        first, last = spans(page)[0].split(" to ")
        return np.array([first, last], dtype="datetime64[D]").astype(float)

    touch("touchStart", 0.4, 0.6)
    touch("touchMove", 0.2, 0.8)
    touch("touchEnd")
    page.wait_for_function(f"document.querySelector('#price').ariaLabel.endsWith('{whole[0]}') === false")
    assert len(set(spans(page))) == 1
    spread = days()
    everything = np.array(whole[0].split(" to "), dtype="datetime64[D]").astype(float)
    # A third of the days, around the same middle.
    assert np.ptp(spread) == pytest.approx(np.ptp(everything) / 3.0, abs=8.0)
    assert spread.mean() == pytest.approx(everything.mean(), abs=8.0)
    touch("touchStart", 0.3)
    touch("touchMove", 0.6)
    touch("touchEnd")
    page.wait_for_timeout(50)
    moved = days()
    assert np.ptp(moved) == pytest.approx(np.ptp(spread), abs=8.0)
    assert spread[0] - moved[0] == pytest.approx(0.3 * np.ptp(spread), abs=8.0)
    assert page.said == []


@pytest.mark.parametrize("panel", PANELS)
def test_pointing_at_a_day_reads_what_the_file_holds(explore, panel):
    page = explore("AAPL_1d/ppo/3/2")
    page.locator(f"#{panel}").scroll_into_view_if_needed()
    values = read("AAPL_1d")
    days = [str(day) for day in series(values["days"]).astype("datetime64[D]")]
    # Fold 2 is shown, and begins where the folds before it end.
    first = sum(count for fold, count in values["folds"] if fold < 2)
    changed = 0
    for share in (0.11, 0.37, 0.52, 0.83, 0.96):
        point(page, panel, share)
        page.wait_for_selector("#reading div")
        said = reading(page)
        assert [name for name, _ in said[:9]] == [
            *("day", "close", "regime", "ppo, seed 3: size", "equity", "drawdown"),
            *("atr_managed: size", "equity", "drawdown"),
        ]
        at = days.index(said[0][1])
        assert number(said[1][1]) == pytest.approx(series(values["closes"])[at] / 10 ** values["decimals"], abs=1e-9)
        for place, (arm, seed) in ((3, ("ppo", "3")), (6, ("atr_managed", "0"))):
            sizes, equity = (series(text) for text in values["paths"][arm][seed][:2])
            most = max(10_000, equity[first : at + 1].max())
            assert number(said[place][1]) == pytest.approx(sizes[at] / 100, abs=1e-9)
            assert number(said[place + 1][1]) == equity[at] * 10
            assert number(said[place + 2][1]) == pytest.approx(100 * (equity[at] / most - 1), abs=0.005)
            changed += sizes[at] != sizes[at - 1]
    assert changed, "where nothing changes from day to day another day would be read as well"


def test_the_list_holds_the_trades_of_the_file(explore):
    page = explore("SPY_1d/ppo/1")
    values = read("SPY_1d")
    rows = np.reshape(numbers(values["paths"]["ppo"]["1"][2]), (-1, 5))
    assert [number(text) for text in column(page, "result ($)")] == rows[:, 3].tolist()
    assert f"{len(rows)} of {len(rows)} trades" in page.inner_text("#count")


def test_filters_filter_the_list(explore):
    page = explore("SPY_1d/ppo/1")
    every = page.locator(ROWS).count()
    page.select_option("#outcome", "win")
    won = page.locator(ROWS).count()
    assert all(number(text) > 0 for text in column(page, "result ($)"))
    page.select_option("#outcome", "loss")
    assert won + page.locator(ROWS).count() == every
    page.select_option("#outcome", "")
    counts = []
    for option in page.locator("#regime option").all()[1:]:
        page.select_option("#regime", option.get_attribute("value"))
        assert set(column(page, "regime")) <= {option.inner_text()}
        counts.append(page.locator(ROWS).count())
    assert sum(counts) == every
    assert sum(count > 0 for count in counts) > 1


def test_a_column_is_sorted_by_its_numbers_and_back(explore):
    page = explore("SPY_1d/ppo/1")
    head = page.locator("#trades thead th").filter(has_text="result ($)")
    before = [number(text) for text in column(page, "result ($)")]
    head.locator("button").click()
    assert [number(text) for text in column(page, "result ($)")] == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert [number(text) for text in column(page, "result ($)")] == sorted(before)


def test_a_click_in_the_list_moves_the_charts_there(explore):
    page = explore("SPY_1d/ppo/1")
    row = page.locator(ROWS).nth(20)
    entered, left = (column(page, head)[20] for head in ("entered", "left"))
    row.click()
    page.wait_for_function("document.querySelector('#reading').textContent.includes('day')")
    zoomed = spans(page)
    assert len(set(zoomed)) == 1
    first, last = zoomed[0].split(" to ")
    assert first < entered < left < last
    assert (np.datetime64(last) - np.datetime64(first)).astype(int) < 250
    assert row.get_attribute("aria-current") == "true"
    assert dict(reading(page)[:1])["day"] == entered


def test_the_keyboard_does_what_the_mouse_does(explore):
    page = explore("SPY_1d/ppo/1")
    whole = spans(page)
    page.focus("#panels")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#reading div")
    days = [str(day) for day in series(read("SPY_1d")["days"]).astype("datetime64[D]")]
    assert reading(page)[0][1] == days[0]
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('#reading').textContent.includes('{days[1]}')")
    for key in ("+", "PageDown", "PageUp", "-"):
        before = spans(page)
        page.keyboard.press(key)
        page.wait_for_function(f"!document.querySelector('#price').ariaLabel.endsWith('{before[0]}')")
        assert len(set(spans(page))) == 1
    page.keyboard.press("0")
    page.wait_for_function(f"document.querySelector('#price').ariaLabel.endsWith('{whole[0]}')")


def test_a_trade_is_chosen_with_the_keyboard(explore):
    page = explore("SPY_1d/ppo/1")
    whole = spans(page)
    page.locator(f"{ROWS} button").nth(3).focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"!document.querySelector('#price').ariaLabel.endsWith('{whole[0]}')")


def test_another_symbol_arm_and_fold_are_shown_and_kept_in_the_address(explore):
    page = explore("SPY_1d/ppo/1")
    page.select_option("#arm", "ppo_entry")
    assert page.locator("#beside").input_value() == "atr"
    page.select_option("#symbol", "TSLA_1d")
    page.wait_for_function("document.querySelector('#shown').textContent.startsWith('TSLA_1d: ppo_entry')")
    page.select_option("#fold", "3")
    values = read("TSLA_1d")
    first = sum(count for fold, count in values["folds"] if fold < 3)
    days = series(values["days"]).astype("datetime64[D]")
    count = dict(values["folds"])[3]
    page.wait_for_function(f"document.querySelector('#price').ariaLabel.endsWith('to {days[first + count - 1]}')")
    assert set(spans(page)) == {f"{days[first]} to {days[first + count - 1]}"}
    assert page.url.endswith("#TSLA_1d/ppo_entry/1/3/atr")
    page.reload()
    page.wait_for_selector(ROWS)
    assert [page.locator(f"#{name}").input_value() for name in ("symbol", "arm", "fold")] == [
        "TSLA_1d",
        "ppo_entry",
        "3",
    ]
    assert page.said == []


def test_every_symbol_and_arm_opens(explore):
    page = explore()
    for symbol in page.locator("#symbol option").all_inner_texts():
        page.select_option("#symbol", symbol)
        page.wait_for_function(f"document.querySelector('#shown').textContent.startsWith('{symbol}: ')")
    for arm in page.locator("#arm option").all_inner_texts():
        page.select_option("#arm", arm)
        page.wait_for_function(f"document.querySelector('#shown').textContent.includes(': {arm}')")
    assert page.said == []


def test_other_colours_are_drawn_in_the_dark(explore):
    page = explore("SPY_1d")
    drawn = "document.querySelector('#price canvas').toDataURL()"
    light = page.evaluate(drawn)
    page.click("#theme")
    page.wait_for_function(f"{drawn} !== {json.dumps(light)}")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_once_something_is_read(explore, width):
    page = explore("EURUSD_1h/ppo_ensemble", width=width)
    page.locator(ROWS).first.click()
    page.wait_for_selector("#reading div")
    assert overflowing(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_paper_shows_charts_and_trades_in_light(explore):
    page = explore("SPY_1d", dark=True, width=1280)
    page.set_viewport_size({"width": 718, "height": 1000})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    for hidden in ("#choices", "#zoom", "#filters", "#reading", "#keys"):
        assert not page.locator(hidden).is_visible(), hidden
    assert page.locator(ROWS).first.is_visible()
    for name in PANELS:
        assert page.locator(f"#{name} canvas").bounding_box()["width"] <= 718, name
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"


def test_a_missing_file_is_named_with_its_remedy(browser, tmp_path):
    shutil.copy(REPORTS / "trades.html", tmp_path)
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "trades.html").as_uri())
    page.wait_for_function("document.querySelector('#shown').textContent.includes('dvc repro trades')")
    context.close()


@pytest.mark.parametrize("name", ["index.html", "03_walk_forward.html", "04_compare.html"])
def test_the_trades_are_found_from_what_they_come_to(visit, name):
    page = visit(name)
    link = page.locator("main a[href='trades.html']").first
    assert link.bounding_box()["y"] < 900
    link.click()
    page.wait_for_selector(ROWS)

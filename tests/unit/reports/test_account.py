"""The picture of a path: what is on it, in words and in places; that it is not blank is for test_gym_env as well."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from matplotlib.dates import date2num

from sizewise.reports.account import BUY, MOST_CANDLES, SELL, SHAPES, draw_path, pixels
from sizewise.trading.broker.orders import Kind


def path(n: int, *symbols: str, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    times = pd.date_range("2021-05-01", periods=n, freq="h", tz="UTC")
    equity = 1000.0 + rng.normal(0.0, 3.0, n).cumsum()
    parts = []
    for symbol in symbols or ("BTCUSDT_1h",):
        close = 30_000.0 * np.exp(rng.normal(0.0, 0.005, n).cumsum())
        open_ = np.concatenate([close[:1], close[:-1]])
        columns = {"open": open_, "high": np.maximum(open_, close) * 1.002, "low": np.minimum(open_, close) * 0.998}
        position = np.repeat(rng.normal(0.0, 300.0, n // 8 + 1), 8)[:n]
        parts.append(
            pd.DataFrame(
                {"time": times, "symbol": symbol, **columns, "close": close, "position": position, "equity": equity}
            )
        )
    return pd.concat(parts, ignore_index=True)


def fills_on(frame: pd.DataFrame, *kinds: str) -> pd.DataFrame:
    rows = frame.iloc[3 : 3 + 4 * len(kinds) : 4]
    units = np.where(np.arange(len(rows)) % 2, -0.01, 0.01)
    return pd.DataFrame(
        {"time": rows["time"], "symbol": rows["symbol"], "kind": kinds, "units": units, "price": rows["close"]}
    )


NO_FILLS = pd.DataFrame({name: [] for name in ("time", "symbol", "kind", "units", "price")})


def texts(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_every_kind_of_fill_has_a_shape_of_its_own():
    assert set(SHAPES) == {kind.name.lower() for kind in Kind}
    assert len({shape for shape, _ in SHAPES.values()}) == len(SHAPES)


def test_three_panels_share_the_time_and_name_their_units():
    frame = path(50)
    figure = draw_path(frame, fills_on(frame, "market"), quote="USDT")
    top, middle, bottom = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "BTCUSDT_1h: price and fills",
        "Position at the close",
        "Equity at the close",
    ]
    assert [axes.get_ylabel() for axes in figure.axes] == ["USDT"] * 3
    assert bottom.get_xlabel() == "time (UTC)"
    assert top.get_shared_x_axes().joined(top, middle)
    assert middle.get_shared_x_axes().joined(middle, bottom)
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), frame["equity"])
    np.testing.assert_allclose(middle.lines[0].get_ydata(), frame["position"])


def test_fills_lie_where_they_happened_coloured_by_side():
    frame = path(50)
    fills = fills_on(frame, *SHAPES)
    figure = draw_path(frame, fills)
    marks = [marks for marks in figure.axes[0].collections if len(marks.get_offsets()) and marks.get_zorder() == 3]
    assert len(marks) == len(SHAPES)
    drawn = np.concatenate([mark.get_offsets() for mark in marks])
    np.testing.assert_allclose(drawn, np.column_stack([date2num(fills["time"]), fills["price"]]))
    colours = [tuple(mark.get_facecolor()[0]) for mark in marks]
    assert colours == [to_rgba(BUY if units > 0 else SELL) for units in fills["units"]]
    assert texts(figure) == ["buy", "sell", *(label for _, label in SHAPES.values())]


def test_the_legend_names_only_what_there_is():
    frame = path(50)
    assert texts(draw_path(frame, fills_on(frame, "limit"))) == ["buy", "limit"]
    assert draw_path(frame, NO_FILLS).legends == []


def test_several_symbols_begin_at_100():
    frame = path(50, "AAA", "BBB")
    frame.loc[frame["symbol"] == "BBB", ["open", "high", "low", "close"]] /= 1000.0
    fills = fills_on(frame[frame["symbol"] == "BBB"], "market")
    figure = draw_path(frame, fills)
    assert [line.get_ydata()[0] for line in figure.axes[0].lines] == pytest.approx([100.0, 100.0])
    assert figure.axes[0].get_ylabel() == "start = 100"
    (mark,) = (marks for marks in figure.axes[0].collections if marks.get_zorder() == 3)
    first = frame.loc[frame["symbol"] == "BBB", "close"].iloc[0]
    np.testing.assert_allclose(mark.get_offsets()[:, 1], 100.0 * fills["price"] / first)
    assert texts(figure) == ["AAA", "BBB", "buy", "market"]


def test_many_bars_are_a_line_and_few_are_candles():
    few, many = draw_path(path(MOST_CANDLES), NO_FILLS), draw_path(path(MOST_CANDLES + 1), NO_FILLS)
    assert len(few.axes[0].patches) == MOST_CANDLES
    assert len(many.axes[0].patches) == 0
    assert len(many.axes[0].lines) == 1


@pytest.mark.parametrize("n", [1, 2, 60, 600])
def test_any_length_draws_without_complaint(n):
    picture = pixels(draw_path(path(n), NO_FILLS))
    assert picture.shape == (700, 900, 3)
    assert picture.dtype == np.uint8
    assert 0.003 < (picture < 160).all(axis=2).mean() < 0.5


def test_nothing_that_is_written_overlaps():
    """Titles, legend, ticks and labels of all panels, with every kind of fill and two long names."""
    frame = path(300, "BTCUSD-BITFINEX_15m", "ETHUSD-BITFINEX_30m")
    figure = draw_path(frame, fills_on(frame, *SHAPES), quote="USD and USDT")
    pixels(figure)
    boxes = {"legend": figure.legends[0].get_window_extent()}
    for i, axes in enumerate(figure.axes):
        title = axes._left_title
        boxes |= {f"title {i}": title.get_window_extent(), f"y label {i}": axes.yaxis.label.get_window_extent()}
        boxes |= {f"y tick {i} {t}": tick.get_window_extent() for t, tick in enumerate(shown(axes.yaxis))}
    last = figure.axes[-1]
    boxes |= {f"x tick {t}": tick.get_window_extent() for t, tick in enumerate(shown(last.xaxis))}
    boxes["x label"] = last.xaxis.label.get_window_extent()
    boxes["offset"] = last.xaxis.get_offset_text().get_window_extent()
    names = sorted(boxes)
    clashes = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if boxes[a].overlaps(boxes[b])]
    assert clashes == []
    inside = mpl.transforms.Bbox([[0, 0], [900, 700]])
    assert [name for name, box in boxes.items() if not (inside.contains(*box.min) and inside.contains(*box.max))] == []


def shown(axis) -> list:
    """Labels of the ticks within the axis."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    return [label for place, label in ticks if low <= place <= high and label.get_text()]


def test_pyplot_and_its_settings_are_left_alone():
    plt.get_backend()  # matplotlib chooses one when it is first asked
    before, open_figures = mpl.rcParams.copy(), plt.get_fignums()
    pixels(draw_path(path(20), NO_FILLS))
    assert plt.get_fignums() == open_figures
    assert mpl.rcParams == before

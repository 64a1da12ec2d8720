"""The picture of one account's path: price with its fills, position, equity."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sizewise.reports.page.style import COLOURS, STYLE

BUY, SELL = COLOURS[0], COLOURS[1]
# A shape a kind of fill (orders.Kind), and what to call it.
SHAPES = {
    "market": ("o", "market"),
    "limit": ("s", "limit"),
    "stop": ("D", "stop"),
    "lot_stop": ("v", "stop of a lot"),
    "lot_take": ("^", "take of a lot"),
    "liquidation": ("X", "liquidation"),
}
SYMBOL_COLOURS = ("#555555", *COLOURS[2:6])
# Candles of more bars than this are too thin to be told apart.
MOST_CANDLES = 150
# Pixels: (9, 7) inches at 100.
DPI = 100


def draw_path(frame: pd.DataFrame, fills: pd.DataFrame, *, quote: str = "quote currency") -> Figure:
    """Price with fills, position and equity, one above the other on the same time.

    One symbol's price is drawn as candles, or as a line within the bars' ranges if there are many; several as lines that
    begin at 100. The figure is none of pyplot's: nothing has to close it.

    Args:
        frame: one row a bar and symbol: time (UTC, start of the bar), symbol, open, high, low, close, position (signed
            value) and equity (of the account, the same for all symbols of a time).
        fills: one row a fill: time, symbol, kind (a key of SHAPES), units (signed), price.
        quote: what money is counted in.
    """
    with plt.style.context(STYLE):
        figure = Figure(figsize=(9.0, 7.0), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3.0, 1.2, 1.2))
        symbols = list(dict.fromkeys(frame["symbol"]))
        colours = {symbol: SYMBOL_COLOURS[i % len(SYMBOL_COLOURS)] for i, symbol in enumerate(symbols)}
        handles = _price(top, frame, symbols, colours, quote) + _fills(top, frame, fills, relative=len(symbols) > 1)
        if handles:
            # Above the panels, where no price can run through it and no title can be run over.
            figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
        for symbol in symbols:
            part = frame[frame["symbol"] == symbol]
            middle.plot(part["time"], part["position"], color=colours[symbol], drawstyle="steps-mid")
        middle.axhline(0.0, color="#888888", lw=0.8)
        middle.set(title="Position at the close", ylabel=quote)
        equity = frame.drop_duplicates("time").sort_values("time", kind="stable")
        bottom.plot(equity["time"], equity["equity"], color="#333333")
        bottom.axhline(equity["equity"].iloc[0], color="#888888", lw=0.8, ls=":")
        bottom.set(title="Equity at the close", ylabel=quote, xlabel="time (UTC)")
        time_axis(bottom, equity["time"])
        for axes in (top, middle, bottom):
            # An offset in a corner is overlooked; money is written out.
            axes.locator_params(axis="y", nbins=6 if axes is top else 4)
            axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        figure.align_ylabels()
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """A figure as drawn: uint8 (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _price(axes: Axes, frame: pd.DataFrame, symbols: list[str], colours: dict[str, str], quote: str) -> list[Artist]:
    """Draw the price; legend entries of the symbols where there are several."""
    if len(symbols) > 1:
        for symbol in symbols:
            part = frame[frame["symbol"] == symbol]
            axes.plot(part["time"], 100.0 * part["close"] / part["close"].iloc[0], color=colours[symbol], lw=1.2)
        axes.set(title="Prices and fills", ylabel="start = 100")
        return [Line2D([], [], color=colours[symbol], label=symbol) for symbol in symbols]
    colour = colours[symbols[0]]
    if len(frame) > MOST_CANDLES:
        axes.fill_between(frame["time"], frame["low"], frame["high"], color=colour, alpha=0.25, lw=0)
        axes.plot(frame["time"], frame["close"], color=colour, lw=1.0)
    else:
        _candles(axes, frame, colour)
    axes.set(title=f"{symbols[0]}: price and fills", ylabel=quote)
    return []


def _candles(axes: Axes, frame: pd.DataFrame, colour: str) -> None:
    gaps = frame["time"].diff().dropna()
    width = 0.7 * (gaps.median() if len(gaps) else pd.Timedelta(hours=1))
    rises = (frame["close"] >= frame["open"]).to_numpy()
    bottom, height = frame[["open", "close"]].min(axis=1), (frame["close"] - frame["open"]).abs()
    axes.vlines(frame["time"], frame["low"], frame["high"], color=colour, lw=0.8)
    faces = np.where(rises, "#FFFFFF", colour).tolist()
    axes.bar(frame["time"], height, width, bottom=bottom, color=faces, edgecolor=colour, lw=0.8)


def _fills(axes: Axes, frame: pd.DataFrame, fills: pd.DataFrame, *, relative: bool) -> list[Artist]:
    """Mark the fills; legend entries of the sides and kinds there are."""
    handles: list[Artist] = []
    for name, colour, side in (("buy", BUY, 1.0), ("sell", SELL, -1.0)):
        if (np.sign(fills["units"]) == side).any():
            handles.append(Patch(color=colour, label=name))
    base = frame.groupby("symbol")["close"].first()
    for kind, (shape, label) in SHAPES.items():
        part = fills[fills["kind"] == kind]
        if not len(part):
            continue
        price = 100.0 * part["price"] / part["symbol"].map(base) if relative else part["price"]
        sides = np.where(part["units"] > 0, BUY, SELL).tolist()
        axes.scatter(part["time"], price, s=42, marker=shape, c=sides, edgecolors="white", linewidths=0.7, zorder=3)
        handles.append(Line2D([], [], color="#777777", marker=shape, ls="", label=label))
    return handles


def time_axis(axes: Axes, times: pd.Series) -> None:
    """Few dates, short and apart, on an axis of these times."""
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    if len(times) == 1:
        # A single bar has no span to draw over.
        axes.set_xlim(mpl.dates.date2num(times.iloc[0]) - 0.5, mpl.dates.date2num(times.iloc[0]) + 0.5)

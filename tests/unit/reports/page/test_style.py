"""What figures mean by their lines, cells and shades; what each draws is held in test_figures_drawn.py."""

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from sizewise.dataset.regimes import LABELS
from sizewise.reports import figures, train, walk_forward
from sizewise.reports.page import style
from sizewise.reports.page.described import described

ARMS = ["ppo", "atr", "constant"]


pytestmark = pytest.mark.usefixtures("drawn")


def days(n: int) -> pd.DatetimeIndex:
    return pd.date_range("2020-01-01", periods=n, tz="UTC")


def labels(n: int) -> pd.Series:
    return pd.Series(np.resize(np.repeat(LABELS, 3), n), index=days(n))


def draws(n: int, columns: list[str], seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(0.0, 0.01, (n, len(columns)))
    return pd.DataFrame(values, index=days(n), columns=columns)


def history() -> pd.DataFrame:
    rows = [
        {
            "group": group,
            "fold": fold,
            "seed": seed,
            "samples": 1000.0 * iteration,
            "validation_bps_per_day": np.nan if iteration % 2 else 0.1 * iteration + seed,
            "mean_scaled_reward": 0.01 * iteration,
            "entropy": 1.9 - 0.1 * iteration,
        }
        for group in ("ppo (rolling)", "ppo (anchored)")
        for fold in (0, 1)
        for seed in (1, 2)
        for iteration in range(1, 5)
    ]
    return pd.DataFrame(rows)


def effect_rows() -> pd.DataFrame:
    table = pd.DataFrame(
        {"effect_bps": [1.5, np.nan, -0.5], "low_bps": [0.5, np.nan, -1.5], "high_bps": [2.5, np.nan, 0.5]},
        index=["low_vol_trending", "high_vol_trending", "neutral"],
    )
    return table.assign(note=["41 trades", "3 trades: too few to test", "50 trades"])


def equity() -> Figure:
    daily = draws(60, ARMS)
    daily.iloc[5, 1] = np.nan
    return figures.equity_by_arm(daily, labels(60), [days(60)[0], days(60)[30]])


def heat_cells() -> pd.DataFrame:
    keys = [(fold, label, seed) for fold in (0, 1) for label in ("bull", "bear") for seed in (1, 2)]
    frame = pd.DataFrame(keys, columns=["fold", "label", "seed"])
    values = [1.0, -2.0, 0.04, -0.04, 0.5, 8.0, -1.0, 3.0]
    frame = frame.assign(effect_bps=values, n_days=range(11, 19))
    return frame[~((frame["fold"] == 1) & (frame["label"] == "bear"))]


def heat() -> Figure:
    return walk_forward.heat_map(heat_cells(), ["bull", "bear"], title="ppo minus atr")


def legend(figure: Figure, place: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[place].get_legend().get_texts()]


def test_legends_name_the_arms():
    assert legend(equity()) == ARMS
    assert legend(train.learning_curves(history())) == ["ppo (rolling)", "ppo (anchored)"]
    regimes = [text.get_text() for text in equity().legends[0].get_texts()]
    assert regimes == [name.replace("_", " ") for name in LABELS]


def test_an_arm_keeps_its_colour():
    colours = style.arm_colours(ARMS)
    top, bottom = equity().axes
    assert [line.get_color() for line in top.lines[:3]] == [colours[arm] for arm in ARMS]
    assert [line.get_color() for line in bottom.lines] == [colours[arm] for arm in ARMS]
    assert set(style.REGIME_COLOURS) == set(LABELS)


def test_no_two_arms_of_the_field_look_alike(params):
    colours = style.arm_colours(list(params.arms))
    assert len(colours) == len(params.arms) > 14
    rgb = np.array([plt.matplotlib.colors.to_rgb(colour) for colour in colours.values()])
    apart = np.abs(rgb[:, None] - rgb[None, :]).sum(-1) + 9.0 * np.eye(len(rgb))
    assert apart.min() > 0.25
    # None is lost on the page, or on the shade of a regime.
    shades = np.array([plt.matplotlib.colors.to_rgb(colour) for colour in ["#FFFFFF", *style.REGIME_COLOURS.values()]])
    assert np.abs(rgb[:, None] - shades[None, :]).sum(-1).min() > 0.25


def test_the_field_has_a_line_an_arm(params):
    arms = list(params.arms)
    top, _ = figures.equity_by_arm(draws(60, arms), labels(60), []).axes
    assert [line.get_label() for line in top.lines[: len(arms)]] == arms
    assert len({line.get_color() for line in top.lines[: len(arms)]}) == len(arms)


def test_arms_that_are_not_named_are_grey_and_one_word_speaks_for_them(params):
    arms = list(params.arms)
    named = params.plan.leading(params.arms)
    assert {"ppo", "atr_managed", "ppo_entry", "atr", "cash", "constant", "buy_and_hold"} <= set(named) < set(arms)
    top, _ = figures.equity_by_arm(draws(60, arms), labels(60), [], named).axes
    assert [text.get_text() for text in top.get_legend().get_texts()] == [
        f"{len(arms) - len(named)} other arms",
        *named,
    ]
    assert len({line.get_color() for line in top.lines[: len(arms)]}) == len(named) + 1


def test_equity_is_compounded_and_its_drawdown_counts_the_first_day():
    daily = pd.DataFrame({"atr": np.log([0.9, 1.1, 1.0])}, index=days(3))
    top, bottom = figures.equity_by_arm(daily, labels(3), []).axes
    assert top.lines[0].get_ydata() == pytest.approx([-10.0, -1.0, -1.0])
    assert bottom.lines[0].get_ydata() == pytest.approx([-10.0, -1.0, -1.0])


def test_learning_shows_validated_iterations_and_the_mean_over_folds():
    axes = train.learning_curves(history()).axes
    assert axes[0].lines[0].get_xdata().tolist() == [2.0, 4.0]
    assert axes[0].lines[0].get_ydata() == pytest.approx([1.7, 1.9])
    assert axes[2].lines[0].get_xdata().tolist() == [1.0, 2.0, 3.0, 4.0]


def test_effects_name_rows_without_a_statistic():
    axes = figures.effects(effect_rows(), xlabel="x", title="t").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "low vol trending",
        "high vol trending",
        "neutral",
    ]
    assert [note.get_text() for note in axes.texts] == ["41 trades", "3 trades: too few to test", "50 trades"]
    points = np.ma.filled(np.ma.asarray(axes.lines[0].get_xdata()).astype(float), np.nan)
    np.testing.assert_array_equal(points, [1.5, np.nan, -0.5])


def test_effects_without_any_statistic_still_draw():
    table = effect_rows()
    table[["effect_bps", "low_bps", "high_bps"]] = np.nan
    figures.effects(table, xlabel="x (bps)", title="t").canvas.draw()


def test_block_means_are_those_of_the_test():
    daily = draws(83, ["d"])["d"]
    bottom = figures.difference_by_block(daily, 8, "ppo", "atr").axes[1]
    tops = [np.abs(area.get_paths()[0].vertices[:, 1]).max() for area in bottom.collections]
    means = [1e4 * part.mean() for part in np.array_split(daily.to_numpy(), 8)]
    assert tops == pytest.approx(np.abs(means))
    up = [bool((area.get_paths()[0].vertices[:, 1] > 0).any()) for area in bottom.collections]
    assert up == [mean > 0 for mean in means]


def test_a_heat_map_has_a_cell_a_fold_and_label_and_counts_its_seeds():
    axes = heat().axes[0]
    assert [text.get_text() for text in axes.texts] == [
        *("-0.50\n1 of 2 seeds, 12 d", "+0.00\n1 of 2 seeds, 14 d"),
        "+4.25\n2 of 2 seeds, 16 d",
    ]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["bull", "bear"]
    assert [patch.get_xy() for patch in axes.patches if patch.get_hatch()] == [(0.5, 0.5)]


def test_the_colours_of_a_heat_map_are_symmetric_about_zero():
    image = heat().axes[0].images[0]
    assert image.norm.vmin == -image.norm.vmax
    low, middle, high = (np.array(image.cmap(image.norm(value))) for value in (-2.0, 0.0, 2.0))
    assert low[0] > low[2]
    assert high[2] > high[0]
    assert middle[:3].min() > 0.9


def test_a_heat_map_of_nothing_is_hatched_all_over():
    empty = heat_cells().assign(effect_bps=np.nan)
    figure = walk_forward.heat_map(empty, ["bull"], title="t")
    figure.canvas.draw()
    assert len(figure.axes[0].patches) == 2


def spans(series: pd.Series) -> list[tuple[str, float, float]]:
    """(colour, first day, last day) of the shading, days counted from the first."""
    axes = plt.subplots()[1]
    axes.plot(series.index, np.zeros(len(series)))
    style.shade_regimes(axes, series)
    start = float(axes.lines[0].get_xdata(orig=False)[0])
    names = {plt.matplotlib.colors.to_rgba(colour): name for name, colour in style.REGIME_COLOURS.items()}
    return [
        (names[tuple(patch.get_facecolor())], patch.get_x() - start, patch.get_x() + patch.get_width() - start)
        for patch in axes.patches
    ]


def test_shading_changes_where_the_label_does():
    series = pd.Series(["neutral"] * 3 + ["low_vol_trending"] * 2, index=days(5))
    assert spans(series) == [("neutral", 0.0, 3.0), ("low_vol_trending", 3.0, 4.0)]


def test_shading_of_years_is_by_month():
    n = 500
    series = pd.Series("neutral", index=days(n)).where(np.arange(n) % 3 > 0, "low_vol_ranging")
    series[days(n).month == 2] = "high_vol_trending"
    found = spans(series)
    assert [name for name, _, _ in found] == ["neutral", "high_vol_trending", "neutral", "high_vol_trending", "neutral"]
    assert found[1][1:] == (31.0, 60.0)


def test_what_a_notebook_shows_is_pictures_with_words_and_tables_as_they_are_read():
    formatter = DisplayFormatter()
    style.register(formatter)
    figure, axes = plt.subplots(figsize=(3.0, 2.0))
    axes.plot([0.0, 1.0], label="a")
    shown, said = formatter.format(figure, include={"image/png"})
    assert shown["image/png"].startswith(b"\x89PNG")
    assert said["image/png"]["alt"] == described(figure)
    assert 250 < said["image/png"]["width"] < 350
    shown, _ = formatter.format(pd.DataFrame({"n_days": [1234.0], "effect_bps": [0.06512]}))
    assert [cell for cell in ("1,234", "0.065") if f"<td>{cell}</td>" in shown["text/html"]] == ["1,234", "0.065"]
    assert "days effect (bps)" in shown["text/plain"]

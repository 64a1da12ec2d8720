"""What figures mean by their lines, cells and shades; what each draws is held in test_figures_drawn.py."""

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sizewise.dataset.regimes import LABELS
from sizewise.reports import figures, train, walk_forward
from sizewise.reports.page import style
from sizewise.reports.page.described import described

ARMS = ["ppo", "atr", "constant"]


pytestmark = pytest.mark.usefixtures("drawn")


def days(n: int) -> pd.DatetimeIndex:
    return pd.date_range("2020-01-01", periods=n, tz="UTC")


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


PANELS = {"learners": ["ppo"], "rules": ["atr", "constant"]}


def equity(daily: pd.DataFrame | None = None) -> Figure:
    daily = draws(60, ARMS) if daily is None else daily
    return figures.equity_by_arm(daily, PANELS, [days(60)[0], days(60)[30]], reference="atr")


def names(axes: Axes) -> list[str]:
    """Of lines that end in their names, from below."""
    return [text.get_text() for text in axes.texts]


def heat_cells() -> pd.DataFrame:
    keys = [(fold, label, seed) for fold in (0, 1) for label in ("bull", "bear") for seed in (1, 2)]
    frame = pd.DataFrame(keys, columns=["fold", "label", "seed"])
    values = [1.0, -2.0, 0.04, -0.04, 0.5, 8.0, -1.0, 3.0]
    frame = frame.assign(effect_bps=values, n_days=range(11, 19))
    return frame[~((frame["fold"] == 1) & (frame["label"] == "bear"))]


def heat() -> Figure:
    return walk_forward.heat_map(heat_cells(), ["bull", "bear"], title="ppo minus atr")


def test_lines_end_in_their_names():
    learners, rules = equity().axes
    assert sorted(names(learners)) == ["atr (reference)", "ppo"]
    assert sorted(names(rules)) == ["atr", "constant"]
    # From below as the lines end.
    heights = {line.get_label(): line.get_ydata()[-1] for line in learners.lines}
    assert names(learners) == sorted(names(learners), key=heights.get)


def test_names_that_would_cover_each_other_are_moved_apart():
    axes = plt.subplots(figsize=(4.0, 2.0))[1]
    for i in range(5):
        axes.plot([0.0, 1.0], [1.0, 1.0 + 1e-3 * i], label=f"line {i}")
    axes.plot([0.0, 1.0], [0.0, np.nan], label="early")
    style.label_ends(axes, size=8.0)
    places = [text.xyann[1] for text in axes.texts]
    # Lines of words of 8 points on an axis of about 1.5 inches.
    assert np.diff(places).min() > 0.06
    assert names(axes) == ["early", *(f"line {i}" for i in range(5))]
    assert axes.texts[0].xy[1] == pytest.approx(1.0 / 22.0, abs=0.01)
    bare = plt.subplots()[1]
    style.label_ends(bare)
    assert not bare.texts


def test_an_arm_keeps_its_colour_within_its_panel():
    learners, rules = equity().axes
    assert {
        line.get_label(): line.get_color() for line in rules.lines if line.get_label() in ARMS
    } == style.arm_colours(["atr", "constant"])
    assert next(line for line in learners.lines if line.get_label() == "ppo").get_color() == style.COLOURS[0]
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


def test_equity_is_compounded():
    daily = pd.DataFrame({arm: np.log([0.9, 1.1, 1.0]) for arm in ARMS}, index=days(3))
    daily.iloc[2, 1] = np.nan
    rules = equity(daily).axes[1]
    line = next(line for line in rules.lines if line.get_label() == "atr")
    assert line.get_ydata() == pytest.approx([-10.0, -1.0, -1.0])


def test_all_panels_have_one_scale_and_a_line_of_cash():
    learners, rules = equity().axes
    assert learners.get_ylim() == rules.get_ylim()
    for axes in (learners, rules):
        assert [0.0, 0.0] in [list(line.get_ydata()) for line in axes.lines]


def test_learning_shows_validated_iterations_and_the_mean_over_folds():
    figure = train.learning_curves(history())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ppo (rolling)", "ppo (anchored)"]
    reward, entropy = figure.axes
    assert reward.lines[0].get_xdata().tolist() == [1.0, 2.0, 3.0, 4.0]
    assert entropy.lines[0].get_ydata() == pytest.approx([1.8, 1.7, 1.6, 1.5])


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
        *("-0.50", "1/2 seeds, 12 days", "+0.00", "1/2 seeds, 14 days"),
        *("+4.25", "2/2 seeds, 16 days"),
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


def bars(*labels: str, hours: int = 24) -> pd.DataFrame:
    """A day a label, `hours` of which it has; what is left is neutral."""
    table = pd.DataFrame(0, index=days(len(labels)), columns=list(LABELS))
    for row, label in enumerate(labels):
        table.iloc[row, table.columns.get_loc("neutral")] = 24 - hours
        table.iloc[row, table.columns.get_loc(label)] += hours
    return table


def test_a_day_has_its_share_of_every_regime():
    shares = style.regime_shares(bars("low_vol_trending", "high_vol_ranging", hours=18))
    assert shares.index.equals(days(2))
    assert shares["low_vol_trending"].tolist() == [0.75, 0.0]
    assert shares["neutral"].tolist() == [0.25, 0.25]
    assert shares.sum(axis=1).tolist() == [1.0, 1.0]


def test_years_have_the_shares_of_their_months_and_no_month_without_a_bar():
    table = bars(*["low_vol_trending", "high_vol_ranging", "high_vol_ranging"] * 200)
    table.loc[table.index.month == 3] = 0
    shares = style.regime_shares(table)
    assert (shares.index.day == 1).all()
    assert 3 not in shares.index.month
    month = table[(table.index.year == 2020) & (table.index.month == 1)].sum()
    np.testing.assert_allclose(shares.iloc[0], month / month.sum())


def test_shades_are_as_high_as_their_shares_and_fill_the_panel():
    axes = plt.subplots()[1]
    shares = style.regime_shares(bars("low_vol_trending", "high_vol_ranging", hours=18))
    style.shade_regimes(axes, shares)
    tops = [area.get_paths()[0].vertices[:, 1].max() for area in axes.collections]
    np.testing.assert_allclose(tops, shares.cumsum(axis=1).max().to_numpy())
    assert tops[-1] == 1.0
    # The last day is as wide as the others.
    assert np.ptp(axes.collections[-1].get_paths()[0].vertices[:, 0]) == 2.0


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

"""The figures of the calibration draw every rate, inside their axes, and say when a market is made up."""

import pytest
from matplotlib.patches import Rectangle

from sizewise.reports.page.style import WATERMARK
from sizewise.studies.calibration.rejections import Rate
from sizewise.studies.calibration.report import VERDICT_COLOURS, level_by_length, power_curves, rejection_rates


def cell(rate: float, expected: float = 0.05) -> Rate:
    return Rate(rate, 1000, expected, max(expected - 0.02, 0.0), min(expected + 0.02, 1.0))


STUDIES = {
    "aa": {"ibragimov_mueller": cell(0.05), "placebo": cell(0.01)},
    "persistent_regime_null": {"ibragimov_mueller": cell(0.05), "trade_level_t": cell(0.22)},
}


pytestmark = pytest.mark.usefixtures("drawn")


@pytest.mark.parametrize("synthetic", [True, False])
def test_every_rate_is_drawn_over_its_band(synthetic):
    figure = rejection_rates(STUDIES, synthetic=synthetic)
    figure.canvas.draw()
    assert len(figure.axes) == 2
    for axes, cells in zip(figure.axes, STUDIES.values(), strict=True):
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert [float(dot.get_xdata()[0]) for dot in dots] == [100.0 * cell.rate for cell in cells.values()]
        assert [dot.get_color() for dot in dots] == [VERDICT_COLOURS[cell.verdict] for cell in cells.values()]
        assert all(0.0 <= 100.0 * cell.rate < axes.get_xlim()[1] for cell in cells.values())
        bands = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert [(band.get_x(), band.get_width()) for band in bands] == [pytest.approx((3.0, 4.0))] * 2
    assert any(text.get_text() == WATERMARK for text in figure.texts) == synthetic


def test_the_level_is_drawn_against_the_length_of_regimes(quick):
    tests = {"joint_rule": 0.04, "ibragimov_mueller": 0.06, "cosines": 0.2}
    lengths = {
        f"regimes_of_{days}_days": {test: cell(rate * factor) for test, rate in tests.items()}
        for days, factor in ((30, 1.0), (365, 2.0))
    }
    axes = level_by_length(lengths, (30, 365), quick.params.plan.alpha).axes[0]
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn["joint rule"] == pytest.approx([4.0, 8.0])
    assert drawn["cosines alone"] == pytest.approx([20.0, 40.0])


def test_power_stands_beside_theory(quick):
    power = {"0.0": cell(0.05), "3.0": cell(0.74, 0.73)}
    uneven = {"0.0": cell(0.05), "3.0": cell(0.66, 0.73)}
    figure = power_curves(power, uneven, plan=quick.params.plan, days=1826)
    figure.canvas.draw()
    (axes,) = figure.axes
    by_label = {line.get_label(): line for line in axes.lines}
    theory = by_label["simulated: independent normal days"].get_ydata()
    assert (theory[0], theory[-1]) == pytest.approx((3.2, 70.0), abs=2.0)
    assert list(by_label["the same edge in all blocks"].get_ydata()) == [5.0, 74.0]
    assert list(by_label["the same mean, uneven in time"].get_ydata()) == [5.0, 66.0]

"""The learning report draws from a few rows, with and without every model and statistic."""

import numpy as np
import pandas as pd
import pytest

from sizewise.reports import train

pytestmark = pytest.mark.usefixtures("drawn")


def history():
    rows = [
        {
            "group": group,
            "fold": fold,
            "seed": seed,
            "closes": 50.0 * k,
            "mean_reward": 0.001 * k,
            "win_rate": np.nan if k == 1 else 0.4,
            "mean_size": 0.3,
            "updates_per_close": 1.0,
            "loss_dqn": np.nan if k == 1 else 1.0 / k + seed,
            "loss_cnn": 0.7 if group == "outcome_ensemble (rolling)" else np.nan,
        }
        for group in ("dqn (rolling)", "outcome_ensemble (rolling)")
        for fold in (0, 1)
        for seed in (1, 2)
        for k in range(1, 4 + fold)  # folds differ in length
    ]
    return pd.DataFrame(rows)


def test_every_panel_is_labelled_and_every_model_drawn_once_a_group():
    figure = train.closed_trade_curves(history())
    assert [axes.get_xlabel() for axes in figure.axes] == ["closed trades"] * 4
    assert all(axes.get_ylabel() for axes in figure.axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(dict.fromkeys(history()["group"]))
    labels = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert labels == [
        "dqn (rolling): Q-network",
        "outcome_ensemble (rolling): convolution",
        "outcome_ensemble (rolling): Q-network",
    ]


def test_lines_are_means_over_folds_and_bands_over_seeds():
    figure = train.closed_trade_curves(history())
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [50.0, 100.0, 150.0, 200.0]
    np.testing.assert_allclose(line.get_ydata(), [0.001, 0.002, 0.003, 0.004])
    loss = figure.axes[-1].lines[0]
    np.testing.assert_allclose(loss.get_ydata(), [0.5 + 1.5, 1 / 3 + 1.5, 0.25 + 1.5])


def test_a_history_without_losses_is_drawn():
    figure = train.closed_trade_curves(history().drop(columns=["loss_dqn", "loss_cnn"]))
    assert not figure.axes[-1].lines
    assert figure.axes[-1].get_legend() is None


def test_a_last_report_of_a_few_trades_is_not_drawn():
    left_over = (
        history().query("fold == 1").assign(closes=lambda rows: rows["closes"] + 3.0 * (rows["closes"] == 200.0))
    )
    drawn_part = train.closed_trade_curves(left_over).axes[0].lines[0]
    assert drawn_part.get_xdata().tolist() == [50.0, 100.0, 150.0]


def test_a_fold_of_fewer_trades_than_a_report_hides_no_other():
    short = history().query("fold == 0 and closes == 50.0").assign(fold=2, closes=37.0)
    line = train.closed_trade_curves(pd.concat([short, history()])).axes[0].lines[0]
    assert line.get_xdata().tolist() == [50.0, 100.0, 150.0, 200.0]

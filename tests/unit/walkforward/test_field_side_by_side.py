"""Arms that walk side by side are the arms walked one by one; whoever cannot walk beside the others walks apart."""

from dataclasses import fields, replace

import pandas as pd
import pytest
import torch

from sizewise.dataset.splits import Slice
from sizewise.params.trading.trading import ManageInventory
from sizewise.walkforward import field as field_module

NAMES = ["ppo", "atr", "random_placebo", "buy_and_hold", "ppo_free"]
# Arms that choose a side of their own stand beside none that follows the signal.
GROUPS = [["ppo", "atr", "random_placebo"], ["buy_and_hold", "ppo_free"]]


@pytest.fixture
def walked_together(monkeypatch) -> list[list[str]]:
    """The arms of each walk, as they are walked."""
    seen, plain = [], field_module.walk

    def watched(market, keys, *given, **more):
        seen.append(list(dict.fromkeys(key.arm for key in keys)))
        return plain(market, keys, *given, **more)

    monkeypatch.setattr(field_module, "walk", watched)
    return seen


@pytest.fixture(scope="module")
def field(trained_field) -> field_module.Field:
    """Over the first bars of the test."""
    fold = trained_field.folds[0]
    # Of other lengths, so that one path ends before another.
    test = {symbol: Slice(part.start, part.start + 200 + 50 * i) for i, (symbol, part) in enumerate(fold.test.items())}
    return trained_field.field(folds=(replace(fold, test=test),))


def test_side_by_side_is_arm_by_arm(field, walked_together):
    together = list(field.walk_all(NAMES))
    assert walked_together == GROUPS
    assert [run.arm for run in together] == NAMES
    for run in together:
        alone = field.walk(run.arm)
        assert run.keys == alone.keys
        for column in fields(run.ledger):
            mine, its = getattr(run.ledger, column.name), getattr(alone.ledger, column.name)
            if isinstance(mine, pd.DataFrame):
                pd.testing.assert_frame_equal(mine, its, rtol=1e-9)
            else:
                # A longer path beside it adds rows, which repeat the last mark.
                torch.testing.assert_close(mine[: len(its)], its, rtol=1e-9, atol=1e-9)
        assert len(run.ledger.fills) > 0


def test_so_many_rows_walk_at_once(field, monkeypatch):
    names = ("atr", "constant", "vol_target")
    keys = {name: field._keys(name) for name in names}
    two = max(key.length for key in keys["atr"]) * 2 * len(keys["atr"])
    monkeypatch.setattr(field_module, "SIDE_BY_SIDE", two)
    waiting = [("atr", keys["atr"])]
    assert field._beside(waiting, "constant", keys["constant"])
    assert not field._beside([*waiting, ("constant", keys["constant"])], "vol_target", keys["vol_target"])


def test_an_arm_of_more_rows_comes_in_several_runs(field, monkeypatch):
    whole = field.walk("random_placebo")
    longest = max(key.length for key in whole.keys)
    monkeypatch.setattr(field_module, "SIDE_BY_SIDE", 3 * longest)
    runs = list(field.walk_all(["random_placebo", "atr"]))
    placebo = [run for run in runs if run.arm == "random_placebo"]
    assert len(placebo) > 1
    assert [run.arm for run in runs] == ["random_placebo"] * len(placebo) + ["atr"] * (len(runs) - len(placebo))
    assert tuple(key for run in placebo for key in run.keys) == whole.keys
    paths = torch.cat([run.ledger.equity[-1] for run in placebo])
    torch.testing.assert_close(paths, whole.ledger.equity[-1], rtol=1e-12, atol=0.0)
    assert field.walk("random_placebo").keys == whole.keys


def test_an_arm_under_other_rules_stands_beside_none(trained_field):
    orders = trained_field.arms["ppo"].model_copy(update={"scheme": ManageInventory(kind="manage_inventory")})
    field = trained_field.field(arms={**trained_field.arms, "orders": orders})
    waiting = [("buy_and_hold", field._keys("buy_and_hold"))]
    # Both choose a side of their own; what parts them is the slots for orders.
    assert field._beside(waiting, "ppo_free", field._keys("ppo_free"))
    assert not field._beside(waiting, "orders", field._keys("orders"))


def test_a_part_of_a_ledger_keeps_its_own_fills(field):
    ledger = field.walk("random_placebo").ledger
    part = ledger.part(slice(1, 3))
    assert torch.equal(part.equity, ledger.equity[:, 1:3])
    assert set(part.fills["path"]) == {0, 1}
    theirs = ledger.fills[ledger.fills["path"] == 2].drop(columns="path").reset_index(drop=True)
    mine = part.fills[part.fills["path"] == 1].drop(columns="path").reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, theirs)

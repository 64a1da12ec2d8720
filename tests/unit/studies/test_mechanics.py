"""The worked paths of notebook 05: what each is said to show, it shows; and what is wrong is refused."""

from dataclasses import replace

import pandas as pd
import pytest

from sizewise.base.errors import LedgerError
from sizewise.base.paths import Workspace
from sizewise.studies import mechanics
from sizewise.trading.broker.reference_broker import Market, Place, PlainOrders


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace.open()


@pytest.fixture(scope="module")
def worked(workspace) -> dict[str, mechanics.Worked]:
    return {name: mechanics.work(case, workspace) for name, case in mechanics.CASES.items()}


def fills(worked, name: str) -> pd.DataFrame:
    return worked[name].done.fills


def at(hour: str) -> pd.Timestamp:
    return pd.Timestamp(hour, tz="UTC")


def test_a_touch_expires_and_a_maker_is_paid(worked):
    bars, done = worked["maker_fill"].bars, worked["maker_fill"].done
    # The low of 08:00 is the first order's price, to the cent.
    assert bars.loc[at("2023-06-21 08:00"), "low"] == 28787.70
    events = done.events.set_index("timestamp")["event"]
    assert events[events == "expired"].index.tolist() == [at("2023-06-21 09:00")]
    assert events.value_counts().to_dict() == {"placed": 3, "filled": 2, "expired": 1}
    assert done.fills["price"].tolist() == [28820.0, 29400.0]
    # BitMEX 2020 pays a maker 2.5 bps.
    assert done.fills["fee"].tolist() == pytest.approx([0.02 * 28820 * 2.5e-4, 0.02 * 29400 * 2.5e-4])
    assert not done.flows["slippage"].any()


def test_a_bar_gives_its_share(worked):
    bars, done = worked["partial_fill"].bars, worked["partial_fill"].done
    for _, fill in done.fills.iterrows():
        assert fill["units"] <= 0.001 * bars.loc[fill["timestamp"], "volume"] + 1e-12
        assert fill["units"] > 0.001 * bars.loc[fill["timestamp"], "volume"] - 1.1e-5  # one lot
    assert done.fills["units"].sum() < 15.0
    assert done.events["event"].tolist() == [
        "placed", *["partial", "filled"] * 3, "expired",
    ]  # fmt: skip
    # On arrival it was marketable: it paid for its impact, and for nothing of the kind afterwards.
    assert (done.fills["impact"] < 0).tolist() == [True, False, False]


def test_the_stop_comes_first(worked):
    bar = worked["bracket"].bars.loc[at("2021-01-11 12:00")]
    entry, leave = fills(worked, "bracket").to_dict("records")
    assert entry["price"] == bar["open"]
    assert bar["low"] <= 0.98 * entry["price"]
    assert bar["high"] > 1.02 * entry["price"]
    assert (leave["kind"], leave["price"]) == ("lot_stop", pytest.approx(0.98 * entry["price"]))


def test_a_flip_pays_twice(worked):
    legs = fills(worked, "flip")
    legs = legs[legs["timestamp"] == at("2023-06-21 05:00")]
    assert legs["units"].tolist() == [-0.01, -0.01]
    assert (legs["fee"] < 0).all()
    assert worked["flip"].done.flows["borrow"].sum() < 0


def test_funding_falls_due_on_what_is_carried_into_the_hour(worked):
    funding = worked["funding"].done.flows["funding"]
    paid = funding[funding < 0]
    # Not at 04:00, whose open bought.
    assert paid.index.tolist() == [at("2023-06-21 12:00"), at("2023-06-21 20:00")]
    opens = worked["funding"].bars.loc[paid.index, "open"].to_numpy()
    assert paid.to_numpy() == pytest.approx(-0.01 * opens * 1e-4)


def test_the_first_bar_that_crosses_liquidates(worked):
    entry, leave = fills(worked, "liquidation").to_dict("records")
    # (u e - m) / (u (1 - .005)) with a margin of a fifth.
    assert leave["price"] == pytest.approx(entry["price"] * 0.8 / 0.995)
    assert leave["timestamp"] == at("2020-03-12 10:00")
    lost = worked["liquidation"].done.equity.iloc[-1] - 1000.0
    # The margin, and what it cost to get in.
    assert lost == pytest.approx(-0.2 * 0.1 * entry["price"] + entry["fee"] + entry["slippage"])


def test_tables_and_pictures(worked):
    for name, case in worked.items():
        assert mechanics.caption(case).startswith("**")
        table = mechanics.ledger_table(case.done)
        assert {"position", "equity", "events"} <= set(table.columns)
        assert len(mechanics.draw(case).axes) == 3, name
    table = mechanics.summary(worked)
    assert list(table.index) == list(mechanics.CASES)
    total = "change_of_equity_bps"
    columns = table.drop(columns=["account (quote)", "fills", total]).sum(axis=1)
    assert columns.to_numpy() == pytest.approx(table[total].to_numpy(), abs=1e-3)
    gained = worked["partial_fill"].done.equity.iloc[-1] - 500_000.0
    assert table.loc["partial_fill", ["account (quote)", total]].tolist() == [500_000.0, pytest.approx(gained / 50.0)]


def test_a_larger_account_is_told_of_and_no_two_pictures_are_called_alike(worked):
    assert {name for name, case in worked.items() if "The account begins with" in mechanics.caption(case)} == {
        "partial_fill"
    }
    titles = [mechanics.draw(case).axes[0].get_title() for case in worked.values()]
    assert len(set(titles)) == len(titles) == len(mechanics.CASES)


def test_a_ledger_that_does_not_add_up_is_refused(worked):
    done = worked["flip"].done
    with pytest.raises(LedgerError, match=r"columns miss the change of equity by 0\.5"):
        mechanics.check(replace(done, equity=done.equity + 0.5 * (done.equity.index > done.equity.index[3])))


def test_a_disagreement_of_the_brokers_is_refused(worked, monkeypatch):
    case = worked["flip"]
    free = case.case.costs
    monkeypatch.setattr(mechanics.reference_broker.ReferenceBroker, "_carry", lambda self: None)
    assert free == mechanics.SPOT
    with pytest.raises(LedgerError, match="the brokers disagree at 2023-06-21 06:00"):
        mechanics.work(case.case, Workspace.open())


def test_what_orders_wait_for_is_drawn(worked):
    names = {name: [level[0] for level in mechanics._levels(case)] for name, case in worked.items()}
    assert names["maker_fill"] == ["limit"] * 3
    assert names["bracket"] == ["stop", "take"]
    assert names["liquidation"] == ["liquidation"]


def test_a_script_is_carried_out_to_the_letter(workspace):
    case = replace(
        mechanics.CASES["maker_fill"],
        script={
            "2023-06-21 06:00": PlainOrders(place=Place("stop", 0.02, 28890.0, bars=2), market=Market(0.01)),
            "2023-06-21 08:00": PlainOrders(cancel=True, market=Market(mechanics.CLOSE)),
        },
        uses=replace(mechanics.CASES["maker_fill"].uses, stops=True),
    )
    done = mechanics.work(case, workspace).done
    assert done.fills[["kind", "units"]].to_numpy().tolist() == [["market", 0.01], ["stop", 0.02], ["market", -0.03]]


def test_the_terms_hash_alike_with_windows_line_ends(workspace, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bars").symlink_to(workspace.bars)
    terms = (workspace.bars.parent / "instruments.yaml").read_bytes()
    (tmp_path / "data" / "instruments.yaml").write_bytes(terms.replace(b"\n", b"\r\n"))
    assert mechanics.data_hash(Workspace(tmp_path, tmp_path)) == mechanics.data_hash(workspace)

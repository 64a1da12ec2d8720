"""Gates: each can hold, fail and be unmeasured; a planted failure of each."""

import numpy as np
import pandas as pd
import pytest

from sizewise.evidence import gates
from sizewise.ledgers.orders import round_trips
from sizewise.params.evidence.gates import Gates

from ...hand_orders import ordered_path

LIMITS = Gates()


@pytest.fixture
def plan(quick):
    return quick.params.plan.model_copy(update={"candidate": "ppo", "reference": "atr", "blocks": 4})


def trips(n: int = 40, *, size: float = 0.2, gross: float = 0.002, cost: float = 0.001) -> pd.DataFrame:
    noise = np.random.default_rng(0).normal(0.0, 1e-4, n)
    return pd.DataFrame(
        {"size": np.full(n, size), "gross": gross + noise - noise.sum() / max(n, 1), "cost": np.full(n, cost)}
    )


@pytest.mark.parametrize(("share", "holds"), [(0.80, True), (0.79, False)])
def test_a_learner_that_did_not_learn_is_caught(share, holds):
    for name in ("ppo (rolling)", "ppo"):
        gate = gates.learner_gate({name: {"learned": share}}, "ppo", True, LIMITS)
        assert (gate.holds, gate.value, gate.threshold, gate.voids) == (holds, share, 0.8, not holds)
        assert f"in {share:.0%} of folds and seeds" in gate.sentence


@pytest.mark.parametrize("train", [None, {}, {"ppo (rolling)": {"entropy": 1.0}}, {"q_table": {"learned": 0.9}}])
def test_a_learner_that_nobody_measured_passes_nothing(train):
    gate = gates.learner_gate(train, "ppo", True, LIMITS)
    assert (gate.holds, gate.voids) == (None, False)
    assert gate.sentence.startswith("Not measured: ")
    assert gates.learner_gate(train, "vol_target", False, LIMITS).holds is True


def test_a_reference_that_is_its_cap_is_caught():
    mixed = trips()
    mixed.loc[:3, "size"] = 0.998
    assert gates.reference_gate(mixed, 1.0, "atr", LIMITS).holds is True
    mixed.loc[:4, "size"] = 0.998
    gate = gates.reference_gate(mixed, 1.0, "atr", LIMITS)
    assert (gate.holds, gate.voids, gate.value) == (False, True, 0.125)
    assert "at 12.5% of its 40 entries" in gate.sentence
    assert gates.reference_gate(trips(0), 1.0, "atr", LIMITS).holds is None


def test_a_signal_that_does_not_pay_is_named_and_voids_nothing(plan):
    assert gates.signal_gate(trips(), "atr", plan).holds is True
    gate = gates.signal_gate(trips(gross=0.0005), "atr", plan)
    assert (gate.holds, gate.voids) == (False, False)
    assert (gate.value, gate.threshold) == pytest.approx((5.0, 10.0))
    assert "A trade of the signal earns +5.0 bps before costs (95% interval +" in gate.sentence
    own = gates.signal_gate(trips(), "atr", plan, "own/momentum.py:Momentum")
    assert own.sentence.startswith("A trade of the signal own/momentum.py:Momentum earns +20.0 bps before costs (")
    assert own.sentence.endswith("and costs 10.0 bps: it covers its costs.")
    assert gate.sentence.endswith("costs 10.0 bps: it does not cover its costs.")
    assert gates.signal_gate(trips(7), "atr", plan).holds is None


@pytest.mark.parametrize(("gained", "holds"), [(-2.0, True), (0.99, True), (1.0, False)])
def test_a_budget_that_was_too_short_is_caught(gained, holds):
    gate = gates.budget_gate({"gained_errors": gained}, LIMITS)
    assert (gate.holds, gate.voids) == (holds, not holds)
    assert gates.budget_gate(None, LIMITS).holds is gates.budget_gate({}, LIMITS).holds is None


@pytest.mark.parametrize(("found", "false", "holds"), [(0.8, 0.05, True), (0.79, 0.0, False), (1.0, 0.06, False)])
def test_an_assay_that_fails_either_way_is_caught(found, false, holds):
    gate = gates.assay_gate({"found_frac": found, "false_frac": false, "replications": 20}, LIMITS)
    assert (gate.holds, gate.voids) == (holds, not holds)
    assert gates.assay_gate(None, LIMITS).holds is gates.assay_gate({"found_frac": 1.0}, LIMITS).holds is None


def test_all_are_computed_in_their_order_and_shown(plan):
    moves = np.random.default_rng(1).normal(0.01, 0.001, 100)
    bars = ordered_path([0.2, 0.0] * 50, moves, cost_frac=0.001)
    measured = {"train": None, "budget": None, "assay": None}
    found = gates.all_gates(bars, plan, cap_frac=0.2, learned=True, measured=measured)
    assert [gate.name for gate in found] == ["learner", "budget", "reference", "signal", "assay"]
    assert [gate.holds for gate in found] == [None, None, False, True, None]
    assert len(round_trips(bars)) == 50
    table = gates.gate_table(found)
    assert table["holds"].tolist() == ["not measured"] * 2 + ["no", "yes", "not measured"]
    assert gates.gate_sentences(found).split("\n") == [f"- {gate.name}: {gate.sentence}" for gate in found]
    assert found[2].record() == {
        "holds": False, "value": 1.0, "threshold": 0.1, "sentence": found[2].sentence,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        (
            gates.Gate("learner", True, 0.9, 0.8, "It <learned>."),
            ["gate learner: holds", "0.9", "0.8", "It &lt;learned&gt;."],
        ),
        (gates.Gate("assay", False, 0.5, 0.8, "Found too little."), ["gate assay: fails"]),
        (gates.Gate("budget", None, None, 1.0, "Not measured: no study."), ["gate budget: not measured"]),
    ],
)
def test_a_gate_shows_itself_in_a_notebook(gate, said):
    html = gate._repr_html_()
    assert all(words in html for words in said)
    assert (">value<" in html) == (gate.value is not None)

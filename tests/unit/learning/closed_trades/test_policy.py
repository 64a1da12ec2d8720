"""A closed-trade policy is read back as what it was, or refused with the reason."""

import json
from dataclasses import replace

import pytest
import torch

from sizewise.base.errors import CheckpointError, DataMissingError
from sizewise.base.seeding import torch_generator
from sizewise.learning.closed_trades.policy import LAYOUT, WEIGHTS, load_closed_trades, save_closed_trades
from sizewise.learning.closed_trades.training import train_closed_trades
from sizewise.params.learning.outcome import ClosedTrades, Contributions

from ....hand_trades import ACCOUNT, NAMES, RULES, even, planted_fold, planted_market

KIND = "outcome_ensemble"


@pytest.fixture(scope="module")
def policy():
    market = planted_market(10)
    fold = planted_fold(market)
    return train_closed_trades(market, fold, [1], "o", KIND, RULES, ACCOUNT, confidence=even(market), features=NAMES)[
        0
    ].policy


@pytest.fixture
def saved(policy, tmp_path):
    save_closed_trades(policy, tmp_path / "rolling_fold0_seed1")
    return tmp_path / "rolling_fold0_seed1"


def load(folder, rules=RULES, kind=KIND, features=NAMES):
    return load_closed_trades(folder, rules, kind, features=features)


def rewrite(folder, change):
    layout = json.loads((folder / LAYOUT).read_text())
    change(layout)
    (folder / LAYOUT).write_text(json.dumps(layout))


def test_round_trip(policy, saved):
    loaded = load(saved)
    for name in ("kind", "rules", "account", "features", "scalers", "typical_move", "contributions", "origin"):
        assert getattr(loaded, name) == getattr(policy, name), name
    for model, layers in policy.networks.items():
        assert all(torch.equal(loaded.networks[model][name], value) for name, value in layers.items())
    assert loaded.networks.keys() == policy.networks.keys()


def test_it_is_safetensors_and_json_and_the_same_bytes_each_time(policy, saved, tmp_path):
    assert {path.name for path in saved.iterdir()} == {WEIGHTS, LAYOUT}
    save_closed_trades(policy, tmp_path / "again")
    for name in (WEIGHTS, LAYOUT):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    layout = json.loads((saved / LAYOUT).read_text())
    assert sum(layout["contributions"].values()) == pytest.approx(1.0)
    assert {"arm", "scheme", "fold", "seed", "closes", "updates", "skipped"} <= set(layout["origin"])


def test_it_sizes_by_the_contributions_it_ended_with(policy):
    windows = torch.randn(40, 4, 2, generator=torch_generator("windows"))
    alone = {
        model: replace(policy, contributions={other: float(other == model) for other in policy.contributions})
        for model in policy.contributions
    }
    each = {model: one.sizes("S0", windows, torch.zeros(40, 3)) for model, one in alone.items()}
    shares = {"cnn": 0.1, "dqn": 0.3, "order_flow": 0.6}
    found = replace(policy, contributions=shares).sizes("S0", windows, torch.zeros(40, 3))
    torch.testing.assert_close(found, sum(share * each[model] for model, share in shares.items()))
    assert not torch.equal(found, policy.sizes("S0", windows, torch.zeros(40, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layout: layout.update(format=0), "format 0, this code reads 1: train again"),
        (lambda layout: layout.update(kind="dqn"), "is a dqn, the arm is a outcome_ensemble: train again"),
        (lambda layout: layout["observation"]["features"].remove("edge"), "1 features, this market has 2.*edge"),
        (lambda layout: layout["observation"]["features"].reverse(), "their order"),
        (lambda layout: layout["observation"].update(account_scalars=["exposure"]), "this code gives .*drawdown"),
        (lambda layout: layout["rules"].update(sizes=[0.0, 1.0]), r"outcome.sizes \[0.0, 1.0\], params.yaml says"),
        (lambda layout: layout["rules"].pop("window_bars"), "damaged.*window_bars"),
        (lambda layout: layout.pop("scalers"), "damaged.*scalers"),
        (lambda layout: layout["contributions"].pop("cnn"), "damaged.*cnn"),
        (lambda layout: layout["contributions"].update(cnn=0.5), "damaged.*are no shares of one size"),
        (lambda layout: layout["contributions"].update(cnn=-0.35, dqn=1.15), "damaged.*are no shares of one size"),
    ],
)
def test_another_layout_is_refused_by_name(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(saved)
    assert "\n" not in str(caught.value)
    assert "policy 'rolling_fold0_seed1'" in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"rules": ClosedTrades(**{**RULES.model_dump(), "sizes": [0.0, 0.5, 1.0]})}, "outcome.sizes"),
        ({"kind": "dqn"}, "is a outcome_ensemble, the arm is a dqn"),
        ({"features": ("edge", "depth", "signal_confidence")}, "differ in depth"),
    ],
)
def test_what_the_caller_means_otherwise_is_refused(saved, asked, message):
    with pytest.raises(CheckpointError, match=message):
        load(saved, **asked)


def test_weights_of_another_policy_are_refused(policy, saved, tmp_path):
    market = planted_market(10)
    wide = ClosedTrades(**{**RULES.model_dump(), "channels": 5})
    other = train_closed_trades(
        market, planted_fold(market), [1], "o", KIND, wide, ACCOUNT, confidence=even(market), features=NAMES
    )[0].policy
    save_closed_trades(other, tmp_path / "other")
    (saved / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    with pytest.raises(CheckpointError, match="belong to different checkpoints"):
        load(saved)


@pytest.mark.parametrize("name", [WEIGHTS, LAYOUT])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_file_is_refused(saved, name, share):
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="damaged"):
        load(saved)


@pytest.mark.parametrize("name", [WEIGHTS, LAYOUT])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(DataMissingError, match=rf"{name} is missing: train it with `dvc repro train`"):
        load(saved)


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', "null", '{"format": 1, "kind": "outcome_ensemble"}'])
def test_json_of_another_shape_is_refused(saved, content):
    (saved / LAYOUT).write_text(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load(saved)


def test_one_policy_sizes_a_batch_of_states():
    market = planted_market(60)
    only = ClosedTrades(**{**RULES.model_dump(), "contributions": Contributions(cnn=0.0, dqn=0.6, order_flow=0.4)})
    member = train_closed_trades(
        market,
        planted_fold(market),
        [1],
        "o",
        "outcome_ensemble",
        only,
        ACCOUNT,
        confidence=even(market),
        features=NAMES,
    )[0]
    windows = torch.randn(7, 4, 2, generator=torch_generator("windows"))
    sizes = member.policy.sizes("S0", windows, torch.zeros(7, 3))
    assert sizes.shape == (7,)
    assert ((sizes >= 0) & (sizes <= 1)).all()
    for k in range(7):
        assert member.policy.sizes("S0", windows[k : k + 1], torch.zeros(1, 3))[0] == sizes[k]
    with pytest.raises(CheckpointError, match="not trained on symbol 'S9'"):
        member.policy.sizes("S9", windows, torch.zeros(7, 3))

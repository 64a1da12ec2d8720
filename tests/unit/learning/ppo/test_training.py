"""Training is deterministic, a policy's result is its own, and selection and guards do what they say."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
import torch

from sizewise.base.errors import TrainingError
from sizewise.base.seeding import torch_generator
from sizewise.dataset.features import chosen_inputs
from sizewise.dataset.splits import tail_of
from sizewise.learning.ppo import populations, training
from sizewise.learning.ppo.agent import LAYOUT, load_agent
from sizewise.learning.ppo.policy import PolicySpec, initialise
from sizewise.learning.ppo.training import policies_of
from sizewise.params.arms import PpoArm
from sizewise.params.learning.train import CausalConv, Episode, LinearRecurrent, Mlp
from sizewise.params.trading.trading import Levels, OwnSizes

from ....hand_market import remade


def same(a: training.Trained, b: training.Trained) -> bool:
    """The selected policy and every checkpoint: where nothing that was learned is kept, what was learned differs yet."""
    pairs = zip((a.agent.parameters, *a.checkpoints), (b.agent.parameters, *b.checkpoints), strict=True)
    return all(torch.equal(one[name], other[name]) for one, other in pairs for name in one)


def test_training_repeats_bit_for_bit(quick):
    first, second = quick.train("masked"), quick.train("masked")
    assert same(first, second)
    assert first.history == second.history
    assert not same(first, quick.train("masked", seed=2))


def test_training_changes_the_policy(quick):
    trained = quick.train("masked", iterations=2)
    untouched = quick.train("masked", iterations=2, learning_rate=1e-12)
    assert not same(trained, untouched)
    assert trained.history[-1]["updates"] > 0


NETWORKS = {
    "linear_recurrent": {"encoder": LinearRecurrent(kind="linear_recurrent")},
    "causal_conv": {"encoder": CausalConv(kind="causal_conv", channels=4)},
    "memory": {"memory": 5},
    "conv with memory": {"encoder": CausalConv(kind="causal_conv", channels=4), "memory": 3},
}
EPISODE = Episode(mean_steps=40, sd_steps=15.0, random_position_prob=0.5, balance_regimes=True)


@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)
def test_every_network_trains_all_of_its_parameters(quick, changes):
    trained = quick.train("masked", iterations=2, **changes)
    untouched = quick.train("masked", iterations=2, learning_rate=1e-12, **changes)
    assert same(trained, quick.train("masked", iterations=2, **changes))
    for name, value in trained.checkpoints[-1].items():
        assert not torch.equal(value, untouched.checkpoints[-1][name]), name
    assert trained.agent.spec.encoder == changes.get("encoder", Mlp())


def test_drawn_episodes_train_and_repeat(quick):
    first, second = (quick.train("masked", episode=EPISODE, memory=3) for _ in range(2))
    assert same(first, second)
    assert not same(first, quick.train("masked", memory=3))
    assert all(math.isfinite(value) for row in first.history for value in row.values())


@pytest.mark.parametrize(
    "scheme", [Levels(kind="levels", levels=[0.0, 0.2, 1.5]), OwnSizes(kind="sizing", sizes=[0.5], mode="masked")]
)
def test_a_policy_chooses_among_its_arms_actions(quick, scheme):
    trained = quick.train_together([replace(quick.job("masked"), scheme=scheme)])[0]
    assert trained.agent.scheme == scheme
    assert trained.agent.spec.n_actions == 3
    assert trained.agent.parameters["actor_b3"].shape == (3,)


def test_rates_follow_their_schedules(quick):
    rows = quick.train("masked", iterations=3, final_learning_rate_frac=0.5).history
    start = quick.settings.train.learning_rate
    assert [row["learning_rate"] for row in rows] == pytest.approx([start, 0.75 * start, 0.5 * start])
    plain, fading = (
        quick.train("free", iterations=3, entropy_coef=0.5, **ends) for ends in ({}, {"final_entropy_coef": 0.0})
    )
    assert plain.history[0] == fading.history[0]
    assert plain.history[1]["updates"] == fading.history[1]["updates"]
    assert plain.history[1]["entropy"] != fading.history[1]["entropy"]


@pytest.mark.parametrize("changes", [{}, {"memory": 3, "episode": EPISODE}], ids=["default", "memory and episodes"])
def test_a_policy_does_not_depend_on_its_neighbours(quick, changes):
    """Alone, and in a population with two others, one of them of another fold."""
    jobs = [quick.job("masked"), quick.job("masked", seed=7), quick.job("masked", fold=1, seed=3)]
    together = quick.train_together(jobs, **changes)
    for job, member in zip(jobs, together, strict=True):
        alone = quick.train_together([job], **changes)[0]
        for name, value in alone.agent.parameters.items():
            assert torch.equal(member.agent.parameters[name], value), name
        assert member.agent.scalers == alone.agent.scalers
        assert member.agent.origin == alone.agent.origin
        assert member.history == alone.history
    assert not same(together[0], together[1])


def test_folds_that_train_alike_share_a_population(quick, monkeypatch):
    jobs = [quick.job("masked", fold=fold, seed=seed) for fold in (0, 1) for seed in (1, 2)]
    single = quick.market.to("cpu", torch.float32)
    (part,) = populations.populations(single, jobs, quick.settings, most=4, busy=1)
    assert part == jobs
    # Bytes do not depend on how they are divided.
    monkeypatch.setattr(populations, "cores", lambda: 3)
    found = training.train_jobs(quick.market, jobs, quick.models, quick.settings)
    expected = [*quick.train_together(jobs[:3]), *quick.train_together(jobs[3:])]
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


def test_processes_train_what_one_process_trains(quick, tmp_path):
    jobs = [quick.job("masked"), quick.job("free")]
    done: list[str] = []
    results = training.train_jobs(
        quick.market, jobs, quick.models, quick.settings, live_dir=tmp_path, on_done=lambda t: done.append(t.job.name)
    )
    assert done == [job.name for job in jobs]
    assert all(same(result, quick.train_together([job])[0]) for job, result in zip(jobs, results, strict=True))
    iterations = quick.settings.train.iterations
    assert json.loads((tmp_path / training.PLAN).read_text()) == {"jobs": 2, "iterations": 2 * iterations}
    live = json.loads((tmp_path / jobs[0].name / "metrics.json").read_text())
    assert live["iteration"] == iterations
    assert live["entropy"] == pytest.approx(results[0].history[-1]["entropy"])


@pytest.mark.skipif(shutil.which("git") is None, reason="it makes a Git repository: git is not installed")
def test_progress_leaves_no_file_of_the_repository_open(quick, tmp_path, monkeypatch):
    """A clone keeps its history in packs; what stays open warns when it is collected, in whichever test runs then."""
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    for command in (
        ["init", "-q"],
        [*author, "commit", "-q", "--allow-empty", "-m", "one"],
        ["repack", "-q", "-a", "-d"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert list(tmp_path.glob(".git/objects/pack/*.pack"))
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    settings = replace(quick.settings, train=quick.settings.train.model_copy(update={"iterations": 1}))
    market = quick.market.to("cpu", torch.float32)
    training.train_population(market, [quick.job("masked")], quick.models, settings, live_dir=tmp_path / "live")
    assert not [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]


def test_the_selected_policy_is_the_best_on_the_tail(quick):
    """The kept parameters score what the best row of the curve says, and the tail lies after what trained."""
    trained = quick.train("masked", iterations=4)
    scores = [row["tail_bps"] for row in trained.curve]
    assert scores[1:] == [row["validation_bps_per_day"] for row in trained.history]
    assert trained.agent.origin["validation_bps_per_day"] == pytest.approx(max(scores))
    settings = quick.settings
    for learn in quick.folds["rolling"][0].train.values():
        fit, tail = tail_of(learn, tail_frac=settings.train.validation_frac, purge_bars=settings.purge_bars)
        assert fit.stop + settings.purge_bars == tail.start
        assert tail.stop == learn.stop
    for symbol, scaler in trained.agent.scalers.items():
        learn = quick.folds["rolling"][0].train[symbol]
        fit, _ = tail_of(learn, tail_frac=settings.train.validation_frac, purge_bars=settings.purge_bars)
        start, stop = quick.market.rows(symbol, fit)
        rows = quick.market.features[start:stop].double()
        gap = torch.tensor(scaler.mean[:-1], dtype=torch.float64) - rows.mean(0)
        assert (gap.abs() / rows.std(0).clamp(min=1e-9)).max() < 1e-6  # in standard deviations: see arithmetic.fitted


def test_nothing_after_the_train_slice_reaches_a_policy(quick):
    """Poison every market row at or after the first test bar: the trained policy stays the same, bit for bit."""
    market, fold = quick.market, quick.folds["rolling"][0]
    poisoned = {name: getattr(market, name).clone() for name in ("features", "gap_return", "bar_return", "direction")}
    for symbol, part in fold.test.items():
        start, _ = market.rows(symbol, part)
        stop = market.first_row[market.symbols.index(symbol)] + market.n_rows[market.symbols.index(symbol)]
        poisoned["features"][start:stop] *= 1.5
        poisoned["gap_return"][start:stop] += 0.01
        poisoned["bar_return"][start:stop] *= -3.0
        poisoned["direction"][start:stop] *= -1
    clean = quick.train("masked")
    world = replace(quick, market=remade(market, **poisoned))
    assert same(world.train("masked"), clean)
    leak = {**poisoned, "bar_return": poisoned["bar_return"].clone()}
    first, last = market.rows(*next(iter(fold.train.items())))
    leak["bar_return"][first:last] *= -3.0
    assert not same(replace(quick, market=remade(market, **leak)).train("masked"), clean)


@pytest.fixture
def broken(quick):
    """The quick world with a train slice whose features are no numbers."""
    features = quick.market.features.clone()
    start, stop = quick.market.rows(*next(iter(quick.folds["rolling"][0].train.items())))
    features[start:stop] = float("nan")
    return replace(quick, market=replace(quick.market, features=features))


def initial_weights(quick, job):
    """What the job's policy starts from."""
    train = quick.settings.train
    observation = quick.settings.observation
    n_features = len(chosen_inputs(observation.inputs))
    spec = PolicySpec(observation.window_bars, train.hidden, n_features, n_scalars=4, encoder=train.encoder)
    fresh = initialise(
        spec, [torch_generator(job.name, "init")], initial_hold_prob=quick.settings.train.initial_hold_prob
    )
    return {name: value[0] for name, value in fresh.items()}


def test_a_value_that_is_not_finite_stops_training(broken):
    message = (
        r"ppo_rolling_fold0_seed1: \w+ is nan at iteration 1: lower train\.learning_rate .* kept in nowhere: no folder"
    )
    with pytest.raises(TrainingError, match=message):
        broken.train("masked")


def test_the_last_good_policy_is_kept(broken, tmp_path):
    """Nothing was learned before the first iteration failed, so it is the policy that training started from."""
    job, market = broken.job("masked"), broken.market.to("cpu", torch.float32)
    with pytest.raises(TrainingError, match=rf"the last good policy is kept in live/{job.name}/last_good$"):
        training.train_population(market, [job], broken.models, broken.settings, live_dir=tmp_path / "live")
    folder = tmp_path / "live" / job.name / training.LAST_GOOD
    kept = load_agent(folder)
    for name, value in initial_weights(broken, job).items():
        assert torch.equal(kept.parameters[name], value), name
    assert kept.origin["seed"] == job.seed
    assert kept.origin["iteration"] == 0
    # Strict JSON: other readers know no NaN and no infinity.
    json.loads((folder / LAYOUT).read_text(), parse_constant=pytest.fail)


def test_training_that_stops_later_keeps_the_best_policy_before(quick, tmp_path, monkeypatch):
    """The second of two policies loses its weights in the third iteration; the better of its first two is kept."""
    jobs, market = [quick.job("free"), quick.job("free", seed=7)], quick.market.to("cpu", torch.float32)
    settings = replace(quick.settings, train=quick.settings.train.model_copy(update={"iterations": 5}))
    curve = training.train_population(market, jobs, quick.models, settings)[1].curve
    scores = [row["tail_bps"] for row in curve[:3]]
    iterate, seen = training.PpoLearner.iterate, [initial_weights(quick, jobs[1])]

    def goes_wrong(learner, iteration):
        statistics = iterate(learner, iteration)
        seen.append({name: value[1].clone() for name, value in learner.parameters.items()})
        if iteration == 2:
            learner.parameters["actor_b2"][1] = float("nan")
            statistics["value_loss"][1] = float("inf")
        return statistics

    monkeypatch.setattr(training.PpoLearner, "iterate", goes_wrong)
    message = rf"training {jobs[1].name}: value_loss is inf at iteration 3: .*kept in live/{jobs[1].name}/last_good$"
    with pytest.raises(TrainingError, match=message):
        training.train_population(market, jobs, quick.models, settings, live_dir=tmp_path / "live")
    kept = load_agent(tmp_path / "live" / jobs[1].name / training.LAST_GOOD)
    better = scores.index(max(scores))
    assert kept.origin["iteration"] == better
    assert kept.origin["validation_bps_per_day"] == pytest.approx(scores[better])
    for name, value in seen[better].items():
        assert torch.equal(kept.parameters[name], value), name


def test_an_exploded_gradient_never_reaches_the_policy(quick, tmp_path):
    """With a limit that every gradient passes, what is kept is what training started from."""
    train = quick.settings.train.model_copy(update={"exploding_norm": 1e-9})
    job, market = quick.job("masked"), quick.market.to("cpu", torch.float32)
    with pytest.raises(TrainingError, match=r"grad_norm is \S+ at iteration 1:"):
        training.train_population(market, [job], quick.models, replace(quick.settings, train=train), live_dir=tmp_path)
    kept = load_agent(tmp_path / job.name / training.LAST_GOOD)
    for name, value in initial_weights(quick, job).items():
        assert torch.equal(kept.parameters[name], value), name


def test_what_stopped_a_process_is_said_in_this_one(broken, tmp_path):
    job = broken.job("masked")
    message = rf"training {job.name}: \w+ is nan at iteration 1: .*kept in live/{job.name}/last_good$"
    with pytest.raises(TrainingError, match=message):
        training.train_jobs(broken.market, [job], broken.models, broken.settings, live_dir=tmp_path / "live")
    assert load_agent(tmp_path / "live" / job.name / training.LAST_GOOD).origin["arm"] == "ppo"


def test_jobs_are_every_arm_scheme_fold_and_seed_once(quick):
    jobs = training.plan_jobs(policies_of(quick.params.arms), quick.folds, quick.params.train.seeds)
    names = [job.name for job in jobs]
    # Rolling and anchored, two folds each, the two seeds of all; one size a trade is asked of rolling folds alone.
    assert len(names) == len(set(names)) == 2 * 2 * 2 + 2 * 2
    assert names[0] == "ppo_rolling_fold0_seed1"
    wide = PpoArm(kind="ppo", scheme=Levels(kind="levels", levels=[0.0, 1.0]))
    planned = training.plan_jobs({"ppo": wide}, quick.folds, [1])
    assert {job.scheme.kind for job in planned} == {wide.scheme.kind}


def test_streams_of_one_policy_differ_by_purpose():
    draws = {purpose: float(torch.rand((), generator=torch_generator("job", purpose))) for purpose in ("env", "act")}
    assert draws["env"] != draws["act"]

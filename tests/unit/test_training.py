"""Training is deterministic, a policy's result is its own, and selection and guards do what they say."""

import json
from dataclasses import replace

import pytest
import torch

from sizewise import training
from sizewise.errors import TrainingError
from sizewise.seeding import torch_generator
from sizewise.sizers import learned
from sizewise.splits import tail_of


def same(a: training.Trained, b: training.Trained) -> bool:
    return all(torch.equal(a.agent.parameters[name], b.agent.parameters[name]) for name in a.agent.parameters)


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


def test_a_policy_does_not_depend_on_its_neighbours(quick):
    """Alone, and in a population with two others, one of them of another fold."""
    jobs = [quick.job("masked"), quick.job("masked", seed=7), quick.job("masked", fold=1, seed=3)]
    together = quick.train_together(jobs)
    for job, member in zip(jobs, together, strict=True):
        alone = quick.train_together([job])[0]
        for name, value in alone.agent.parameters.items():
            torch.testing.assert_close(member.agent.parameters[name], value, rtol=1e-4, atol=1e-5)
        assert member.agent.scalers == alone.agent.scalers
        assert member.agent.origin == pytest.approx(alone.agent.origin, rel=1e-3)
    assert not same(together[0], together[1])


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


def test_the_selected_policy_is_the_best_on_the_tail(quick):
    """The kept parameters score what the best row of the history says, and the tail lies after what trained."""
    trained = quick.train("masked", iterations=4)
    scores = [row["validation_bps_per_day"] for row in trained.history]
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
        expected = quick.market.features[start:stop].double().mean(0)
        torch.testing.assert_close(torch.tensor(scaler.mean[:-1], dtype=torch.float64), expected, rtol=1e-6, atol=1e-9)


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
    world = replace(quick, market=replace(market, **poisoned))
    assert same(world.train("masked"), clean)
    leak = {**poisoned, "bar_return": poisoned["bar_return"].clone()}
    first, last = market.rows(*next(iter(fold.train.items())))
    leak["bar_return"][first:last] *= -3.0
    assert not same(replace(quick, market=replace(market, **leak)).train("masked"), clean)


def test_a_value_that_is_not_finite_stops_training(quick):
    broken = quick.market.bar_return.clone()
    start, stop = quick.market.rows(*next(iter(quick.folds["rolling"][0].train.items())))
    broken[start:stop] = float("nan")
    world = replace(quick, market=replace(quick.market, bar_return=broken))
    with pytest.raises(TrainingError, match=r"ppo_rolling_fold0_seed1: \w+ is nan at iteration 1"):
        world.train("masked")


def test_jobs_are_every_arm_scheme_fold_and_seed_once(quick):
    jobs = training.plan_jobs(learned(quick.params.arms), quick.folds, quick.params.train.seeds)
    names = [job.name for job in jobs]
    assert len(names) == len(set(names)) == 2 * 2 * 2 + 2 * 2
    assert names[0] == "ppo_rolling_fold0_seed1"


def test_streams_of_one_policy_differ_by_purpose():
    draws = {purpose: float(torch.rand((), generator=torch_generator("job", purpose))) for purpose in ("env", "act")}
    assert draws["env"] != draws["act"]

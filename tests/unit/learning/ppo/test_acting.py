"""Who acts: the actor's half alone, by loops or by tensors."""

import pytest
import torch

from sizewise.base.seeding import torch_generator
from sizewise.learning.ppo import acting
from sizewise.learning.ppo.acting import Actors
from sizewise.learning.ppo.policy import PolicySpec, initialise

SPEC = PolicySpec(2, (6, 5), n_features=3, n_actions=4, n_scalars=2)


@pytest.mark.parametrize("memory", [0, 3])
def test_actors_are_the_actors_half_of_the_network(memory):
    spec = PolicySpec(2, (6, 5), n_features=3, n_actions=4, n_scalars=2, memory=memory)
    population = initialise(spec, [torch_generator(k) for k in range(2)], initial_hold_prob=0.2)
    which = torch.tensor([1, 0, 1])
    segments = torch.randn((1, 3, 2, 3), generator=torch_generator("rows"))
    scalars, allowed = torch.randn((3, 2), generator=torch_generator("scalars")), torch.ones((3, 4), dtype=torch.bool)
    state = torch.zeros((3, memory)) if memory else None
    actors = Actors(spec, population, which)
    encoded = torch.stack([actors.encode(int(k), segments)[p, 0] for p, k in enumerate(which)])
    assert encoded.shape[-1] == (12 if memory else 6)
    found, kept = actors.log_prob(encoded, scalars, allowed, state)
    for p, k in enumerate(which.tolist()):
        mine = {name: value[k : k + 1] for name, value in population.items()}
        rows = acting.encode(spec, mine, segments[:, p : p + 1], use_fft=False)
        before = torch.zeros((1, 1, 1, memory)) if memory else None
        whole = acting.forward(
            spec, mine, rows[:, :, 0, None], scalars[p].view(1, 1, 1, 2), allowed[p].view(1, 1, 1, 4), before
        )
        torch.testing.assert_close(found[p], whole.log_prob[0, 0, 0], rtol=1e-5, atol=1e-6)
        if kept is not None and whole.memory is not None:
            torch.testing.assert_close(kept[p], whole.memory[0, 0, 0], rtol=1e-5, atol=1e-6)


def test_the_tensors_of_actors_are_the_loops(monkeypatch):
    population = initialise(SPEC, [torch_generator(k) for k in range(3)], initial_hold_prob=0.2)
    which = torch.tensor([0, 0, 2, 1, 1])
    scalars, encoded = (torch.randn((5, n), generator=torch_generator(n)) for n in (2, 6))
    allowed = torch.rand((5, 4), generator=torch_generator("may")) > 0.4
    allowed[:, 0] = True
    fast, _ = Actors(SPEC, population, which).log_prob(encoded, scalars, allowed)
    monkeypatch.setattr(acting, "fits", lambda *_: False)
    slow, _ = Actors(SPEC, population, which).log_prob(encoded, scalars, allowed)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)

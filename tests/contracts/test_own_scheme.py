"""The manual's scheme of one's own, as it is printed there: short, and it does what its docstring says."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sizewise.params.learning.train import Episode
from sizewise.params.trading.trading import Sizing
from sizewise.trading.schemes.interface import ActionScheme
from sizewise.trading.simulation import Simulation

from ..hand_tape import hand_tape, held, open_desk, open_env, walk

ROOT = Path(__file__).parents[2]
MOST_LINES = 25
SIZING7 = Sizing(kind="sizing7")
STILL = hand_tape([100.0] * 20)


def printed() -> str:
    """The code between the page's markers."""
    (section,) = re.findall(
        r"<!-- own-scheme -->(.*?)<!-- /own-scheme -->", (ROOT / "docs" / "own.md").read_text(), re.DOTALL
    )
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the code leaves behind when it is run from the checkout, as a reader would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        found: dict[str, Any] = {}
        exec(compile(printed(), "own.md", "exec"), found)
    return found


@pytest.fixture(scope="module")
def cooldown(names) -> type[ActionScheme]:
    return names["Cooldown"]


def test_it_is_short():
    lines = [line for line in printed().splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= MOST_LINES


def test_it_runs_on_real_bars(names):
    ledger = names["ledger"]
    assert isinstance(ledger, Simulation)
    sides = ledger.fills["units"].gt(0).tolist()
    assert sides == [True, False] * (len(sides) // 2)
    assert len(sides) > 20
    # From a sale's fill to that of the next purchase: 24 closes without one, and the hour of its own fill.
    waits = ledger.fills["timestamp"].diff()[2::2]
    assert waits.min().total_seconds() / 3600 > 24
    assert (ledger.fills["units"].abs() * ledger.fills["price"] / ledger.equity.iloc[0]).between(0.18, 0.22).all()


def positions(scheme: ActionScheme, actions: list[int]) -> list[float]:
    return [held(step) for step in walk(open_desk(STILL, SIZING7, scheme=scheme), STILL, actions)]


def test_a_purchase_is_a_fifth_and_a_sale_everything(cooldown):
    assert positions(cooldown(3), [0, 1, 1, 0, 0]) == pytest.approx([0.0, 2.0, 2.0, 0.0, 0.0])


@pytest.mark.parametrize("bars", [0, 1, 3])
def test_after_a_sale_it_waits(cooldown, bars):
    # Sold at the second close; then `bars` closes that ask in vain.
    path = positions(cooldown(bars), [1, 0] + [1] * 6)
    assert path == pytest.approx([2.0, 0.0] + [0.0] * bars + [2.0] * (6 - bars))


def test_waiting_begins_with_a_sale_and_not_with_asking(cooldown):
    assert positions(cooldown(2), [0, 0, 1]) == pytest.approx([0.0, 0.0, 2.0])


def second_episode(scheme: ActionScheme) -> list[float]:
    """Units after each step of an episode that follows one that ended with a sale."""
    env = open_env(STILL, SIZING7, scheme=scheme, horizon=4, episode=Episode(mean_steps=4))
    seen = []
    for actions in ((1, 1, 1, 0), (1, 1, 1, 1)):
        env.restart()
        seen = []
        for action in actions:
            env.step(torch.full(env.shape, action))
            seen.append(env.position.book.units.item())
    return seen


def test_the_environment_resets_its_state(cooldown):
    assert second_episode(cooldown(3)) == pytest.approx([2.0] * 4)


def test_a_scheme_that_is_not_reset_is_caught(cooldown):
    class Grudging(cooldown):
        def reset(self, where):
            self.wait = self.wait.expand(where.shape)

    assert second_episode(Grudging(3)) == pytest.approx([0.0, 0.0, 0.0, 2.0])


def test_accounts_wait_alone(cooldown):
    # Each of many accounts walks as it does alone, a group that starts again among them.
    actions = torch.randint(0, 2, (16, 1, 3, 5), generator=torch.Generator().manual_seed(0))
    env = open_env(STILL, SIZING7, scheme=cooldown(2), groups=3, replicas=5, horizon=8, episode=Episode(mean_steps=8))
    together = []
    for t, now in enumerate(actions):
        if t % 8 == 0:
            env.restart()
        env.step(now)
        together.append(env.position.book.units[0].transpose(1, 2))
    for g, r in [(0, 0), (1, 3), (2, 4)]:
        for half in (slice(0, 8), slice(8, 16)):
            alone = positions(cooldown(2), actions[half, 0, g, r].tolist())
            assert torch.stack(together)[half, 0, g, r].tolist() == pytest.approx(alone)


def test_the_gymnasium_class_takes_it(names):
    env = names["env"]
    env.reset(seed=1)
    bought = [float(env.step(action)[4]["position"][0]) for action in (1, 0, 1, 1)]
    assert bought[0] == pytest.approx(200.0, rel=0.02)
    assert bought[1:] == [0.0, 0.0, 0.0]
    # A new episode: nothing to wait for.
    env.reset(seed=1)
    assert float(env.step(1)[4]["position"][0]) == pytest.approx(200.0, rel=0.02)

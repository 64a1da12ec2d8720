"""How much is trained in so many minutes: a declared table, stated before anything runs."""

from dataclasses import dataclass

from sizewise.base.errors import ConfigError

# Fewer seeds leave every verdict inconclusive: see evidence.statistics.seeds.LEAST_SEEDS.
CONCLUDING_SEEDS = 10


@dataclass(frozen=True)
class Budget:
    """What a study of one symbol and some ten thousand bars does in `minutes` on two cores.

    Attributes:
        folds: at most. seeds: of the learned arm, a policy each a fold. groups: market paths walked at once.
        iterations: of training; the tail is looked at after each `validate_every`. episode_steps: of an account, on average.
    """

    minutes: int
    folds: int
    seeds: int
    iterations: int
    groups: int
    validate_every: int
    episode_steps: int

    def sentence(self, symbols: int, *, learned: bool = True) -> str:
        """What will be spent, and what it cannot show; `learned`: whether the candidate is what is trained."""
        few = learned and self.seeds < CONCLUDING_SEEDS
        doubt = f"; fewer than {CONCLUDING_SEEDS} seeds cannot conclude, whatever they find" if few else ""
        more = f", longer with {symbols} symbols" if symbols > 1 else ""
        return (
            f"Budget: about {self.minutes} minutes on 2 cores{more}: up to {self.folds} folds, {self.seeds} seeds, "
            f"{self.iterations} iterations of training{doubt}."
        )


TABLE = (
    Budget(2, folds=2, seeds=2, iterations=8, groups=32, validate_every=4, episode_steps=128),
    Budget(5, folds=4, seeds=10, iterations=32, groups=32, validate_every=4, episode_steps=128),
    Budget(15, folds=5, seeds=10, iterations=64, groups=64, validate_every=6, episode_steps=256),
    Budget(60, folds=8, seeds=10, iterations=96, groups=64, validate_every=6, episode_steps=512),
)


def budget_of(minutes: int) -> Budget:
    """The largest budget of the table that fits.

    Raises:
        ConfigError: none does.
    """
    fitting = [budget for budget in TABLE if budget.minutes <= minutes]
    if not fitting:
        raise ConfigError(f"--minutes {minutes}: the smallest study takes about {TABLE[0].minutes}: give that or more")
    return fitting[-1]

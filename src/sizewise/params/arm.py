"""What every arm of the section `arms` is asked, whatever its kind."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from sizewise.params.dataset.splits import SplitScheme
from sizewise.params.fields import Section, as_tuple
from sizewise.params.trading.decisions import Decisions
from sizewise.params.trading.world import World

SplitSchemes = Annotated[tuple[SplitScheme, ...], BeforeValidator(as_tuple), Field(min_length=1)]
# Instead of train.seeds, on the first of the arm's split schemes.
Seeds = Annotated[tuple[int, ...], BeforeValidator(as_tuple), Field(min_length=1)] | None


class ArmSection(Section):
    """What every arm is asked.

    Attributes:
        sections: of params.yaml that make the arm what it is, beside its own, `account` and `splits`.
        learned: it has a part of its own for every fold and seed, which the stage `train` makes.
        random: it draws, so that it walks once a seed though nothing was trained.
        looks_ahead: it reads the future; a bound, which no figure should be scaled by.
        decisions: a clock of its own, instead of the section `decisions`.
    """

    sections: ClassVar[tuple[str, ...]] = ()
    random: ClassVar[bool] = False
    looks_ahead: ClassVar[bool] = False
    kind: str
    decisions: Decisions | None = None

    def world(self, world: World) -> World:
        """That in which it trades: `world` by the arm's own clock, if it has one."""
        return world if self.decisions is None else replace(world, decisions=self.decisions)

    @property
    def learned(self) -> bool:
        return getattr(self, "splits", None) is not None

    @property
    def follows_signal(self) -> bool:
        """Whether it trades the entries and exits of the signal, so that it differs from others in size alone."""
        return True

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those that share one account; none where each has one of its own."""
        return ()

    def seeds_on(self, scheme: str, seeds: Sequence[int]) -> tuple[int, ...]:
        """The seeds it is trained and walks with; its own on the first of its split schemes, if it names any, else `seeds`.

        What decides needs more seeds than the sensitivities and the field beside it.
        """
        own, splits = getattr(self, "seeds", None), getattr(self, "splits", None)
        return own if own and splits and scheme == splits[0] else tuple(seeds)

    @field_validator("seeds", check_fields=False)
    @classmethod
    def _differ(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds and len(set(seeds)) < len(seeds):
            raise ValueError("seeds must differ: a repeated one would count twice")
        return seeds

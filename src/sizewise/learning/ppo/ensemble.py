"""Several policies as one: what they choose is averaged, and the mean is held."""

from collections.abc import Sequence

import torch

from sizewise.base.errors import ConfigError
from sizewise.base.tensors import lookup
from sizewise.learning.ppo.agent import PolicySizer
from sizewise.sizing.multiples import Multiples
from sizewise.sizing.sizers import Situation
from sizewise.trading.broker.orders import Orders


class EnsembleSizer:
    """Holds the mean of the multiples that policies choose for the account that they share.

    Each is shown the account of the ensemble, not one of its own; averaging multiples leaves the cap to the scheme.
    """

    def __init__(self, members: Sequence[PolicySizer]):
        """Args: `members`: on the same paths, under the same scheme.

        Raises:
            ConfigError: their actions are no multiples of a rule, which have no mean.
        """
        scheme = members[0].scheme
        if not isinstance(scheme, Multiples):
            raise ConfigError("an ensemble averages multiples of a rule: name a ppo arm of scheme multiples_of")
        self._members, self._scheme, self.uses = members, scheme, members[0].uses

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        chosen = [lookup(self._scheme.multiples, member.log_prob(at).argmax(-1)) for member in self._members]
        return self._scheme.hold(torch.stack(chosen).mean(0), at.view())

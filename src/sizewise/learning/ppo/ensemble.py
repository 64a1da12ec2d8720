"""Several policies as one: what they choose is averaged, and the mean is held."""

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

    def __init__(self, policies: PolicySizer, members: int):
        """Args: `policies`: all members on the same paths, those of the first member first, as PolicySizer.abreast has them.

        Raises:
            ConfigError: their actions are no multiples of a rule, which have no mean.
        """
        scheme = policies.scheme
        if not isinstance(scheme, Multiples):
            raise ConfigError("an ensemble averages multiples of a rule: name a ppo arm of scheme multiples_of")
        self._policies, self._members, self._scheme, self.uses = policies, members, scheme, policies.uses

    def orders(self, at: Situation) -> Orders:
        """See sizers.Sizer."""
        log_prob = self._policies.log_prob(at.repeated(self._members))
        chosen = lookup(self._scheme.multiples, log_prob.argmax(-1)).view(self._members, -1)
        return self._scheme.hold(chosen.mean(0), at.view())

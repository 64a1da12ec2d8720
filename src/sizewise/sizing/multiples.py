"""Any scheme of params.yaml, those that ask a rule among them: multiples of what the rule would hold."""

from collections.abc import Sequence

import torch

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.tensors import lookup
from sizewise.params.arms import AnyScheme, CustomArm, CustomScheme, MultiplesOf
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Legacy3, Rules, Simplex, rules_for
from sizewise.sizing.own import Rule, open_own, open_own_scheme
from sizewise.sizing.sizers import RULES, Situation, Size, too_far_off
from sizewise.trading.broker.orders import Orders, Uses
from sizewise.trading.schemes.catalogue import open_scheme
from sizewise.trading.schemes.interface import ActionScheme, Discrete, View
from sizewise.trading.schemes.values import position_limit_frac


class Multiples(ActionScheme):
    """Each action holds a multiple of the reference rule's size of the moment, on the signal's side, up to the cap.

    The size is asked at every decision; without a signal nothing is held. What is held between an entry and an exit stays
    where it is within the base's `resize_off_frac` of that, so that an action of 1 is the base itself.

    Attributes:
        multiples: of the actions, in the accounts' dtype.
    """

    follows_signal, reads_market = True, True

    def __init__(
        self, model: MultiplesOf, size: Size, account: Account, dtype: torch.dtype, device: torch.device | str
    ):
        self.space = Discrete(len(model.multiples))
        self._size, self._limit = size, position_limit_frac(account)
        self._off = model.base.resize_off_frac or 0.0
        self.multiples = torch.tensor(model.multiples, dtype=dtype, device=device)

    def orders(self, actions: torch.Tensor, view: View) -> Orders:
        return self.hold(lookup(self.multiples, actions), view)

    def hold(self, multiple: torch.Tensor, view: View) -> Orders:
        """Orders for any multiples, 0 or more, accounts' shape."""
        at = view.situation
        if at is None:
            raise ConfigError("multiples_of asks a rule, which reads the market's signals: nothing here gives them")
        share = (multiple * self._size(at)).clamp(max=at.cap(self._limit))
        target = torch.where(view.direction == 0, 0.0, share * view.direction * view.equity)
        position = view.position[0]
        held = torch.where(position * view.direction > 0, position, 0.0)
        target = torch.where(at.entry | too_far_off(held, target, self._off), target, held)
        return Orders(market=view.units((target - position).unsqueeze(0)))


def open_any(
    model: AnyScheme,
    symbols: Sequence[str],
    account: Account,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> ActionScheme:
    """The scheme that `model` describes, for a policy; see catalogue.open_scheme.

    Raises:
        ConfigError: see there; a base that is no rule of one size a path.
    """
    if isinstance(model, MultiplesOf):
        return Multiples(model, size_of(model), account, dtype, device)
    if isinstance(model, CustomScheme):
        return open_own_scheme(model)
    if isinstance(model, Legacy3):
        # A network counts its actions from 0, which is also how it begins to hold.
        model = model.model_copy(update={"encoding": "index"})
    if isinstance(model, Simplex):
        model = model.numbered
    return open_scheme(model, symbols, account, dtype=dtype, device=device)


def size_of(model: MultiplesOf) -> Size:
    """The reference rule's size, a share of equity."""
    base = model.base
    if isinstance(base, CustomArm):
        own = open_own("scheme.base", base)
        if not isinstance(own, Rule):
            raise ConfigError(f"multiples_of: {base.class_} learns, which needs a training of its own: name a rule")
        return _sound(own, base.class_)
    rule = RULES[base.kind]
    return lambda at: rule(base, at)


def _sound(rule: Rule, class_: str) -> Size:
    """A rule of one's own that is refused where its size is none while a signal is on."""

    def ask(at: Situation) -> torch.Tensor:
        found = torch.as_tensor(rule.size(at), dtype=at.equity.dtype, device=at.equity.device).expand(at.equity.shape)
        wrong = (at.direction != 0) & ~(found.isfinite() & (found >= 0.0))
        if bool(wrong.any()):
            value = float(found[wrong][0])
            raise ActionError(
                f"multiples_of: {class_} sizes with {value:g}: return a finite share of equity, 0 or more"
            )
        return found

    return ask


def rules_of(model: AnyScheme, rules: Rules) -> Rules:
    """`rules`, and what the scheme cannot do without."""
    if isinstance(model, CustomScheme):
        return rules_with(open_own_scheme(model).uses, rules)
    return rules if isinstance(model, MultiplesOf) else rules_for(model, rules)


def rules_with(uses: Uses, rules: Rules) -> Rules:
    """`rules`, and the least of what orders that carry so much need."""
    lots = rules.max_open_lots if rules.max_open_lots is not None or not uses.brackets else 1
    return rules.model_copy(
        update={
            "margin": "isolated" if uses.leverage and rules.margin == "cash" else rules.margin,
            "max_open_orders": max(rules.max_open_orders, int(uses.working)),
            "max_open_lots": lots,
        }
    )

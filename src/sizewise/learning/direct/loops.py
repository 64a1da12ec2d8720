"""A pass over a lesson, and its gradient, by compiled loops: what learner.walk_lesson and autograd come to, bit for bit.

A pass is some thousand calls on arrays so small that calls cost more than arithmetic. Here sums, products of matrices and
tanh are torch's, whose order of additions is its own; what stands between two of them is one loop. Its operations are those
of `walk_lesson`, and backwards those of their derivatives, added up as autograd meets them: the latest operation first.
"""

import numpy as np
import torch

from sizewise.base.compiled import compiled
from sizewise.learning.direct.lessons import Lesson
from sizewise.learning.direct.network import LARGEST_HELD, LEAST_ASKED
from sizewise.learning.ppo.encoders import Parameters

# Of [decisions, accounts], what every step reads.
COLUMNS = (
    "direction",
    "asked",
    "to_open",
    "from_open",
    "opens",
    "closes",
    "cost",
    "cross",
    "lent_before",
    "funded_before",
    "lent",
    "funded",
    "alive",
)
DIRECTION, ASKED, TO_OPEN, FROM_OPEN, OPENS, CLOSES, COST, CROSS = range(8)
LENT_BEFORE, FUNDED_BEFORE, LENT, FUNDED, ALIVE = range(8, len(COLUMNS))


class Room:
    """Arrays that passes take turns with: fresh memory costs about as much as what is written there."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, tuple[int, ...]], np.ndarray] = {}

    def array(self, name: str, *shape: int) -> np.ndarray:
        """float64, of no values in particular; its caller's until the next call with this name and shape."""
        if (name, shape) not in self._kept:
            self._kept[name, shape] = np.empty(shape)
        return self._kept[name, shape]


class Walk:
    """One pass of K policies over a lesson of D decisions on P accounts; good until the next of its shape in the same room.

    Attributes:
        held: shares held before each decision and after the last, float64 [D + 1, K, P]. chosen, returned: [D, K, P], see
            learner.Pass.
    """

    def __init__(self, parameters: Parameters, lesson: Lesson, start: torch.Tensor, limit_frac: float, room: Room):
        """Args: see learner.walk_lesson."""
        self._parameters = {name: value.detach().contiguous() for name, value in parameters.items()}
        self._inputs, self._limit, self._room = lesson.inputs, limit_frac, room
        (decisions, accounts), (policies, hidden) = lesson.asked.shape, self._parameters["b1"].shape
        self._shape = decisions, accounts, policies, hidden
        self._columns = _columns(lesson)
        self.held = room.array("held", decisions + 1, policies, accounts)
        self.held[0] = start.numpy()
        self.chosen, self.returned, self._carried, self._turned, self._wanted = (
            room.array(name, decisions, policies, accounts)
            for name in ("chosen", "returned", "carried", "turned", "wanted")
        )
        self._layer = self._encode()
        self._run()

    def _encode(self) -> np.ndarray:
        """See network.encode: [D, P, K, hidden]."""
        w1, b1 = self._parameters["w1"], self._parameters["b1"]
        encoded = self._room.array("layer", *self._shape)
        flat = torch.from_numpy(encoded).view(len(self._inputs), -1)
        torch.mm(self._inputs, w1.transpose(0, 1).reshape(w1.shape[1], -1), out=flat).add_(b1.flatten())
        return encoded

    def _run(self) -> None:
        own = self._parameters
        inner, w2, b2 = own["held"].numpy(), own["w2"], own["b2"]
        layers, turned = torch.from_numpy(self._layer), torch.from_numpy(self._turned)
        product, head = torch.empty_like(layers[0]), torch.empty(layers.shape[1:3], dtype=torch.float64)
        for t in range(len(self._layer)):
            _see(t, self._columns, self.held, inner, self._carried, self._layer)
            layer = torch.tanh(layers[t], out=layers[t])
            torch.sum(torch.mul(layer, w2, out=product), -1, out=head)
            torch.tanh(head.T + b2, out=turned[t])
            _hold(t, self._columns, self._limit, self._turned, self.held, self.chosen, self._wanted, self.returned)

    def gradients(self, uphill: torch.Tensor) -> Parameters:
        """Of the parameters, where `uphill` is that of what was returned, [D, K, P]."""
        own, (_, accounts, policies, hidden) = self._parameters, self._shape
        inner, w2 = own["held"].numpy(), own["w2"].numpy()
        layers, turned = torch.from_numpy(self._layer), torch.from_numpy(self._turned)
        of_layers = torch.from_numpy(self._room.array("of_layer", *self._shape))
        of_returned = uphill.contiguous().numpy()
        found = {name: torch.zeros_like(value) for name, value in own.items()}
        following, before = np.zeros((policies, accounts)), np.empty((policies, accounts))
        multiple = torch.empty((policies, accounts), dtype=torch.float64)
        into, beside = torch.empty_like(layers[0]), torch.empty((policies, accounts, hidden), dtype=torch.float64)
        steps = self._columns, self.held, self._wanted, self.chosen, self.returned
        for t in reversed(range(len(self._layer))):
            _unhold(t, *steps, self._limit, of_returned, following, before, multiple.numpy())
            head = torch.ops.aten.tanh_backward(multiple, turned[t])
            found["b2"] += head.sum(1, keepdim=True)
            _unsum(head.numpy(), w2, self._layer[t], into.numpy(), beside.numpy())
            found["w2"] += beside.sum(1)
            layer = torch.ops.aten.tanh_backward.grad_input(into, layers[t], grad_input=of_layers[t])
            _unsee(layer.numpy(), inner, self._carried[t], into.numpy(), beside.numpy())
            found["held"] += beside.sum(1)
            _unheld(t, self._columns, self.held, into.sum(-1).T.contiguous().numpy(), before)
            following, before = before, following
        flat = of_layers.flatten(0, 1)
        # Account after account, policy by policy, as autograd has them: so the sums are the same.
        by_policy = torch.from_numpy(self._room.array("by_policy", policies, len(flat), hidden))
        found["b1"] = by_policy.copy_(flat.transpose(0, 1)).sum(1)
        found["w1"] = (self._inputs.T @ flat.flatten(1)).view(-1, policies, hidden).transpose(0, 1)
        return found


def _columns(lesson: Lesson) -> np.ndarray:
    steps = lesson.steps
    known = {
        "asked": lesson.asked,
        "to_open": steps.opens - 1.0,
        "from_open": steps.closes - steps.opens,
    }
    return torch.stack([known[name] if name in known else getattr(steps, name) for name in COLUMNS], dim=1).numpy()


@compiled
def _see(
    t: int, columns: np.ndarray, held: np.ndarray, inner: np.ndarray, carried: np.ndarray, layer: np.ndarray
) -> None:
    """What is held, as multiples of what is asked for, [K, P]; and what goes into tanh, [P, K, hidden], in place."""
    direction, asked = columns[t, DIRECTION], columns[t, ASKED]
    policies, accounts = held.shape[1:]
    for k in range(policies):
        mine, share = carried[t, k], held[t, k]
        for p in range(accounts):
            ours = share[p] * direction[p]
            if ours < 0.0:
                ours = 0.0
            over = ours / (asked[p] if asked[p] > LEAST_ASKED else LEAST_ASKED)
            if over > LARGEST_HELD:
                over = LARGEST_HELD
            mine[p] = over * (1.0 if asked[p] > 0.0 else 0.0)
    hidden = inner.shape[1]
    fours = hidden - hidden % 4
    for p in range(accounts):
        for k in range(policies):
            multiple, weights, row = carried[t, k, p], inner[k], layer[t, p, k]
            # Four at a time: a loop over so few is not vectorised.
            for h in range(0, fours, 4):
                row[h] += multiple * weights[h]
                row[h + 1] += multiple * weights[h + 1]
                row[h + 2] += multiple * weights[h + 2]
                row[h + 3] += multiple * weights[h + 3]
            for h in range(fours, hidden):
                row[h] += multiple * weights[h]


@compiled
def _hold(
    t: int,
    columns: np.ndarray,
    limit: float,
    turned: np.ndarray,
    held: np.ndarray,
    chosen: np.ndarray,
    wanted: np.ndarray,
    returned: np.ndarray,
) -> None:
    """From what the head says to what is earned and held at the next decision, see decision_steps.advance."""
    now = columns[t]
    direction, asked, to_open, from_open = now[DIRECTION], now[ASKED], now[TO_OPEN], now[FROM_OPEN]
    opens, closes, cost, cross, alive = now[OPENS], now[CLOSES], now[COST], now[CROSS], now[ALIVE]
    lent_before, funded_before, lent, funded = now[LENT_BEFORE], now[FUNDED_BEFORE], now[LENT], now[FUNDED]
    for k in range(held.shape[1]):
        share, following, head = held[t, k], held[t + 1, k], turned[t, k]
        multiples, target, earns = chosen[t, k], wanted[t, k], returned[t, k]
        for p in range(share.shape[0]):
            multiple = 1.0 + head[p]
            w = multiple * asked[p]
            if w > limit:
                w = limit
            w = w * direction[p]
            h = share[p]
            traded = w - h
            earned = h * to_open[p] + w * from_open[p]
            paid = opens[p] * (abs(traded) * cost[p] + traded * cross[p])
            owed = h * funded_before[p] - (h if h < 0.0 else 0.0) * lent_before[p]
            owed = owed + w * funded[p] - (w if w < 0.0 else 0.0) * lent[p]
            r = (earned - paid - owed) * alive[p]
            multiples[p], target[p], earns[p] = multiple, w, r
            following[p] = w * closes[p] / (1.0 + r)


@compiled
def _unhold(
    t: int,
    columns: np.ndarray,
    held: np.ndarray,
    wanted: np.ndarray,
    chosen: np.ndarray,
    returned: np.ndarray,
    limit: float,
    of_returned: np.ndarray,
    of_next: np.ndarray,
    of_held: np.ndarray,
    of_multiple: np.ndarray,
) -> None:
    """Gradients of `_hold`, [K, P]: from those of what was returned and of what was held next to those of the multiple, and
    of what was held before as far as it was traded."""
    now = columns[t]
    direction, asked, to_open, from_open = now[DIRECTION], now[ASKED], now[TO_OPEN], now[FROM_OPEN]
    opens, closes, cost, cross, alive = now[OPENS], now[CLOSES], now[COST], now[CROSS], now[ALIVE]
    lent_before, funded_before, lent, funded = now[LENT_BEFORE], now[FUNDED_BEFORE], now[LENT], now[FUNDED]
    for k in range(held.shape[1]):
        share, target, multiples, earns = held[t, k], wanted[t, k], chosen[t, k], returned[t, k]
        for p in range(share.shape[0]):
            h, w, following = share[p], target[p], of_next[k, p]
            end = 1.0 + earns[p]
            g = of_returned[t, k, p] + -following * ((w * closes[p] / end) / end)
            g = g * alive[p]
            of_w = following / end * closes[p]
            of_w = of_w + (g * lent[p] if w <= 0.0 else 0.0)
            of_w = of_w + -g * funded[p]
            of_h = g * lent_before[p] if h <= 0.0 else 0.0
            of_h = of_h + -g * funded_before[p]
            paid = -g * opens[p]
            traded = w - h
            sign = 1.0 if traded > 0.0 else (-1.0 if traded < 0.0 else 0.0)
            of_traded = paid * cross[p] + paid * cost[p] * sign
            of_w = of_w + g * from_open[p]
            of_h = of_h + g * to_open[p]
            of_w = of_w + of_traded
            of_held[k, p] = of_h + -of_traded
            below = multiples[p] * asked[p] <= limit
            of_multiple[k, p] = (of_w * direction[p] if below else 0.0) * asked[p]


@compiled
def _unsum(head: np.ndarray, w2: np.ndarray, layer: np.ndarray, of_layer: np.ndarray, of_weights: np.ndarray) -> None:
    """Gradients of the head's products: towards the layer, and towards its weights account by account, [P, K, hidden]."""
    accounts, policies, hidden = layer.shape
    fours = hidden - hidden % 4
    for p in range(accounts):
        for k in range(policies):
            g, weights, row, into, beside = head[k, p], w2[k], layer[p, k], of_layer[p, k], of_weights[k, p]
            for h in range(0, fours, 4):
                into[h] = g * weights[h]
                into[h + 1] = g * weights[h + 1]
                into[h + 2] = g * weights[h + 2]
                into[h + 3] = g * weights[h + 3]
                beside[h] = g * row[h]
                beside[h + 1] = g * row[h + 1]
                beside[h + 2] = g * row[h + 2]
                beside[h + 3] = g * row[h + 3]
            for h in range(fours, hidden):
                into[h] = g * weights[h]
                beside[h] = g * row[h]


@compiled
def _unsee(
    layer: np.ndarray, inner: np.ndarray, carried: np.ndarray, of_carried: np.ndarray, of_weights: np.ndarray
) -> None:
    """The same of `_see`'s products."""
    accounts, policies, hidden = layer.shape
    fours = hidden - hidden % 4
    for k in range(policies):
        weights = inner[k]
        for p in range(accounts):
            multiple, row, into, beside = carried[k, p], layer[p, k], of_carried[p, k], of_weights[k, p]
            for h in range(0, fours, 4):
                into[h] = row[h] * weights[h]
                into[h + 1] = row[h + 1] * weights[h + 1]
                into[h + 2] = row[h + 2] * weights[h + 2]
                into[h + 3] = row[h + 3] * weights[h + 3]
                beside[h] = row[h] * multiple
                beside[h + 1] = row[h + 1] * multiple
                beside[h + 2] = row[h + 2] * multiple
                beside[h + 3] = row[h + 3] * multiple
            for h in range(fours, hidden):
                into[h] = row[h] * weights[h]
                beside[h] = row[h] * multiple


@compiled
def _unheld(t: int, columns: np.ndarray, held: np.ndarray, of_carried: np.ndarray, of_held: np.ndarray) -> None:
    """Adds to the gradient of what was held what comes of its being seen."""
    direction, asked = columns[t, DIRECTION], columns[t, ASKED]
    for k in range(held.shape[1]):
        share = held[t, k]
        for p in range(share.shape[0]):
            ours = share[p] * direction[p]
            least = asked[p] if asked[p] > LEAST_ASKED else LEAST_ASKED
            g = of_carried[k, p] * (1.0 if asked[p] > 0.0 else 0.0)
            if not (ours if ours > 0.0 else 0.0) / least <= LARGEST_HELD:
                g = 0.0
            g = g / least
            if not ours >= 0.0:
                g = 0.0
            of_held[k, p] = of_held[k, p] + g * direction[p]

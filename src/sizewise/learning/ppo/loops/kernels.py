"""The two-layer network and its PPO update as compiled loops: what update.py and policy.py compute, for small networks on a
CPU, where a call of a tensor library takes longer than what it computes.

One policy after another and one group of paths after another: a group's samples are the lanes (see base.compiled), account
by account, so that the market's part of a row is added to all its accounts. What a policy computes depends neither on who
trains beside it nor on the processor. The slow twins are `policy.forward` and `update.update` with tensors.

Rows of `watched`: WATCHED. Arguments named like update.py's are float32 with samples as [G, R, T].
"""

import numpy as np

from sizewise.base.compiled import (
    HALF,
    LANES,
    ONE,
    ZERO,
    add_outer,
    add_products,
    add_sums,
    compiled,
    exp_row,
    f4,
    fill_rows,
    fold,
    log_of_sum,
    tanh_rows,
)
from sizewise.learning.adam import BETAS

WATCHED = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_frac", "grad_norm", "updates")
BETA_1, BETA_2 = BETAS
# Samples a step of acting is worked through at once.
BLOCK = 256


@compiled
def layer(out: np.ndarray, weights: np.ndarray, bias: np.ndarray, x: np.ndarray) -> None:
    """out = weights' x + bias; out [J, lanes], weights [K, J], x [K, lanes]."""
    fill_rows(out, bias)
    add_products(out, weights, x)


@compiled
def encode(rows: np.ndarray, weights: np.ndarray, bias: np.ndarray, out: np.ndarray) -> None:
    """out = rows @ weights + bias; [K, N, wide], [K, N, inputs], [K, inputs, wide] and [K, wide]."""
    for k in range(rows.shape[0]):
        out[k] = bias[k]
        add_products(out[k], rows[k].T, weights[k])


@compiled
def log_softmax(logits: np.ndarray, allowed: np.ndarray, odds: np.ndarray, bits: np.ndarray) -> None:
    """Log-probabilities in place of the logits, [A, lanes]; -inf where not allowed. odds: [A, lanes], receives the
    probabilities. bits: int32 [lanes], scratch."""
    actions, lanes = logits.shape
    most, total = np.empty(lanes, np.float32), np.zeros(lanes, np.float32)
    most[:] = -np.inf
    for a in range(actions):
        row, may = logits[a], allowed[a]
        for n in range(lanes):
            v = row[n] if may[n] else f4(-np.inf)
            row[n] = v
            most[n] = v if v > most[n] or v != v else most[n]
    for a in range(actions):
        row, out, may = logits[a], odds[a], allowed[a]
        for n in range(lanes):
            out[n] = row[n] - most[n]
        exp_row(out, bits)
        for n in range(lanes):
            out[n] = out[n] if may[n] else ZERO
            total[n] += out[n]
    for n in range(lanes):
        most[n] += log_of_sum(total[n])
    for a in range(actions):
        row, out = logits[a], odds[a]
        for n in range(lanes):
            row[n] -= most[n]
            out[n] /= total[n]


@compiled
def carve(room: np.ndarray, rows: int, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    """[rows, lanes] at the beginning of some room, and the rest of it."""
    return room[: rows * lanes].reshape(rows, lanes), room[rows * lanes :]


@compiled
def act(
    encoded: np.ndarray,
    scalars: np.ndarray,
    allowed: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    policies: np.ndarray,
    account_w: np.ndarray,
    actor_w2: np.ndarray,
    actor_b2: np.ndarray,
    actor_w3: np.ndarray,
    actor_b3: np.ndarray,
    critic_w2: np.ndarray,
    critic_b2: np.ndarray,
    critic_w3: np.ndarray,
    critic_b3: np.ndarray,
    log_prob: np.ndarray,
    value: np.ndarray,
) -> None:
    """policy.forward without a recurrent state, of N samples, in runs that share a policy.

    Args:
        encoded: [E, width]; each row is that of N / E samples that follow each other. `width` is the first layer of both
            heads, or the actor's alone. scalars: [N, scalars]. allowed: [N, A].
        order: int64 [N], samples run after run. starts, policies: int64 [runs], where a run starts in it and whose it is.
        account_w: [K, scalars, width]; the others' weights lead with [K] as well.
        log_prob: [N, A], written. value: [N], written where `width` has the critic's half.
    """
    count, n_scalars = scalars.shape
    share, actions, width = count // len(encoded), allowed.shape[1], encoded.shape[1]
    half, units = actor_w2.shape[1], actor_w2.shape[2]
    room = np.zeros((width + units + n_scalars + 2 * actions + 1, BLOCK), np.float32).reshape(-1)
    might, bits = np.ones((actions, BLOCK), np.bool_).reshape(-1), np.empty(BLOCK, np.int32)
    for q in range(len(starts)):
        k = policies[q]
        stop = starts[q + 1] if q + 1 < len(starts) else count
        for start in range(starts[q], stop, BLOCK):
            used = min(BLOCK, stop - start)
            # Whole vectors; lanes beyond the run hold what is finite.
            lanes = (used + LANES - 1) // LANES * LANES
            first, rest = carve(room, width, lanes)
            second, rest = carve(rest, units, lanes)
            seen, rest = carve(rest, n_scalars, lanes)
            logits, rest = carve(rest, actions, lanes)
            odds, rest = carve(rest, actions, lanes)
            worth, rest = carve(rest, 1, lanes)
            may = might[: actions * lanes].reshape(actions, lanes)
            for n in range(used):
                sample = order[start + n]
                row = encoded[sample // share]
                for j in range(width):
                    first[j, n] = row[j]
                for i in range(n_scalars):
                    seen[i, n] = scalars[sample, i]
                for a in range(actions):
                    may[a, n] = allowed[sample, a]
            add_products(first, account_w[k], seen)
            tanh_rows(first)
            layer(second, actor_w2[k], actor_b2[k], first[:half])
            tanh_rows(second)
            layer(logits, actor_w3[k], actor_b3[k], second)
            log_softmax(logits, may, odds, bits[:lanes])
            for n in range(used):
                for a in range(actions):
                    log_prob[order[start + n], a] = logits[a, n]
            if width == half:
                continue
            layer(second, critic_w2[k], critic_b2[k], first[half:])
            tanh_rows(second)
            layer(worth, critic_w3[k], critic_b3[k], second)
            for n in range(used):
                value[order[start + n]] = worth[0, n]


@compiled
def moments(advantage: np.ndarray, chosen: np.ndarray) -> tuple[np.float32, np.float32]:
    """Mean and standard deviation over some groups, [G, R, T]."""
    total, count = 0.0, 0
    for g in chosen:
        for value in advantage[g].flat:
            total += value
            count += 1
    mean, squares = total / count, 0.0
    for g in chosen:
        for value in advantage[g].flat:
            squares += (value - mean) ** 2
    return f4(mean), f4(np.sqrt(squares / count))


@compiled
def surrogate(
    log_prob: np.ndarray,
    odds: np.ndarray,
    worth: np.ndarray,
    actions: np.ndarray,
    old_log_prob: np.ndarray,
    old_value: np.ndarray,
    advantage: np.ndarray,
    returns: np.ndarray,
    clip: np.float32,
    value_clip: np.float32,
    value_coef: np.float32,
    entropy_coef: np.float32,
    share: np.float32,
    parts: np.ndarray,
    ratio: np.ndarray,
    bits: np.ndarray,
) -> None:
    """update.ppo_loss and its gradient, of one group's lanes.

    Args:
        log_prob, odds: [A, lanes]; `odds` becomes the loss's gradient in the logits. worth: [lanes], becomes that in the
            critic's value. advantage: scaled. share: 1 / samples of the minibatch.
        parts: float64 [5], the first five of WATCHED are added. ratio, bits: [lanes], scratch.
    """
    count, lanes = log_prob.shape
    for n in range(lanes):
        ratio[n] = log_prob[actions[n], n] - old_log_prob[n]
    shift = ratio.copy()
    exp_row(ratio, bits)
    low, high = ONE - clip, ONE + clip
    for n in range(lanes):
        r, gain = ratio[n], advantage[n]
        bounded = r
        if bounded < low:
            bounded = low
        if bounded > high:
            bounded = high
        free, held = gain * r, gain * bounded
        inside = bounded == r
        parts[0] -= free if free < held else held
        parts[3] += (r - ONE) - shift[n]
        parts[4] += ZERO if abs(r - ONE) <= clip else ONE
        pull = -gain * r * share if inside or free < held else ZERO
        if r != r:
            pull = r
        v, before, wanted = worth[n], old_value[n], returns[n]
        step = v - before
        stays = -value_clip <= step <= value_clip
        if step > value_clip:
            step = value_clip
        if step < -value_clip:
            step = -value_clip
        near = before + step
        own, other = (v - wanted) * (v - wanted), (near - wanted) * (near - wanted)
        parts[1] += HALF * (own if own >= other else other)
        slope = (v - wanted) if own >= other or stays else ZERO
        worth[n] = value_coef * slope * share
        entropy = ZERO
        for a in range(count):
            p = odds[a, n]
            if p > ZERO:
                entropy -= p * log_prob[a, n]
        parts[2] += entropy
        for a in range(count):
            p = odds[a, n]
            grad = -pull * p
            if entropy_coef != ZERO and p > ZERO:
                grad += entropy_coef * share * p * (log_prob[a, n] + entropy)
            odds[a, n] = grad
        odds[actions[n], n] += pull


@compiled
def through_tanh(d: np.ndarray, h: np.ndarray) -> None:
    """A gradient in tanh's output becomes one in its input, in place; h: the output."""
    for j in range(d.shape[0]):
        row, out = d[j], h[j]
        for n in range(row.shape[0]):
            row[n] *= ONE - out[n] * out[n]


@compiled
def descend(
    weights: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    powers: np.ndarray,
    decays: np.ndarray,
    grad: np.ndarray,
    norm: np.float32,
    max_norm: np.float32,
    rates: tuple[np.float32, np.float32, np.float32],
) -> None:
    """adam.Adam.step of one policy, whose gradient has the norm `norm`; see learn."""
    rate, decay, eps = rates
    shrink = min(max_norm / (norm + f4(1e-6)), ONE)
    powers[0] *= BETA_1
    powers[1] *= BETA_2
    pace, unbiased = f4(rate / (1.0 - powers[0])), f4(1.0 / np.sqrt(1.0 - powers[1]))
    for i in range(len(weights)):
        slope = grad[i] * shrink
        first_moment[i] += f4(1.0 - BETA_1) * (slope - first_moment[i])
        second_moment[i] += f4(1.0 - BETA_2) * (slope * slope - second_moment[i])
        kept = weights[i] * (ONE - rate * decay) if decays[i] else weights[i]
        weights[i] = kept - pace * (first_moment[i] / (np.sqrt(second_moment[i]) * unbiased + eps))


@compiled
def learn(
    flat: np.ndarray,
    first_moment: np.ndarray,
    second_moment: np.ndarray,
    powers: np.ndarray,
    decays: np.ndarray,
    orders: np.ndarray,
    size: int,
    sizes: tuple[int, int, int, int, int, int],
    market: np.ndarray,
    scalars: np.ndarray,
    allowed: np.ndarray,
    actions: np.ndarray,
    old_log_prob: np.ndarray,
    old_value: np.ndarray,
    advantage: np.ndarray,
    returns: np.ndarray,
    coefs: tuple[np.float32, np.float32, np.float32, np.float32],
    stops: tuple[np.float32, np.float32, np.float32],
    rates: tuple[np.float32, np.float32, np.float32],
    watched: np.ndarray,
) -> None:
    """update.update of K policies.

    Args:
        flat, first_moment, second_moment: [K, n], weights one after another and Adam's state, updated. powers: float64
            [K, 2], Adam's betas to the power of the steps taken, updated. decays: bool [n], weights that decay.
        orders: int64 [K, epochs, G], and `size` groups a minibatch.
        sizes: window, features of a bar, scalars, first layer of one head, second layer, actions.
        market: [K, G, window * features, T]. scalars: [K, G, scalars, R, T]. allowed: [K, G, A, R, T]. Others: [K, G, R, T].
        coefs: clip, value_clip, value, entropy. stops: KL divergence, largest norm of a gradient, exploding norm.
        rates: learning rate, weight decay, eps.
        watched: [K, WATCHED], written.
    """
    clip, value_clip, value_coef, entropy_coef = coefs
    most_kl, max_norm, exploding = stops
    window, features, n_scalars, half, units, count = sizes
    policies, n_weights = flat.shape
    wide, inputs = 2 * half, window * features
    replicas, steps = actions.shape[2], actions.shape[3]
    lanes = replicas * steps
    rows = np.empty((wide, steps), np.float32)
    row_grads = np.empty((wide, steps), np.float32)
    h1, d1 = np.empty((wide, lanes), np.float32), np.empty((wide, lanes), np.float32)
    h2, d2 = np.empty((2 * units, lanes), np.float32), np.empty((2 * units, lanes), np.float32)
    logits, odds = np.empty((count, lanes), np.float32), np.empty((count, lanes), np.float32)
    worth, gain = np.empty((1, lanes), np.float32), np.empty(lanes, np.float32)
    ratio, bits = np.empty(lanes, np.float32), np.empty(lanes, np.int32)
    market_w, account_w = np.empty((inputs, wide), np.float32), np.empty((n_scalars, wide), np.float32)
    market_g, account_g = np.empty((inputs, wide), np.float32), np.empty((n_scalars, wide), np.float32)
    grad = np.empty(n_weights, np.float32)
    part_market = np.zeros((inputs, wide, LANES), np.float32)
    part_account = np.zeros((n_scalars, wide, LANES), np.float32)
    part_b1 = np.zeros((wide, LANES), np.float32)
    part_w2, part_b2 = np.zeros((2, half, units, LANES), np.float32), np.zeros((2 * units, LANES), np.float32)
    part_w3a, part_b3a = np.zeros((units, count, LANES), np.float32), np.zeros((count, LANES), np.float32)
    part_w3c, part_b3c = np.zeros((units, 1, LANES), np.float32), np.zeros((1, LANES), np.float32)
    parts = np.zeros(5)
    # Where each weight begins: those of the encoder, the actor, the critic.
    at_b1 = window * (features + n_scalars) * wide
    at_w2a = at_b1 + wide
    at_b2a = at_w2a + half * units
    at_w3a = at_b2a + units
    at_b3a = at_w3a + units * count
    at_w2c = at_b3a + count
    at_b2c = at_w2c + half * units
    at_w3c = at_b2c + units
    at_b3c = at_w3c + units
    for k in range(policies):
        weights = flat[k]
        w1 = weights[:at_b1].reshape(window, features + n_scalars, wide)
        b1 = weights[at_b1:at_w2a]
        w2a, b2a = weights[at_w2a:at_b2a].reshape(half, units), weights[at_b2a:at_w3a]
        w3a, b3a = weights[at_w3a:at_b3a].reshape(units, count), weights[at_b3a:at_w2c]
        w2c, b2c = weights[at_w2c:at_b2c].reshape(half, units), weights[at_b2c:at_w3c]
        w3c, b3c = weights[at_w3c:at_b3c].reshape(units, 1), weights[at_b3c:]
        g1 = grad[:at_b1].reshape(window, features + n_scalars, wide)
        watched[k, :] = ZERO
        active = True
        for e in range(orders.shape[1]):
            for start in range(0, orders.shape[2], size):
                if not active:
                    break
                chosen = orders[k, e, start : start + size]
                account_w[:] = ZERO
                for b in range(window):
                    for f in range(features):
                        market_w[b * features + f] = w1[b, f]
                    for i in range(n_scalars):
                        account_w[i] += w1[b, features + i]
                mean, spread = moments(advantage[k], chosen)
                share = ONE / f4(len(chosen) * lanes)
                scale = ONE / (spread + f4(1e-8))
                parts[:] = 0.0
                for g in chosen:
                    layer(rows, market_w, b1, market[k, g])
                    for j in range(wide):
                        for r in range(replicas):
                            h1[j, r * steps : (r + 1) * steps] = rows[j]
                    seen = scalars[k, g].reshape(n_scalars, lanes)
                    add_products(h1, account_w, seen)
                    tanh_rows(h1)
                    layer(h2[:units], w2a, b2a, h1[:half])
                    layer(h2[units:], w2c, b2c, h1[half:])
                    tanh_rows(h2)
                    layer(logits, w3a, b3a, h2[:units])
                    layer(worth, w3c, b3c, h2[units:])
                    log_softmax(logits, allowed[k, g].reshape(count, lanes), odds, bits)
                    own = advantage[k, g].reshape(lanes)
                    for n in range(lanes):
                        gain[n] = (own[n] - mean) * scale
                    surrogate(
                        logits,
                        odds,
                        worth[0],
                        actions[k, g].reshape(lanes),
                        old_log_prob[k, g].reshape(lanes),
                        old_value[k, g].reshape(lanes),
                        gain,
                        returns[k, g].reshape(lanes),
                        clip,
                        value_clip,
                        value_coef,
                        entropy_coef,
                        share,
                        parts,
                        ratio,
                        bits,
                    )
                    add_outer(part_w3a, h2[:units], odds)
                    add_sums(part_b3a, odds)
                    add_outer(part_w3c, h2[units:], worth)
                    add_sums(part_b3c, worth)
                    d2[:] = ZERO
                    add_products(d2[:units], w3a.T, odds)
                    add_products(d2[units:], w3c.T, worth)
                    through_tanh(d2, h2)
                    add_outer(part_w2[0], h1[:half], d2[:units])
                    add_outer(part_w2[1], h1[half:], d2[units:])
                    add_sums(part_b2, d2)
                    d1[:] = ZERO
                    add_products(d1[:half], w2a.T, d2[:units])
                    add_products(d1[half:], w2c.T, d2[units:])
                    through_tanh(d1, h1)
                    add_outer(part_account, seen, d1)
                    for j in range(wide):
                        row = row_grads[j]
                        row[:] = d1[j, :steps]
                        for r in range(1, replicas):
                            row += d1[j, r * steps : (r + 1) * steps]
                    add_outer(part_market, market[k, g], row_grads)
                    add_sums(part_b1, row_grads)
                fold(market_g.reshape(inputs * wide), part_market.reshape(inputs * wide, LANES))
                fold(account_g.reshape(n_scalars * wide), part_account.reshape(n_scalars * wide, LANES))
                for b in range(window):
                    for f in range(features):
                        g1[b, f] = market_g[b * features + f]
                    for i in range(n_scalars):
                        g1[b, features + i] = account_g[i]
                fold(grad[at_b1:at_w2a], part_b1)
                fold(grad[at_w2a:at_b2a], part_w2[0].reshape(half * units, LANES))
                fold(grad[at_b2a:at_w3a], part_b2[:units])
                fold(grad[at_w3a:at_b3a], part_w3a.reshape(units * count, LANES))
                fold(grad[at_b3a:at_w2c], part_b3a)
                fold(grad[at_w2c:at_b2c], part_w2[1].reshape(half * units, LANES))
                fold(grad[at_b2c:at_w3c], part_b2[units:])
                fold(grad[at_w3c:at_b3c], part_w3c.reshape(units, LANES))
                fold(grad[at_b3c:], part_b3c)
                kl = f4(parts[3] * share)
                if kl > most_kl:
                    active = False
                    break
                squares = 0.0
                for slope in grad:
                    squares += float(slope) * float(slope)
                norm = f4(np.sqrt(squares))
                for i in range(5):
                    watched[k, i] += f4(parts[i] * share)
                watched[k, 5] = norm if norm > watched[k, 5] or norm != norm else watched[k, 5]
                watched[k, 6] += ONE
                if not norm <= exploding:
                    active = False
                    break
                descend(weights, first_moment[k], second_moment[k], powers[k], decays, grad, norm, max_norm, rates)
            if not active:
                break
        taken = max(watched[k, 6], ONE)
        for i in range(5):
            watched[k, i] /= taken

"""The two-layer network and its PPO update as compiled loops: what update.py and policy.py compute, for small networks on a
CPU, where a call of a tensor library takes longer than what it computes.

One policy after another and one group of paths after another: a group's samples are the lanes (see base.compiled), account
by account, so that the market's part of a row is added to all its accounts. Groups of few samples stand side by side, each
in whole vectors of its own, so that what they add up to is what it was one by one. What a policy computes depends neither
on who trains beside it nor on the processor. The slow twins are `policy.forward` and `update.update` with tensors.

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
    add_vectors,
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
# A group of so many lanes learns alone, since its sums are taken by eights. Of smaller ones four stand side by side, since
# vectors are added by fours; of those of up to so many vectors eight.
ALONE, SMALL = 8 * LANES, 3 * LANES


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
    room = np.zeros((width + units + n_scalars + 2 * actions + 1) * BLOCK, np.float32)
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
def policy_loss(
    ratio: np.ndarray, gain: np.ndarray, clip: np.float32, share: np.float32, lost: np.ndarray, pull: np.ndarray
) -> None:
    """The clipped surrogate of each sample, and its gradient in the log-probability of what was done; all [samples]."""
    low, high = ONE - clip, ONE + clip
    for n in range(len(ratio)):
        r, g = ratio[n], gain[n]
        bounded = r
        if bounded < low:
            bounded = low
        if bounded > high:
            bounded = high
        free, held = g * r, g * bounded
        lost[n] = free if free < held else held
        slope = -g * r * share if bounded == r or free < held else ZERO
        pull[n] = slope if r == r else r


@compiled
def value_loss(
    worth: np.ndarray,
    old_value: np.ndarray,
    returns: np.ndarray,
    clip: np.float32,
    scale: tuple[np.float32, np.float32],
    lost: np.ndarray,
) -> None:
    """The clipped squared error of each sample; `worth` becomes its gradient, times both of `scale`; all [samples]."""
    coef, share = scale
    for n in range(len(worth)):
        v, before, wanted = worth[n], old_value[n], returns[n]
        step = v - before
        stays = -clip <= step <= clip
        if step > clip:
            step = clip
        if step < -clip:
            step = -clip
        near = before + step
        own, other = (v - wanted) * (v - wanted), (near - wanted) * (near - wanted)
        lost[n] = HALF * (own if own >= other else other)
        slope = (v - wanted) if own >= other or stays else ZERO
        worth[n] = coef * slope * share


@compiled
def add_entropy(entropy: np.ndarray, odds: np.ndarray, log_prob: np.ndarray) -> None:
    """What one action adds to the entropy of each sample."""
    for n in range(len(entropy)):
        p = odds[n]
        entropy[n] -= p * log_prob[n] if p > ZERO else ZERO


@compiled
def steer(
    odds: np.ndarray, log_prob: np.ndarray, pull: np.ndarray, entropy: np.ndarray, coef: np.float32, share: np.float32
) -> None:
    """The probability of one action becomes the gradient in its logit, but for what pulls at the action that was done."""
    if coef == ZERO:
        for n in range(len(pull)):
            odds[n] = -pull[n] * odds[n]
        return
    for n in range(len(pull)):
        p = odds[n]
        odds[n] = -pull[n] * p + (coef * share * p * (log_prob[n] + entropy[n]) if p > ZERO else ZERO)


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
    scratch: np.ndarray,
    bits: np.ndarray,
    at: int,
) -> None:
    """update.ppo_loss and its gradient, of one group's samples.

    Args:
        log_prob, odds: [A, lanes], the group's from `at` on; `odds` becomes the loss's gradient in the logits. worth:
            [lanes], becomes that in the critic's value. advantage: scaled. share: 1 / samples of the minibatch.
        parts: float64 [5], the first five of WATCHED are added. scratch: [5, samples]. bits: int32 [samples], scratch.
    """
    count, samples = log_prob.shape[0], len(actions)
    ratio, shift, pull, lost, entropy = scratch
    end = at + samples
    for n in range(samples):
        shift[n] = log_prob[actions[n], at + n] - old_log_prob[n]
        ratio[n], entropy[n] = shift[n], ZERO
    exp_row(ratio, bits)
    policy_loss(ratio, advantage, clip, share, lost, pull)
    for n in range(samples):
        off = ratio[n] - ONE
        parts[0] -= lost[n]
        parts[3] += off - shift[n]
        parts[4] += ZERO if abs(off) <= clip else ONE
    value_loss(worth[at:end], old_value, returns, value_clip, (value_coef, share), lost)
    for a in range(count):
        add_entropy(entropy, odds[a, at:end], log_prob[a, at:end])
    for n in range(samples):
        parts[1] += lost[n]
        parts[2] += entropy[n]
    for a in range(count):
        steer(odds[a, at:end], log_prob[a, at:end], pull, entropy, entropy_coef, share)
    for n in range(samples):
        odds[actions[n], at + n] += pull[n]


@compiled
def place_lanes(out: np.ndarray, values: np.ndarray, at: int, lanes: int, nobody: np.generic | bool) -> None:
    """`lanes` of out from `at` on: values, and what lanes of nobody hold; out [K, more lanes], values [K, few]."""
    few = values.shape[1]
    for k in range(out.shape[0]):
        row, own = out[k], values[k]
        for n in range(few):
            row[at + n] = own[n]
        for n in range(at + few, at + lanes):
            row[n] = nobody


# Groups side by side, lanes of each group's samples and of its rows, accounts of a group, steps.
Layout = tuple[int, int, int, int, int]


@compiled
def to_accounts(out: np.ndarray, rows: np.ndarray, layout: Layout) -> None:
    """Every row to all accounts of its group, and zeros behind them; out [J, lanes], rows [J, row lanes]."""
    groups, lanes, row_lanes, replicas, steps = layout
    for j in range(out.shape[0]):
        row, own = out[j], rows[j]
        for i in range(groups):
            for r in range(replicas):
                at, source = i * lanes + r * steps, i * row_lanes
                for t in range(steps):
                    row[at + t] = own[source + t]
            for n in range(i * lanes + replicas * steps, (i + 1) * lanes):
                row[n] = ZERO


@compiled
def to_rows(out: np.ndarray, d: np.ndarray, layout: Layout) -> None:
    """What all accounts of a group say of each row, account after account, and zeros behind; to_accounts turned round."""
    groups, lanes, row_lanes, replicas, steps = layout
    for j in range(out.shape[0]):
        row, own = out[j], d[j]
        for i in range(groups):
            at, source = i * row_lanes, i * lanes
            for t in range(steps):
                row[at + t] = own[source + t]
            for r in range(1, replicas):
                source = i * lanes + r * steps
                for t in range(steps):
                    row[at + t] += own[source + t]
            for n in range(at + steps, at + row_lanes):
                row[n] = ZERO


@compiled
def add_outer_of(partial: np.ndarray, x: np.ndarray, d: np.ndarray, most: int) -> None:
    """add_outer, of groups that may stand side by side as of one after another: vector by vector."""
    if most > 1:
        add_vectors(partial, x, d)
    else:
        add_outer(partial, x, d)


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
    samples = replicas * steps
    # Of one group: lanes of its accounts, and of its rows; whole vectors where others stand beside it.
    lanes, row_lanes, most = samples, steps, 1
    if samples < ALONE and size > 1:
        lanes, row_lanes = (samples + LANES - 1) // LANES * LANES, (steps + LANES - 1) // LANES * LANES
        most = min(size, 8 if lanes <= SMALL else 4)
    room = np.zeros(most * (2 * wide + 4 * units + n_scalars + 2 * count + 1) * lanes, np.float32)
    row_room = np.zeros(most * (inputs + 2 * wide) * row_lanes, np.float32)
    might = np.ones(most * count * lanes, np.bool_)
    gain, scratch = np.empty(samples, np.float32), np.empty((5, samples), np.float32)
    bits = np.empty(most * lanes, np.int32)
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
                share = ONE / f4(len(chosen) * samples)
                scale = ONE / (spread + f4(1e-8))
                parts[:] = 0.0
                for first in range(0, len(chosen), most):
                    beside = chosen[first : first + most]
                    width, row_width = len(beside) * lanes, len(beside) * row_lanes
                    h1, rest = carve(room, wide, width)
                    d1, rest = carve(rest, wide, width)
                    h2, rest = carve(rest, 2 * units, width)
                    d2, rest = carve(rest, 2 * units, width)
                    seen, rest = carve(rest, n_scalars, width)
                    logits, rest = carve(rest, count, width)
                    odds, rest = carve(rest, count, width)
                    worth, rest = carve(rest, 1, width)
                    shown, row_rest = carve(row_room, inputs, row_width)
                    rows, row_rest = carve(row_rest, wide, row_width)
                    row_grads, row_rest = carve(row_rest, wide, row_width)
                    may = might[: count * width].reshape(count, width)
                    if most == 1:
                        shown, g = market[k, beside[0]], beside[0]
                        seen, may = scalars[k, g].reshape(n_scalars, samples), allowed[k, g].reshape(count, samples)
                    else:
                        for i in range(len(beside)):
                            g = beside[i]
                            place_lanes(shown, market[k, g], i * row_lanes, row_lanes, ZERO)
                            place_lanes(seen, scalars[k, g].reshape(n_scalars, samples), i * lanes, lanes, ZERO)
                            # Everything is allowed to nobody, so that what comes of it is finite.
                            place_lanes(may, allowed[k, g].reshape(count, samples), i * lanes, lanes, True)
                    layer(rows, market_w, b1, shown)
                    # A loop costs less than a slice to begin with, and more a number.
                    if most > 1:
                        to_accounts(h1, rows, (len(beside), lanes, row_lanes, replicas, steps))
                    else:
                        for j in range(wide):
                            for r in range(replicas):
                                h1[j, r * steps : (r + 1) * steps] = rows[j]
                    add_products(h1, account_w, seen)
                    tanh_rows(h1)
                    layer(h2[:units], w2a, b2a, h1[:half])
                    layer(h2[units:], w2c, b2c, h1[half:])
                    tanh_rows(h2)
                    layer(logits, w3a, b3a, h2[:units])
                    layer(worth, w3c, b3c, h2[units:])
                    log_softmax(logits, may, odds, bits[:width])
                    for i in range(len(beside)):
                        g = beside[i]
                        own_gain = advantage[k, g].reshape(samples)
                        for n in range(samples):
                            gain[n] = (own_gain[n] - mean) * scale
                        surrogate(
                            logits,
                            odds,
                            worth[0],
                            actions[k, g].reshape(samples),
                            old_log_prob[k, g].reshape(samples),
                            old_value[k, g].reshape(samples),
                            gain,
                            returns[k, g].reshape(samples),
                            clip,
                            value_clip,
                            value_coef,
                            entropy_coef,
                            share,
                            parts,
                            scratch,
                            bits[:samples],
                            i * lanes,
                        )
                        for n in range(i * lanes + samples, (i + 1) * lanes):
                            worth[0, n] = ZERO
                            for a in range(count):
                                odds[a, n] = ZERO
                    add_outer_of(part_w3a, h2[:units], odds, most)
                    add_sums(part_b3a, odds)
                    add_outer_of(part_w3c, h2[units:], worth, most)
                    add_sums(part_b3c, worth)
                    d2[:] = ZERO
                    add_products(d2[:units], w3a.T, odds)
                    add_products(d2[units:], w3c.T, worth)
                    through_tanh(d2, h2)
                    add_outer_of(part_w2[0], h1[:half], d2[:units], most)
                    add_outer_of(part_w2[1], h1[half:], d2[units:], most)
                    add_sums(part_b2, d2)
                    d1[:] = ZERO
                    add_products(d1[:half], w2a.T, d2[:units])
                    add_products(d1[half:], w2c.T, d2[units:])
                    through_tanh(d1, h1)
                    add_outer_of(part_account, seen, d1, most)
                    if most > 1:
                        to_rows(row_grads, d1, (len(beside), lanes, row_lanes, replicas, steps))
                    else:
                        for j in range(wide):
                            row = row_grads[j]
                            row[:] = d1[j, :steps]
                            for r in range(1, replicas):
                                row += d1[j, r * steps : (r + 1) * steps]
                    add_outer_of(part_market, shown, row_grads, most)
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

"""What a policy reads off the market: each row's window as one vector, encoded once for all accounts that stand on the row.

Three encoders of one form: scaled market rows [K, G, L + window - 1, features] to [K, G, L, wide], before the first tanh,
where `wide` holds the actor's half and then the critic's. Every parameter leads with [K], one entry a policy.

    mlp                free weights for every bar of the window and every feature
    linear_recurrent   each unit forgets exponentially at its own learned rate: a diagonal linear scan over the window
    causal_conv        dilated causal convolutions, one trunk for actor and critic

The first two are one correlation in time, so both use the same fast product. The account's part is added later, see policy.

Sources: van den Oord et al. (2016), arXiv:1609.03499 (dilated causal convolution); Orvieto et al. (2023), arXiv:2303.06349
(linear recurrent units).
"""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from scipy.fft import next_fast_len

from sizewise.base.errors import CheckpointError, ConfigError
from sizewise.base.tensors import log
from sizewise.dataset.features import CONFIDENCE, UNFITTED, Scaler, chosen_inputs
from sizewise.dataset.market_tensor import Market
from sizewise.params.learning.train import CausalConv, Encoder, LinearRecurrent, Mlp

Parameters = dict[str, torch.Tensor]
# Above so many accounts a row the encoder is a small part of the work and the plain product wins (see metrics/bench.json).
FFT_MAX_REPLICAS = 16
# Rows multiplied at once by the plain product: bounds the memory of the unfolded windows (22 kB a row).
DIRECT_ROWS = 4096
# Encoder parameters whose last axis is `wide`.
WIDE = ("w1", "b1", "w_in", "w_skip", "decay", "account_w")


def orthogonal(rows: int, columns: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    """A float32 matrix with orthogonal rows or columns, whichever are fewer, times `gain`."""
    flat = torch.randn((max(rows, columns), min(rows, columns)), generator=generator, dtype=torch.float64)
    basis, upper = torch.linalg.qr(flat)
    basis = basis * upper.diagonal().sign()
    return (gain * (basis if rows >= columns else basis.T)).float()


def dilations(encoder: CausalConv, window_bars: int) -> tuple[int, ...]:
    """Of the convolutions: powers of the kernel size, as many as the window holds.

    Raises:
        ConfigError: the window does not hold one kernel.
    """
    if encoder.kernel_bars > window_bars:
        raise ConfigError(
            f"train.encoder.kernel_bars is {encoder.kernel_bars}, a window has {window_bars} bars: lower it, or raise "
            "observation.window_bars"
        )
    found: list[int] = []
    reach, step = 1, 1
    while reach + (encoder.kernel_bars - 1) * step <= window_bars:
        found.append(step)
        reach += (encoder.kernel_bars - 1) * step
        step *= encoder.kernel_bars
    return tuple(found)


def initial_layers(
    encoder: Encoder, window_bars: int, n_features: int, n_scalars: int, first: int, generator: torch.Generator
) -> Parameters:
    """The encoder's weights of one policy, without [K]; orthogonal with gain sqrt 2, zero biases."""
    root = 2.0**0.5
    halves = 2 * first
    if isinstance(encoder, Mlp):
        inputs = window_bars * (n_features + n_scalars)
        blocks = [orthogonal(inputs, first, root, generator) for _ in range(2)]
        return {"w1": torch.cat(blocks, dim=1).view(window_bars, -1, halves), "b1": torch.zeros(halves)}
    account = orthogonal(n_scalars, halves, root, generator)
    if isinstance(encoder, LinearRecurrent):
        # Time scales from one bar to the window, evenly in logarithm, for actor and critic alike.
        scales = torch.logspace(0.0, math.log10(window_bars), first, dtype=torch.float64).repeat(2)
        keep = torch.exp(-1.0 / scales)
        return {
            "decay": log(keep / (1.0 - keep)).float(),
            "w_in": orthogonal(n_features, halves, root, generator),
            "w_skip": orthogonal(n_features, halves, root, generator),
            "account_w": account,
            "b1": torch.zeros(halves),
        }
    layers: Parameters = {}
    width = n_features
    for i, _ in enumerate(dilations(encoder, window_bars)):
        fan = encoder.kernel_bars * width
        layers[f"conv{i}_w"] = orthogonal(fan, encoder.channels, root, generator)
        layers[f"conv{i}_b"] = torch.zeros(encoder.channels)
        width = encoder.channels
    return layers | {"w1": orthogonal(width, halves, root, generator), "account_w": account, "b1": torch.zeros(halves)}


class _FftCorrelation(torch.autograd.Function):
    """out[t] = sum_w segment[t + w] @ weight[w], by one circular correlation a segment. No gradient to the segment.

    Frequency leads, so that each frequency is one small matrix product. Operands are made contiguous and conjugated
    beforehand: a lazy view would be copied frequency by frequency inside the product.
    """

    @staticmethod
    def forward(ctx: Any, segments: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        length, window = segments.shape[2], weight.shape[1]
        size = next_fast_len(length, real=True)
        spectrum = torch.fft.rfft(segments, n=size, dim=2).transpose(1, 2).flatten(0, 1).contiguous()
        kernel = torch.fft.rfft(weight, n=size, dim=1).conj().resolve_conj().flatten(0, 1)
        product = torch.bmm(spectrum, kernel).unflatten(0, (segments.shape[0], -1))
        ctx.save_for_backward(spectrum)
        ctx.sizes = (size, window)
        return torch.fft.irfft(product, n=size, dim=1)[:, : length - window + 1].transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, torch.Tensor]:
        (spectrum,) = ctx.saved_tensors
        size, window = ctx.sizes
        grad = torch.fft.rfft(grads[0].transpose(1, 2), n=size, dim=1).conj().resolve_conj()
        product = torch.bmm(spectrum.transpose(1, 2), grad.flatten(0, 1)).unflatten(0, (grad.shape[0], -1))
        return None, torch.fft.irfft(product, n=size, dim=1)[:, :window]


def _direct_correlation(segments: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    policies, groups, length, features = segments.shape
    window, wide = weight.shape[1], weight.shape[3]
    rows = length - window + 1
    segments = segments.contiguous()
    strides = segments.stride()
    windows = segments.as_strided((policies, groups, rows, window * features), (*strides[:2], features, 1))
    flat_weight = weight.reshape(policies, window * features, wide)
    step = max(1, DIRECT_ROWS // rows)
    parts = [
        torch.bmm(windows[:, g : g + step].reshape(policies, -1, window * features), flat_weight)
        for g in range(0, groups, step)
    ]
    return torch.cat(parts, dim=1).view(policies, groups, rows, wide)


def _scan_kernel(parameters: Parameters, window_bars: int) -> torch.Tensor:
    """The linear scan as weights of a window, [K, window, features, wide]: h_t = keep h_{t-1} + (1 - keep) x_t w_in."""
    keep = torch.sigmoid(parameters["decay"])
    age = torch.arange(window_bars - 1, -1, -1, device=keep.device, dtype=keep.dtype).view(1, -1, 1)
    memory = (1.0 - keep).unsqueeze(1) * keep.unsqueeze(1) ** age
    kernel = memory.unsqueeze(2) * parameters["w_in"].unsqueeze(1)
    return torch.cat([kernel[:, :-1], kernel[:, -1:] + parameters["w_skip"].unsqueeze(1)], dim=1)


def _convolve(encoder: CausalConv, parameters: Parameters, segments: torch.Tensor, window_bars: int) -> torch.Tensor:
    if segments.shape[2] == window_bars:
        return _convolve_once(encoder, parameters, segments)
    policies, groups, length, _ = segments.shape
    layer = segments
    for i, step in enumerate(dilations(encoder, window_bars)):
        rows = layer.shape[2] - (encoder.kernel_bars - 1) * step
        taps = [layer[:, :, j * step : j * step + rows] for j in range(encoder.kernel_bars)]
        flat = torch.cat(taps, dim=-1).reshape(policies, groups * rows, -1)
        mixed = torch.baddbmm(parameters[f"conv{i}_b"].unsqueeze(1), flat, parameters[f"conv{i}_w"])
        layer = torch.tanh(mixed).view(policies, groups, rows, -1)
    wanted = length - window_bars + 1
    last = layer[:, :, -wanted:].reshape(policies, groups * wanted, -1)
    return torch.bmm(last, parameters["w1"]).view(policies, groups, wanted, -1)


def _convolve_once(encoder: CausalConv, parameters: Parameters, windows: torch.Tensor) -> torch.Tensor:
    """Of one window each: nothing but what reaches its last row, which every layer takes in parts that do not overlap."""
    policies, groups, window_bars, _ = windows.shape
    steps = dilations(encoder, window_bars)
    layer = windows[:, :, -(encoder.kernel_bars ** len(steps)) :]
    for i, _ in enumerate(steps):
        rows = layer.shape[2] // encoder.kernel_bars
        flat = layer.reshape(policies, groups * rows, -1)
        mixed = torch.baddbmm(parameters[f"conv{i}_b"].unsqueeze(1), flat, parameters[f"conv{i}_w"])
        layer = torch.tanh(mixed).view(policies, groups, rows, -1)
    return torch.bmm(layer.flatten(2), parameters["w1"]).unsqueeze(2)


def encode_rows(
    encoder: Encoder, parameters: Parameters, segments: torch.Tensor, window_bars: int, *, use_fft: bool
) -> torch.Tensor:
    """The market's part of the first layer, bias included, for every row that has a whole window.

    Args:
        segments: scaled market rows [K, G, L + window - 1, features], oldest first; 0 features where there is no market.
        use_fft: by circular correlation (fewer operations), or by the plain product. Same function.
    Returns:
        [K, G, L, wide].
    """
    policies, groups, length, features = segments.shape
    bias = parameters["b1"][:, None, None]
    if features == 0:
        return bias.expand(policies, groups, length - window_bars + 1, -1)
    if isinstance(encoder, CausalConv):
        return _convolve(encoder, parameters, segments, window_bars) + bias
    if isinstance(encoder, LinearRecurrent):
        weight = _scan_kernel(parameters, window_bars)
    else:
        weight = parameters["w1"][:, :, :features]
    correlate = _FftCorrelation.apply if use_fft else _direct_correlation
    return correlate(segments, weight) + bias


def account_weight(encoder: Encoder, parameters: Parameters, n_scalars: int) -> torch.Tensor:
    """What the account scalars are multiplied with, [K, scalars, wide]."""
    if isinstance(encoder, Mlp):
        # An account scalar is the same at every bar of the window, so its weights act through their sum.
        return parameters["w1"][:, :, -n_scalars:].sum(1)
    return parameters["account_w"]


def actor_half(parameters: Parameters) -> Parameters:
    """The encoder without the critic's half: what acting needs."""
    half = parameters["b1"].shape[-1] // 2
    return {
        name: value[..., :half] if name in WIDE else value
        for name, value in parameters.items()
        if name in WIDE or name.startswith("conv")
    }


# Scaled features are clipped here: beyond it a bar is an outlier whatever its size.
CLIP = 5.0


def scaler_of(scalers: Mapping[str, Scaler], symbol: str) -> Scaler:
    """A policy's scaler of a symbol.

    Raises:
        CheckpointError: the policy was not trained on that symbol.
    """
    if symbol not in scalers:
        raise CheckpointError(
            f"policy was not trained on symbol '{symbol}' (it knows {', '.join(sorted(scalers))}): name one of these, or "
            "train on it"
        )
    return scalers[symbol]


def scaled(raw: torch.Tensor, scaler: Scaler) -> torch.Tensor:
    """Features [..., F] as a policy was trained to see them; float32."""
    return ((raw - torch.tensor(scaler.mean)) * (1.0 / torch.tensor(scaler.std))).clamp_(-CLIP, CLIP)


class MarketView:
    """What K policies see of one market: features with their fold's confidence, scaled per symbol."""

    def __init__(
        self,
        market: Market,
        confidence: Sequence[torch.Tensor],
        scalers: Sequence[Mapping[str, Scaler]],
        window_bars: int,
        inputs: Sequence[str] | None = None,
    ):
        """Args: `confidence` (R,), or (R, I) of several instruments, and `scalers` by symbol, one of each a policy; symbols
        without a scaler are unseen. `inputs`: features that are read of each instrument; None: all."""
        device = market.features.device
        self.window_bars = window_bars
        self._confidence = torch.stack([_beside(market.features, one) for one in confidence]).to(device)
        width, n_instruments = market.features.shape[1], self._confidence.shape[-1]
        n_features = width + n_instruments
        self._features, self._reads_confidence, columns = market.features, True, list(range(n_features))
        if inputs is not None:
            chosen, known = chosen_inputs(inputs, market.own), (*UNFITTED, *market.own)
            places = [known.index(name) for name in chosen if name in known]
            columns = [i * len(known) + place for i in range(n_instruments) for place in places]
            self._features, self._reads_confidence = market.features[:, columns], CONFIDENCE in chosen
            columns += [width + i for i in range(n_instruments)] if self._reads_confidence else []
        mean = torch.zeros((len(scalers), len(market.symbols), n_features))
        scale = torch.ones_like(mean)
        for k, by_symbol in enumerate(scalers):
            for symbol, scaler in by_symbol.items():
                s = market.symbols.index(symbol)
                mean[k, s], scale[k, s] = torch.tensor(scaler.mean), torch.tensor(scaler.std)
        self._mean, self._inverse = mean[..., columns].to(device), (1.0 / scale)[..., columns].to(device)
        # Of the policies given, which one each of those seen here is.
        self._which = torch.arange(len(scalers), device=device)

    def taken(self, policies: Sequence[int]) -> "MarketView":
        """What some policies see, in that order; one may come several times."""
        mine = copy(self)
        mine._which = self._which[list(policies)]
        return mine

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        """Scaled rows row - window + 1 ... row + length - 1 of each path.

        Args:
            rows, symbols: int64 [K, G] on the CPU.
        Returns:
            float32 [K, G, length + window - 1, features], oldest first.
        """
        device = self._features.device
        policy = torch.arange(rows.shape[0], device=device).view(-1, 1)
        rows, symbols = (part.to(device, non_blocking=True) for part in (rows, symbols))
        return self._gather(policy.expand_as(rows), rows, symbols, length)

    def windows(self, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        """The window of each of some rows that need not follow each other.

        Args:
            rows: int64 [K, G, L], symbols: [K, G], on the CPU.
        Returns:
            float32 [K, G, L, window, features], oldest first.
        """
        device = self._features.device
        policy = torch.arange(rows.shape[0], device=device).view(-1, 1, 1).expand_as(rows).flatten(1)
        rows, symbols = (part.to(device, non_blocking=True) for part in (rows, symbols))
        found = self._gather(policy, rows.flatten(1), symbols.unsqueeze(-1).expand_as(rows).flatten(1), 1)
        return found.view(*rows.shape, *found.shape[2:])

    def one_policy(self, policy: int, row: int, symbol: int, length: int) -> torch.Tensor:
        """One stretch as one policy sees it: [1, 1, length + window - 1, features]."""
        device = self._features.device
        policies, rows, symbols = (torch.full((1, 1), value, device=device) for value in (policy, row, symbol))
        return self._gather(policies, rows, symbols, length)

    def at_rows(self, policy: int, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        """The window of each of some rows of symbols (both int64 [L]) as one policy sees it: [1, L, window, features]."""
        rows, symbols = (part.to(self._features.device).unsqueeze(0) for part in (rows, symbols))
        return self._gather(torch.full_like(rows, policy), rows, symbols, 1)

    def each(self, policy: torch.Tensor, rows: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        """The window of each of N rows as a policy of its own sees it; all int64 [N]: float32 [N, window, features]."""
        return self._gather(policy.unsqueeze(1), rows.unsqueeze(1), symbols.unsqueeze(1), 1)[:, 0]

    def _gather(self, policy: torch.Tensor, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        policy = self._which[policy]
        index = rows.unsqueeze(-1) + torch.arange(1 - self.window_bars, length, device=rows.device)
        raw = self._features[index]
        if self._reads_confidence:
            raw = torch.cat([raw, self._confidence[policy.unsqueeze(-1), index]], dim=-1)
        scaled = (raw - self._mean[policy, symbols].unsqueeze(2)) * self._inverse[policy, symbols].unsqueeze(2)
        return scaled.clamp_(-CLIP, CLIP)


def _beside(features: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Columns of confidence (R,) or (R, I) as further features, (R, I)."""
    return confidence.view(len(features), -1)


def fit_scaler(market: Market, confidence: torch.Tensor, spans: Sequence[tuple[int, int]]) -> Scaler:
    """The scaler of one symbol from global rows [start, stop) of its train slices, confidence included."""
    seen = _beside(market.features, confidence)
    blocks = [torch.cat([market.features[a:b], seen[a:b]], dim=1) for a, b in spans]
    return Scaler.fit(torch.cat(blocks).double().cpu().numpy())


def fit_scalers(market: Market, confidence: torch.Tensor, rows: Mapping[str, tuple[int, int]]) -> dict[str, Scaler]:
    """One scaler a symbol, from the global rows [start, stop) of its train slice."""
    return {symbol: fit_scaler(market, confidence, [span]) for symbol, span in rows.items()}

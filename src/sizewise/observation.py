"""Scaled market segments for a population: gathered by row number, each policy with its own fold's scaler."""

from collections.abc import Mapping, Sequence

import torch

from sizewise.features import Scaler
from sizewise.market import Market

# Scaled features are clipped here: beyond it a bar is an outlier whatever its size.
CLIP = 5.0


class MarketView:
    """What K policies see of one market: features with their fold's confidence, scaled per symbol."""

    def __init__(
        self,
        market: Market,
        confidence: Sequence[torch.Tensor],
        scalers: Sequence[Mapping[str, Scaler]],
        window_bars: int,
    ):
        """Args: `confidence` (R,) and `scalers` by symbol, one of each a policy; symbols without a scaler are unseen."""
        device = market.features.device
        self.window_bars = window_bars
        self._features = market.features
        self._confidence = torch.stack(list(confidence)).to(device)
        n_features = market.features.shape[1] + 1
        mean = torch.zeros((len(scalers), len(market.symbols), n_features))
        scale = torch.ones_like(mean)
        for k, by_symbol in enumerate(scalers):
            for symbol, scaler in by_symbol.items():
                s = market.symbols.index(symbol)
                mean[k, s], scale[k, s] = torch.tensor(scaler.mean), torch.tensor(scaler.std)
        self._mean, self._inverse = mean.to(device), (1.0 / scale).to(device)

    def segments(self, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        """Scaled rows row - window + 1 ... row + length - 1 of each path.

        Args:
            rows, symbols: int64 [K, G] on the CPU.
        Returns:
            float32 [K, G, length + window - 1, features], oldest first.
        """
        device = self._features.device
        policy = torch.arange(rows.shape[0], device=device).view(-1, 1)
        return self._gather(policy.expand_as(rows), rows.to(device), symbols.to(device), length)

    def one_policy(self, policy: int, row: int, symbol: int, length: int) -> torch.Tensor:
        """One stretch as one policy sees it: [1, 1, length + window - 1, features]."""
        device = self._features.device
        policies, rows, symbols = (torch.full((1, 1), value, device=device) for value in (policy, row, symbol))
        return self._gather(policies, rows, symbols, length)

    def _gather(self, policy: torch.Tensor, rows: torch.Tensor, symbols: torch.Tensor, length: int) -> torch.Tensor:
        index = rows.unsqueeze(-1) + torch.arange(1 - self.window_bars, length, device=rows.device)
        confidence = self._confidence[policy.unsqueeze(-1), index].unsqueeze(-1)
        raw = torch.cat([self._features[index], confidence], dim=-1)
        scaled = (raw - self._mean[policy, symbols].unsqueeze(2)) * self._inverse[policy, symbols].unsqueeze(2)
        return scaled.clamp_(-CLIP, CLIP)


def fit_scaler(market: Market, confidence: torch.Tensor, spans: Sequence[tuple[int, int]]) -> Scaler:
    """The scaler of one symbol from global rows [start, stop) of its train slices, confidence included."""
    blocks = [torch.cat([market.features[a:b], confidence[a:b].unsqueeze(-1)], dim=1) for a, b in spans]
    return Scaler.fit(torch.cat(blocks).double().cpu().numpy())


def fit_scalers(market: Market, confidence: torch.Tensor, rows: Mapping[str, tuple[int, int]]) -> dict[str, Scaler]:
    """One scaler a symbol, from the global rows [start, stop) of its train slice."""
    return {symbol: fit_scaler(market, confidence, [span]) for symbol, span in rows.items()}

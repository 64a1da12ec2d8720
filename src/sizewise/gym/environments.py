"""The simulator as Gymnasium environments: `SizewiseEnv` for one account, `SizewiseVectorEnv` for n in one batch.

    env = sizewise.open_env()                                          # what params.yaml says, inside a checkout
    env = gymnasium.make("sizewise.gym.environments:sizewise/Sizewise-v0")      # the same, by its id
    envs = gymnasium.make_vec("sizewise.gym.environments:sizewise/Sizewise-v0", num_envs=64)

The id is known to Gymnasium once this module is imported, which the part before the colon does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import torch
from gymnasium.spaces import Box
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sizewise.base.errors import ActionError, ConfigError
from sizewise.base.paths import project_root
from sizewise.dataset import signals, store
from sizewise.gym.accounts import FILL_VALUES, Frames, GymAccounts, as_objects
from sizewise.gym.features import LIMIT
from sizewise.gym.spaces import as_space
from sizewise.market.instruments import Instrument
from sizewise.params.reading import parse_section, read_params
from sizewise.params.trading.account import Account
from sizewise.params.trading.trading import Trading
from sizewise.trading.schemes.interface import ActionScheme

ENV_ID = "sizewise/Sizewise-v0"


class SizewiseEnv(gymnasium.Env):  # type: ignore[misc]
    """One account that trades under an action scheme, money in float64.

    Observation: Box float32 of shape (window_bars * F + S,), all entries within +-10,000. First the window, oldest bar
        first, F features a bar (`feature_names`; see features.bar_features for the default ones), then the account's
        S scalars at the close (`scalar_names`; see desk.Desk.observe).
    Action: the scheme's space, Discrete or SimplexSpace. It is decided at the close of a bar and trades through the next.
    Reward: `trading.reward`; by default the growth of log equity, net of all costs. Its penalties are in full force until
        `suppress` says otherwise.
    Episode end: terminated when equity is at or below `account.ruin_frac` of the initial; truncated after `episode_bars`
        decisions, or at the last bar that all symbols reach. Each is said for itself: a last step may be both.
    Reset: a random row at which everything is warm and a whole episode is left (if there is one), drawn from `np_random`;
        `options={"start_row": k}` begins at row k of the tape (the union of the bars' times) instead, without drawing.
    Info, after reset and step: `equity` and `position` (signed value of each symbol, float64 (I,)), quote currency;
        `time` (UTC, start of the bar, datetime64); of the step, `flows` (what equity changed by: price_pnl, fees,
        slippage, impact, funding, borrow, liquidation), `fills` (dicts of symbol, kind, units (signed), price (as
        printed), fee, slippage, impact (signed contributions)), in the order they happened, and `flags` (what the venue
        did: bool (I,) by name, see orders.Flag).
    Rendering: "rgb_array", the episode so far: price with fills, position, equity; uint8 (700, 900, 3).

    Args:
        bars: validated bars by symbol, or one symbol's bars. trading: default sizing7 at each instrument's own costs.
        account: default the $1,000 account of reference design A.
        instruments: terms by symbol; default data/instruments.yaml of the checkout. `trading.costs` applies to them.
        features: float32 [T, F], row t known at close t of the tape; default bar_features.
        window_bars: bars of features in an observation. episode_bars: decisions of an episode.
        direction: the signal a scheme may follow, -1, 0 or 1 for each row of the tape; default 0.
        scheme: one of your own, in place of the one `trading` names. random_start: else begin at the first warm row.
    Raises:
        BarError, InstrumentError, DataMissingError: bars or terms are unusable.
        ConfigError: parts do not go together, the bars are too few, or a feature is NaN; names the place.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        bars: Frames,
        trading: Trading | None = None,
        account: Account | None = None,
        *,
        instruments: Mapping[str, Instrument] | None = None,
        features: np.ndarray | None = None,
        window_bars: int = 1,
        episode_bars: int = 256,
        direction: Sequence[int] | np.ndarray | None = None,
        scheme: ActionScheme | None = None,
        random_start: bool = True,
        render_mode: str | None = None,
    ):
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ConfigError(f"render_mode is {render_mode!r}: give rgb_array, or none")
        self.accounts = GymAccounts(
            1,
            bars,
            trading,
            account,
            instruments=instruments,
            features=features,
            window_bars=window_bars,
            episode_bars=episode_bars,
            direction=direction,
            scheme=scheme,
            random_start=random_start,
        )
        self.render_mode = render_mode
        self.observation_space, self.action_space = _spaces(self.accounts)
        self.symbols = self.accounts.symbols
        self.feature_names, self.scalar_names = self.accounts.feature_names, self.accounts.scalar_names
        self._under_way = False
        # What is drawn: the row and the report of every close of the episode.
        self._path: list[tuple[int, dict[str, Any]]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Raises: ConfigError: an unknown option, or a start_row outside."""
        super().reset(seed=seed)
        given = _start_option(options)
        accounts = self.accounts
        start = accounts.draw_start(self.np_random) if given is None else accounts.check_start(given)
        accounts.restart(np.array([True]), np.array([start]))
        self._under_way, self._path = True, []
        return self._seen(stepped=False)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Raises: ActionError: the action lies outside the space, or no episode is under way."""
        if not self._under_way:
            raise ActionError("no episode is under way: call reset() before step()")
        reward, terminated, truncated = (values.item() for values in self.accounts.step(np.asarray(action)[None]))
        self._under_way = not (terminated or truncated)
        observation, info = self._seen(stepped=True)
        return observation, reward, terminated, truncated, info

    def suppress(self, iteration: int) -> None:
        """Put the reward's penalties into force as far as `trading.reward.penalties.suppression` has them at an iteration
        of training, the first being 0. An environment cannot see iterations: a learner's callback says them, before each.

        Through wrappers: `env.unwrapped.suppress(i)`.

        Raises:
            ConfigError: no whole number of 0 or more.
        """
        self.accounts.suppress(iteration)

    def _seen(self, *, stepped: bool) -> tuple[np.ndarray, dict[str, Any]]:
        info: dict[str, Any] = _one(self.accounts.report(stepped=stepped))
        if self.render_mode is not None:
            self._path.append((int(self.accounts.rows[0]), info))
        return self.accounts.observe()[0], info

    def path(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The episode so far as tidy data, kept where there is a render_mode: see account.draw_path.

        Returns:
            (one row a bar and symbol, one row a fill).
        Raises:
            ConfigError: no render_mode, or no episode yet.
        """
        if not self._path:
            raise ConfigError(
                "there is nothing to draw: open the environment with render_mode='rgb_array' and reset it"
            )
        accounts = self.accounts
        rows = [row for row, _ in self._path]
        times = accounts.tape.times[rows]
        parts = []
        for i, symbol in enumerate(self.symbols):
            prices = {name: accounts.tape.column(name)[rows, i].numpy() for name in ("open", "high", "low", "close")}
            position = [info["position"][i] for _, info in self._path]
            equity = [info["equity"] for _, info in self._path]
            parts.append(
                pd.DataFrame({"time": times, "symbol": symbol, **prices, "position": position, "equity": equity})
            )
        fills = [
            {"time": time} | fill for time, (_, info) in zip(times, self._path, strict=True) for fill in info["fills"]
        ]
        return pd.concat(parts, ignore_index=True), pd.DataFrame(
            fills, columns=["time", "symbol", "kind", *FILL_VALUES]
        )

    def render(self) -> np.ndarray | None:
        """The episode so far, uint8 (700, 900, 3); None without a render_mode."""
        if self.render_mode is None:
            return None
        from sizewise.reports.account import draw_path, pixels

        quotes = {self.accounts.instruments[symbol].quote_currency for symbol in self.symbols}
        return pixels(draw_path(*self.path(), quote=" and ".join(sorted(quotes))))


class SizewiseVectorEnv(VectorEnv):  # type: ignore[misc]
    """`num_envs` accounts, each with its own start and clock, stepped in one batch; otherwise as SizewiseEnv.

    Environment i is exactly SizewiseEnv: given its seed, its episodes do not depend on how many others there are.

    Autoreset: SAME_STEP. A step that ends an episode returns the first observation of the next; the one that ended it is in
        `infos["final_obs"]` (object array, None elsewhere) and `infos["final_info"]`, with masks `_final_obs` and
        `_final_info`. Most episodes here end by truncation, where a learner needs the value of the last observation: it
        has it at hand, every row of a rollout is a decision (NEXT_STEP would mix in one step an episode whose action is
        ignored and whose reward is 0, which learners have to mask), and it is what Stable-Baselines3 expects.
    Seeds: `reset(seed=s)` seeds environment i with s + i; a list gives one each, None keeps a stream as it is.
    Options: `{"start_row": k}`, one row for all or a sequence of one each; episodes that follow by autoreset draw again.
    Infos: arrays of n under SizewiseEnv's names, each with a mask `_name`.

    Args:
        num_envs: n. dtype: of money. record: report `fills` and `flags`, which takes time.
        others: as of SizewiseEnv.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int,
        bars: Frames,
        trading: Trading | None = None,
        account: Account | None = None,
        *,
        dtype: torch.dtype = torch.float64,
        record: bool = False,
        render_mode: str | None = None,
        **others: Any,
    ):
        if render_mode is not None:
            raise ConfigError(f"render_mode is {render_mode!r}: render a SizewiseEnv; a batch has no picture")
        self.accounts = GymAccounts(num_envs, bars, trading, account, dtype=dtype, record=record, **others)
        self.num_envs, self.render_mode = num_envs, None
        self.single_observation_space, self.single_action_space = _spaces(self.accounts)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.symbols = self.accounts.symbols
        self.feature_names, self.scalar_names = self.accounts.feature_names, self.accounts.scalar_names
        self._streams: list[tuple[np.random.Generator, int] | None] = [None] * num_envs
        self._under_way = False

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """The environments' own generators."""
        return tuple(self._stream(i)[0] for i in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:
        """The seeds they were made from."""
        return tuple(self._stream(i)[1] for i in range(self.num_envs))

    def _stream(self, i: int) -> tuple[np.random.Generator, int]:
        stream = self._streams[i]
        if stream is None:
            stream = self._streams[i] = seeding.np_random()
        return stream

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Raises: ConfigError: another number of seeds or rows than environments, an unknown option, a row outside."""
        n, given = self.num_envs, _start_option(options)
        seeds = [seed + i for i in range(n)] if isinstance(seed, int | np.integer) else _each(seed, n, "seeds")
        for i, own in enumerate(seeds):
            if own is not None:
                self._streams[i] = seeding.np_random(int(own))
        rows = [given] * n if np.ndim(given) == 0 else _each(given, n, "start rows")
        starts = [self._draw(i) if row is None else self.accounts.check_start(row) for i, row in enumerate(rows)]
        everyone = np.ones(n, dtype=bool)
        self.accounts.restart(everyone, np.array(starts))
        self._under_way = True
        return self.accounts.observe(), _masked(self.accounts.report(stepped=False), everyone)

    def suppress(self, iteration: int) -> None:
        """See SizewiseEnv.suppress; of all environments at once."""
        self.accounts.suppress(iteration)

    def _draw(self, i: int) -> int:
        return self.accounts.draw_start(self._stream(i)[0])

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Raises: ActionError: an action lies outside the space (names its environment), or reset() was not called."""
        if not self._under_way:
            raise ActionError("no episode is under way: call reset() before step()")
        accounts, everyone = self.accounts, np.ones(self.num_envs, dtype=bool)
        reward, terminated, truncated = accounts.step(actions)
        over = terminated | truncated
        report = accounts.report(stepped=True)
        if not over.any():
            return accounts.observe(), reward, terminated, truncated, _masked(report, everyone)
        last = accounts.observe()
        ended = {
            "final_obs": as_objects([last[i] if over[i] else None for i in range(self.num_envs)]),
            "final_info": _masked(report, over),
        }
        starts = accounts.rows.copy()
        for i in np.flatnonzero(over).tolist():
            starts[i] = self._draw(i)
        accounts.restart(over, starts)
        begun = accounts.report(stepped=False)
        infos = (
            _masked(_merge(over, begun, report), everyone) | ended | {"_final_obs": over, "_final_info": over.copy()}
        )
        return accounts.observe(), reward, terminated, truncated, infos


def open_env(root: Path | None = None, **overrides: Any) -> SizewiseEnv:
    """The environment that params.yaml describes: its `trading`, `account` and `data` sections and the bundled bars.

    Schemes of one instrument follow the breakout rule of the `signals` section where they follow a signal.

    Args:
        root: the checkout; default: the one that holds the working directory.
        overrides: arguments of SizewiseEnv; with `bars`, nothing is read and they alone count. `trading` may be a mapping
            of what to change in the section, for instance {"scheme": {"kind": "bsh"}}.
    Raises:
        ConfigError, DataMissingError, BarError, InstrumentError: as SizewiseEnv, and for params.yaml itself.
    """
    return SizewiseEnv(**_arguments(root, overrides))


def open_vector_env(num_envs: int, root: Path | None = None, **overrides: Any) -> SizewiseVectorEnv:
    """The same for `num_envs` accounts; `overrides` are arguments of SizewiseVectorEnv."""
    return SizewiseVectorEnv(num_envs, **_arguments(root, overrides))


def _arguments(root: Path | None, overrides: dict[str, Any]) -> dict[str, Any]:
    if "bars" in overrides:
        return overrides
    root = project_root() if root is None else Path(root)
    values = read_params(root)
    trading = overrides.get("trading", {})
    if not isinstance(trading, Trading):
        trading = parse_section("trading", values["trading"] | dict(trading or {}))
    data = parse_section("data", values["data"] | {"symbols": list(trading.symbols)})
    universe = store.read_universe(root / "data" / "bars", data)
    found: dict[str, Any] = {
        "bars": universe.bars,
        "account": parse_section("account", values["account"]),
        "instruments": universe.instruments,
    }
    if len(universe.bars) == 1:
        rule = parse_section("signals", values["signals"])
        (frame,) = universe.bars.values()
        found["direction"] = signals.trend_direction(frame, rule)["direction"].to_numpy()
    return found | overrides | {"trading": trading}


def _spaces(accounts: GymAccounts) -> tuple[Any, Any]:
    return Box(-LIMIT, LIMIT, (accounts.observation_size,), np.float32), as_space(accounts.space)


def _start_option(options: Mapping[str, Any] | None) -> Any:
    """The option start_row, or None."""
    given = dict(options or {})
    row = given.pop("start_row", None)
    if given:
        raise ConfigError(f"reset: unknown option '{next(iter(given))}': there is start_row")
    return row


def _each(given: Sequence[Any] | None, n: int, what: str) -> list[Any]:
    """One value an environment, or None for all."""
    if given is not None and len(given) != n:
        raise ConfigError(f"reset: {len(given)} {what} for {n} environments: give one, or one each")
    return [None] * n if given is None else list(given)


def _one(values: Any) -> Any:
    """The first account's values of a report."""
    if isinstance(values, dict):
        return {name: _one(value) for name, value in values.items()}
    if values.ndim > 1:
        return values[0].copy()
    return values[0].item() if values.dtype == np.float64 else values[0]


def _merge(where: np.ndarray, new: Any, old: Any) -> Any:
    """A report: `new` for the accounts where it says, `old` for the others."""
    if isinstance(old, dict):
        return {name: _merge(where, new[name], value) for name, value in old.items()}
    return np.where(where.reshape(-1, *[1] * (old.ndim - 1)), new, old)


def _masked(report: dict[str, Any], where: np.ndarray) -> dict[str, Any]:
    """A report as Gymnasium has infos: beside each name, its mask; what is not of these accounts is 0 or None."""
    masked: dict[str, Any] = {}
    for name, values in report.items():
        if isinstance(values, dict):
            masked[name] = _masked(values, where)
        else:
            blank = as_objects([None] * len(values)) if values.dtype == object else np.zeros_like(values)
            masked[name] = np.where(where.reshape(-1, *[1] * (values.ndim - 1)), values, blank)
        masked[f"_{name}"] = where.copy()
    return masked


if ENV_ID not in gymnasium.registry:
    gymnasium.register(
        ENV_ID,
        entry_point="sizewise.gym.environments:open_env",
        vector_entry_point="sizewise.gym.environments:open_vector_env",
    )

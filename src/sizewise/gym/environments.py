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
from sizewise.dataset.days import Days
from sizewise.gym.accounts import FILL_VALUES, Disallowed, Frames, GymAccounts, Observation, as_objects
from sizewise.gym.episodes import Start
from sizewise.gym.features import LIMIT, Features, reference_features
from sizewise.gym.spaces import Weighting
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
        S scalars at the close (`scalar_names`; see desk.Desk.observe), and, where the scheme acts on the signal, its
        `direction` and, if one is given, `confidence`. "reference" is that of reference design A, window_bars * (F + S)
        entries: 100 bars, each with the 56 features (features.reference_features, unscaled) and then the account's
        scalars of now; 5,900 with the three that every account has. Direction and confidence are among its features.
    Action: the scheme's space, Discrete, SimplexSpace or Box, decided at the close of a bar; it trades through the next.
        Discrete actions count from 0 whatever the scheme's first number is: of legacy3 in its signed encoding 0 sells, 1
        holds and 2 buys. See spaces.face for `weights`.
    Masks: a discrete scheme may not allow everything at every close. `action_masks()` says what, as MaskablePPO asks it;
        `info["action_mask"]` too, as `action_space.sample(mask)` takes it. By default an action that is not allowed
        becomes the scheme's idle one, and `info["disallowed"]` says so: most learners know no masks, and would end
        their training with the first such action if it were refused.
    Reward: `trading.reward`; by default the growth of log equity, net of all costs. Its penalties are in full force until
        `suppress` says otherwise.
    Episode end: terminated when equity is at or below `account.ruin_frac` of the initial; truncated when the budget of
        decisions is spent, or at the last bar that all symbols reach. Each is said for itself: a last step may be both.
    Reset: a random row at which everything is warm and a whole episode is left (if there is one), drawn from `np_random`;
        `options={"start_row": k}` begins at row k of the tape (the union of the bars' times) instead, without drawing it.
        A position that an episode begins with was bought at the bar before, through the broker and at its costs.
    Info, after reset and step: `equity` and `position` (signed value of each symbol, float64 (I,)), quote currency;
        `time` (UTC, start of the bar, datetime64); of the step, `flows` (what equity changed by: price_pnl, fees,
        slippage, impact, funding, borrow, liquidation), `fills` (dicts of symbol, kind, units (signed), price (as
        printed), fee, slippage, impact (signed contributions)), in the order they happened, and `flags` (what the venue
        did: bool (I,) by name, see orders.Flag). Of discrete schemes `action_mask` (int8 (A,), 1 is allowed) and
        `disallowed` (bool, whether the step's action was not).
    Rendering: "rgb_array", the episode so far: price with fills, position, equity; uint8 (700, 900, 3).

    Args:
        bars: validated bars by symbol, or one symbol's bars: of the symbol in its `attrs`, or the one of `trading`.
        trading: default sizing7 at each instrument's own costs.
        account: default the $1,000 account of reference design A.
        instruments: terms by symbol, of all of them; `trading.costs` applies to them. Default: those in
            data/instruments.yaml of the checkout around the working directory, and for a symbol it does not know plain
            terms, without steps, minimum or limits, at the costs of costs.Costs().
        features: float32 [T, F], row t known at close t of the tape, or what a function of gym.features returns; default
            bar_features, or reference_features.
        observation: "compact" or "reference". window_bars: bars of features in it; default 1, or 100 of "reference".
        episode_bars: decisions of an episode, its budget; with episode_sd_bars the mean of budgets drawn from a normal
            distribution and kept within 1 and twice the mean (reference design D, row D7).
        random_position_prob: share of episodes that begin with a position, anything up to the limit: on the signal's side
            (none while there is no signal) where the scheme follows one, else on either that the scheme can hold.
        direction: the signal a scheme may follow, -1, 0 or 1 for each row of the tape; default 0, and the breakout rule's
            with the default features of "reference".
        confidence: of the signal, from 0 to 1 for each row of the tape.
        scheme: one of your own, in place of the one `trading` names; its space may be one of Gymnasium's as well.
        weights: "simplex", or "box" for a Box that learners without a simplex can act in. disallowed: "record", or
            "refuse" for an ActionError. random_start: else begin at the first warm row.
    Raises:
        BarError, InstrumentError: bars or terms are unusable.
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
        features: np.ndarray | Features | None = None,
        observation: Observation = "compact",
        window_bars: int | None = None,
        episode_bars: int = 256,
        episode_sd_bars: float = 0.0,
        random_position_prob: float = 0.0,
        direction: Sequence[int] | np.ndarray | None = None,
        confidence: Sequence[float] | np.ndarray | None = None,
        scheme: ActionScheme | None = None,
        weights: Weighting = "simplex",
        disallowed: Disallowed = "record",
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
            observation=observation,
            window_bars=window_bars,
            episode_bars=episode_bars,
            episode_sd_bars=episode_sd_bars,
            random_position_prob=random_position_prob,
            direction=direction,
            confidence=confidence,
            scheme=scheme,
            weights=weights,
            disallowed=disallowed,
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
        given, episodes = _start_option(options), self.accounts.episodes
        row = None if given is None else episodes.check(given)
        self.accounts.restart({0: episodes.draw(self.np_random, row)})
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

    def action_masks(self) -> np.ndarray:
        """The actions allowed now, bool (A,); the name is sb3-contrib's. Raises: ConfigError: they are not discrete."""
        return self.accounts.allowed()[0].numpy().copy()

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
        checked = [None if row is None else self.accounts.episodes.check(row) for row in rows]
        self.accounts.restart({i: self._draw(i, row) for i, row in enumerate(checked)})
        self._under_way = True
        return self.accounts.observe(), _masked(self.accounts.report(stepped=False), np.ones(n, dtype=bool))

    def suppress(self, iteration: int) -> None:
        """See SizewiseEnv.suppress; of all environments at once."""
        self.accounts.suppress(iteration)

    def _draw(self, i: int, row: int | None = None) -> Start:
        return self.accounts.episodes.draw(self._stream(i)[0], row)

    def action_masks(self) -> np.ndarray:
        """The actions allowed now, bool (n, A). Raises: ConfigError: they are not discrete."""
        return self.accounts.allowed().numpy().copy()

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
        accounts.restart({i: self._draw(i) for i in np.flatnonzero(over).tolist()})
        begun = accounts.report(stepped=False)
        infos = (
            _masked(_merge(over, begun, report), everyone) | ended | {"_final_obs": over, "_final_info": over.copy()}
        )
        return accounts.observe(), reward, terminated, truncated, infos


def open_env(root: Path | None = None, **overrides: Any) -> SizewiseEnv:
    """The environment that params.yaml describes: its `trading`, `account`, `rules` and `data` sections, the bundled
    bars.

    Schemes of one instrument follow the breakout rule of the `signals` section where they follow a signal. The features of
    `observation="reference"` are made with the sections `regimes` and `signals`.

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
        changed = dict(trading or {})
        rules = parse_section("rules", values["rules"] | dict(changed.pop("rules", {})))
        trading = parse_section("trading", values["trading"] | changed).under(rules)
    data = parse_section("data", values["data"] | {"symbols": list(trading.symbols)})
    universe = store.read_universe(root / "data" / "bars", data)
    found: dict[str, Any] = {
        "bars": universe.bars,
        "account": parse_section("account", values["account"]),
        "instruments": universe.instruments,
    }
    if len(universe.bars) == 1:
        rule = parse_section("signals", values["signals"])
        ((symbol, frame),) = universe.bars.items()
        days = Days.of(frame, universe.instruments[symbol])
        found["direction"] = signals.signal_stream(frame, rule, days)["direction"].to_numpy()
        if overrides.get("observation") == "reference" and "features" not in overrides:
            given = {name: overrides.get(name, found.get(name)) for name in ("direction", "confidence")}
            found["features"] = reference_features(
                frame,
                parse_section("regimes", values["regimes"]),
                rule,
                instrument=universe.instruments[symbol],
                **given,
            )
    return found | overrides | {"trading": trading}


def _spaces(accounts: GymAccounts) -> tuple[Any, Any]:
    return Box(-LIMIT, LIMIT, (accounts.observation_size,), np.float32), accounts.face.space


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
    return values[0].item() if values.dtype in (np.float64, np.bool_) else values[0]


def _merge(where: np.ndarray, new: Any, old: Any) -> Any:
    """A report: `new` for the accounts where it says, `old` for the others."""
    if isinstance(old, dict):
        return {name: _merge(where, new[name], value) for name, value in old.items()}
    return np.where(where.reshape(-1, *[1] * (old.ndim - 1)), new, old)


def _masked(report: dict[str, Any], where: np.ndarray) -> dict[str, Any]:
    """A report as Gymnasium has infos: beside each name, its mask; what is not of these accounts is 0 or None."""
    masked: dict[str, Any] = {}
    everyone = bool(where.all())
    for name, values in report.items():
        if isinstance(values, dict):
            masked[name] = _masked(values, where)
        elif everyone:
            masked[name] = values.copy()
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

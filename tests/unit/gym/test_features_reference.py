"""The observation of reference design A: 5,900 numbers, which a policy reads as it reads its own."""

import numpy as np
import pandas as pd
import pytest
import torch

from sizewise.base.errors import ConfigError
from sizewise.base.seeding import torch_generator
from sizewise.dataset.days import Days
from sizewise.dataset.features import CONFIDENCE, NAMES, compute_features, longest_warmup_days
from sizewise.dataset.market_tensor import build_market
from sizewise.dataset.signals import signal_stream
from sizewise.gym import environments
from sizewise.gym.environments import SizewiseEnv, SizewiseVectorEnv
from sizewise.gym.features import LIMIT, reference_features
from sizewise.learning.ppo.encoders import MarketView, fit_scalers
from sizewise.learning.ppo.policy import PolicySpec, encode, flat_observation, forward, initialise
from sizewise.params.dataset.regimes import Regimes
from sizewise.params.dataset.signals import Signals

from ...equivalence.test_shared_window import flat_forward
from .conftest import BTC, TRADINGS

SHORT = Regimes(quantile_window_days=40)


@pytest.fixture(scope="module")
def bars(real_bars):
    return real_bars(BTC).iloc[-3600:]


@pytest.fixture
def arguments(bars, catalogue):
    return {"bars": {BTC: bars}, "trading": TRADINGS["sizing7"], "instruments": catalogue, "observation": "reference"}


def test_it_is_the_flat_observation_of_5900_numbers(arguments, bars):
    env = SizewiseEnv(**arguments)
    assert env.observation_space.shape == (5900,)
    assert env.feature_names == NAMES
    env.reset(seed=1)
    observation, _, _, _, info = env.step(3)
    row = bars.index.get_loc(pd.Timestamp(info["time"], tz="UTC"))
    table = compute_features(bars, Regimes(), Signals())[list(NAMES[:-1])].assign(confidence=0.0)
    window = torch.tensor(table.iloc[row - 99 : row + 1].to_numpy(dtype=np.float32))
    share = info["position"][0] / info["equity"]
    assert share > 0.05
    scalars = torch.tensor([[share / 0.20, 0.70 - share, np.log10(info["equity"] / 1000.0)]], dtype=torch.float32)
    expected = flat_observation(window.unsqueeze(0), scalars)[0]
    np.testing.assert_allclose(observation, expected.numpy(), rtol=1e-6, atol=1e-7)


def test_a_policy_reads_it_as_it_reads_its_own(bars, catalogue, arguments):
    """Its network over the flat numbers of `step`, against the rows that it encodes once: the same logits."""
    generator = np.random.default_rng(1)
    confidence = generator.uniform(size=len(bars)).astype(np.float32)
    table = compute_features(bars, SHORT, Signals())
    name = "confidence_rolling_0"
    market = build_market({BTC: bars}, {BTC: table.assign(**{name: confidence})}, catalogue)
    scalers = fit_scalers(market, market.confidence[name], {BTC: (2600, 3300)})
    spec = PolicySpec()
    parameters = initialise(spec, [torch_generator("policy")], initial_hold_prob=0.1)
    features = reference_features(bars, SHORT, confidence=confidence, scaler=scalers[BTC])
    env = SizewiseEnv(**arguments, features=features)
    view = MarketView(market, [market.confidence[name]], [scalers], spec.window_bars)
    env.reset(options={"start_row": 3100})
    for t, action in enumerate((3, 0, 5, 6)):
        observation = env.step(action)[0]
        flat, _ = flat_forward(parameters, torch.from_numpy(observation).view(1, 1, -1))
        segment = view.one_policy(0, 3101 + t, 0, 1)
        scalars = torch.from_numpy(observation[-3:]).view(1, 1, 1, 1, 3)
        encoded = encode(spec, parameters, segment, use_fft=False).unsqueeze(3)
        output = forward(spec, parameters, encoded, scalars, torch.ones((1, 1, 1, 1, 7), dtype=torch.bool))
        torch.testing.assert_close(torch.log_softmax(flat, -1).flatten(), output.log_prob.flatten(), rtol=0, atol=1e-5)


def test_the_signal_that_is_followed_is_the_one_that_is_seen(arguments, bars):
    column = 100 * 59 - 59 + NAMES.index("signal_direction")
    rule = signal_stream(bars, Signals(), Days.of(bars))["direction"].to_numpy()
    masked = arguments | {"trading": TRADINGS["sizing7_masked"], "random_start": False}
    own = np.resize(np.repeat([1, -1], 40), len(bars))
    for given, followed in (({}, rule), ({"direction": own}, own)):
        env = SizewiseEnv(**masked, **given)
        assert env.observation_space.shape == (5900,)
        seen = []
        for row in (3200, 3245, 3300, 3401):
            observation, info = env.reset(options={"start_row": row})
            seen.append(observation[column])
            assert bool(info["action_mask"][1]) == (followed[row] > 0)
        np.testing.assert_array_equal(seen, followed[[3200, 3245, 3300, 3401]])


def test_confidence_is_the_last_of_the_features(arguments, bars):
    confidence = np.linspace(0.0, 1.0, len(bars))
    env = SizewiseEnv(**arguments, confidence=confidence)
    observation, _ = env.reset(options={"start_row": 3400})
    assert env.feature_names[-1] == CONFIDENCE
    np.testing.assert_allclose(observation.reshape(100, 59)[:, 55], confidence[3301:3401], rtol=1e-6)


def test_the_batch_sees_the_same(arguments):
    batch, single = SizewiseVectorEnv(2, **arguments), SizewiseEnv(**arguments)
    seen = [batch.reset(seed=3)[0][0], batch.step([3, 3])[0][0]]
    np.testing.assert_array_equal(seen, [single.reset(seed=3)[0], single.step(3)[0]])


def test_another_window_and_features_of_ones_own_have_the_same_form(arguments, bars):
    own = np.arange(2.0 * len(bars)).reshape(-1, 2)
    env = SizewiseEnv(**arguments, features=own, window_bars=3)
    observation, _ = env.reset(options={"start_row": 10})
    np.testing.assert_allclose(observation.reshape(3, 5)[:, :2], own[8:11])
    np.testing.assert_allclose(observation.reshape(3, 5)[:, 2:], [[0.0, 0.7, 0.0]] * 3, atol=1e-7)


def test_open_env_makes_it_with_the_sections_of_params(root, params):
    env = environments.open_env(root, observation="reference")
    assert env.observation_space.shape == (5900,)
    rows = env.accounts.episodes
    # Every feature is warm, and then the window.
    assert rows.first_row >= longest_warmup_days(params.regimes) * 24 + 50
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space


def test_features_are_as_they_are_within_the_limit(bars):
    found = reference_features(bars, SHORT)
    assert np.abs(found.table).max() <= LIMIT
    assert found.table[:, NAMES.index("rsi_14")].max() > 60.0
    # Known at the close of the last session that it takes.
    assert found.first_row == Days.of(bars).first_row(longest_warmup_days(SHORT)) - 1


def test_what_it_cannot_be_made_of_is_refused(arguments, bars, terms):
    with pytest.raises(ConfigError, match="too few to warm up the reference features"):
        SizewiseEnv(**(arguments | {"bars": {BTC: bars.iloc[:1200]}}))
    with pytest.raises(ConfigError, match="of one instrument, but the account has 2"):
        SizewiseEnv(**terms("simplex", observation="reference"))
    with pytest.raises(ConfigError, match="features have 3599 rows: give 3600, one for each"):
        SizewiseEnv(**arguments, features=reference_features(bars.iloc[1:]))
    with pytest.raises(ConfigError, match="direction has shape"):
        reference_features(bars, direction=np.ones(3))
    with pytest.raises(ConfigError, match="confidence has shape"):
        reference_features(bars, confidence=np.ones(3))

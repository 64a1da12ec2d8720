"""Forecasts fitted on daily data: a GARCH(1,1) of variances, and a ridge regression of returns."""

from dataclasses import dataclass

import numpy as np

from sizewise.base.arithmetic import fitted

# Daily returns of a few percent are fitted in percent, where the likelihood is well scaled.
PERCENT = 100.0


@dataclass(frozen=True)
class Garch:
    """sigma^2_{t+1} = omega + alpha r^2_t + beta sigma^2_t, of simple daily returns; `start` is the variance of train.

    Source: Bollerslev (1986), J. Econometrics 31, eq. 2.
    """

    omega: float
    alpha: float
    beta: float
    start: float
    converged: bool

    def forecast(self, returns: np.ndarray, window: int) -> np.ndarray:
        """Variance of the next day after each return: shape (n,).

        The recursion over the last `window` returns, from `start` before them, so that older ones are of no matter.
        """
        decay = self.beta ** np.arange(window)
        met = np.minimum(np.arange(1, len(returns) + 1), window)
        news = np.convolve(np.square(returns), decay)[: len(returns)]
        return self.omega * np.cumsum(decay)[met - 1] + self.alpha * news + self.beta**met * self.start


def fit_garch(returns: np.ndarray) -> Garch:
    """By maximum likelihood with Gaussian errors around a mean of 0; `converged` says whether the search came to an end.

    Args:
        returns: float64 (n,), simple daily returns of train, oldest first.
    """
    # Half a second of reading, for who fits none.
    from arch import arch_model

    model = arch_model(PERCENT * returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False)
    found = model.fit(disp="off", show_warning=False)
    omega, alpha, beta = (fitted(float(found.params[name])) for name in ("omega", "alpha[1]", "beta[1]"))
    start = fitted(float(np.mean(np.square(returns))))
    return Garch(fitted(omega / PERCENT**2), alpha, beta, start, found.convergence_flag == 0)


@dataclass(frozen=True)
class Ridge:
    """intercept + sum of slopes times features: per feature, in its own unit."""

    intercept: float
    slopes: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """float64 (n,) of features (n, F)."""
        found: np.ndarray = features @ self.slopes + self.intercept
        return found


def fit_ridge(features: np.ndarray, target: np.ndarray, penalty: float) -> Ridge:
    """Minimise the mean squared error plus `penalty` times the squared slopes of standardised features.

    The intercept is not shrunk; a feature that never varies has no slope.

    Args:
        features: float64 (n, F). target: (n,).
    Source: Hoerl and Kennard (1970), Technometrics 12, eq. 2.1.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    varies = scale > 1e-9 * np.maximum(np.abs(mean), 1e-9)
    standard = np.where(varies, (features - mean) / np.where(varies, scale, 1.0), 0.0)
    gram = standard.T @ standard / len(target) + penalty * np.eye(features.shape[1])
    beta = np.linalg.solve(gram, standard.T @ (target - target.mean()) / len(target))
    slopes = np.array([fitted(float(value)) for value in np.where(varies, beta / np.where(varies, scale, 1.0), 0.0)])
    return Ridge(fitted(float(target.mean() - mean @ slopes)), slopes)

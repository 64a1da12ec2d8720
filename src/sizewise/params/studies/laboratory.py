"""The section `laboratory`: markets whose best sizing is known."""

from sizewise.params.fields import Count, Fraction, NotNegative, Positive, Section
from sizewise.params.learning.tabular import Tabular
from sizewise.params.learning.train import Train


class OrderLessons(Section):
    """Where the market of orders asks for another PPO: what an order earns comes bars after it was sent."""

    gamma: Fraction = 0.95
    gae_lambda: Fraction = 0.90
    entropy_coef: NotNegative = 0.03
    iterations: Count = 100


class DirectLessons(Section):
    """The gradient through the account in the laboratory: `passes`, each on groups x horizon fresh bars."""

    hidden: Count = 8
    groups: Count = 512
    horizon: Count = 8
    passes: Count = 300
    learning_rate: Positive = 5.0e-2
    final_learning_rate_frac: Fraction = 0.05


class Laboratory(Section):
    """The known-answer markets: `train` is the PPO of the laboratory, whose seeds are those of every learner there.

    Attributes:
        longer: iterations of the markets where an edge is small beside its noise, in place of train.iterations.
        exam_bars: fresh bars on which each learner is judged. table_bars: bars from which a table learns.
        direct: the gradient through the account. tabular: the table of the laboratory, whose grid holds every optimum.
    """

    exam_bars: Count = 20_000
    table_bars: Count = 200_000
    longer: dict[str, Count]
    train: Train
    orders: OrderLessons = OrderLessons()
    direct: DirectLessons = DirectLessons()
    tabular: Tabular

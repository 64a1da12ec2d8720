"""The section `observation`: what a policy sees of the market."""

from sizewise.params.fields import Count, Section


class Observation(Section):
    """What a policy sees of the market: a window of bars. `raw_dollars` (an ablation): account scalars in dollars."""

    window_bars: Count = 100
    raw_dollars: bool = False

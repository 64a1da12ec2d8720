"""What the study leaves: tables row by row, numbers or null, and every prediction."""

import json

import numpy as np
import pandas as pd

from sizewise.studies.outside import study
from sizewise.studies.outside.predictions import HELD, Prediction


def test_the_record_is_json_that_knows_no_infinity():
    index = pd.MultiIndex.from_tuples([("a", "ppo"), ("a", "direct")], names=["market", "arm"])
    table = pd.DataFrame({"kind": ["x", "y"], "bars": [np.inf, 2.0], "p": [np.nan, 1.0 / 3.0]}, index=index)
    found = study.record({"bars": table}, [Prediction("A", "claim", HELD, "found")])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["bars"] == {
        "a/ppo": {"kind": "x", "bars": None, "p": None},
        "a/direct": {"kind": "y", "bars": 2.0, "p": 0.333333},
    }
    assert found["predictions"] == [{"source": "A", "claim": "claim", "outcome": "held", "found": "found"}]

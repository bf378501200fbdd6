"""Small tables and quick settings for tests of the estimators."""

import numpy as np
import pandas as pd

QUICK = {"n_trials": 4, "min_budget": 1, "max_budget": 3, "n_jobs": 1, "random_state": 0, "verbose": 0}
"""A search of seconds: few evaluations, few epochs, one worker."""


def make_mixed_frame(n_rows=160, seed=0):
    """Numbers, texts, categories, booleans, dates, an empty column, a constant one and missing cells, with a signal."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "number": signal + 0.3 * rng.normal(size=n_rows),
            "integer": rng.integers(0, 9, n_rows),
            "text, with comma": np.where(signal > 0, "high", "low"),
            "category": pd.Categorical(rng.choice(["a", "b", "c"], n_rows)),
            "flag": rng.random(n_rows) < 0.5,
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, n_rows), unit="D"),
            "empty": np.nan,
            "constant": 1.0,
        }
    )
    frame.loc[::7, "number"] = np.nan
    frame.loc[::11, "text, with comma"] = None
    return frame, signal

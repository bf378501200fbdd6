import numpy as np
import pandas as pd
import pytest

from tests.estimator.tables import make_mixed_frame


@pytest.fixture(scope="session")
def mixed():
    frame, signal = make_mixed_frame()
    return frame, pd.Series(np.where(signal > 0, "yes", "no"), name="answer")

"""What a user did not say is filled in from the facts about the table."""

import pytest

from autopytorch_lite import AutoTabularClassifier
from autopytorch_lite.errors import DataError
from autopytorch_lite.settings import check_arguments, resolve_request
from autopytorch_lite.stored_run import RunRequest
from autopytorch_lite.types import DatasetInfo, Task


def request_for(n_rows: int, **arguments: object) -> RunRequest:
    info = DatasetInfo(Task.BINARY, n_rows, 5, (), 2, (n_rows // 2, n_rows - n_rows // 2))
    return resolve_request(AutoTabularClassifier(portfolio=None, **arguments).get_params(), info)[0]


@pytest.mark.parametrize(
    ("n_rows", "rungs"),
    [(4_000, (9, 81, 2)), (4_001, (6, 54, 2)), (15_000, (6, 54, 2)), (15_001, (3, 27, 3)), (160_000, (3, 27, 3))],
)
def test_rungs_are_chosen_by_rows(n_rows: int, rungs: tuple[int, int, int]):
    request = request_for(n_rows)
    assert (request.min_budget, request.max_budget, request.eta) == rungs


def test_rungs_that_were_asked_for_are_kept():
    request = request_for(160_000, min_budget=2, max_budget=50, eta=5)
    assert (request.min_budget, request.max_budget, request.eta) == (2, 50, 5)


@pytest.mark.parametrize("eta", [1, 2.5, True, "3"])
def test_an_impossible_eta_is_refused_by_name(eta: object):
    with pytest.raises(DataError, match="eta must be an integer of at least 2 or None"):
        check_arguments(AutoTabularClassifier(eta=eta).get_params())

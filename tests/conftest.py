"""For all tests: which are traced for coverage, and what the garbage collector may leave alone."""

import gc
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
OTHER_ROOMS = ("benchmarks", "docs", "lcbench", "search_spaces")


def pytest_collection_modifyitems(items):
    """Tests of other packages, and slow ones, are not traced: tracing makes them take half as long again, or twice."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in OTHER_ROOMS or item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(autouse=True)
def processes_untraced(request, monkeypatch):
    """The mark of pytest-cov holds for this process; those that it starts would trace themselves."""
    if request.node.get_closest_marker("no_cover"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def pytest_collection_finish():
    """What has been imported stays: it need not be walked again and again while tests run."""
    gc.collect()
    gc.freeze()

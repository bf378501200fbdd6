"""What is installed: contents of wheel and source archive, weight of an import, number of dependencies."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = {"autopytorch_lite", "search_spaces", "lcbench", "benchmarks"}
HEAVY = ("torch", "sklearn", "pandas", "scipy", "ConfigSpace", "plotly")
MAX_DEPENDENCIES = 60
MAX_IMPORT_SECONDS = 1.0


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and source archive, built from a copy of what git tracks."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    copy_tree(source)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def copy_tree(target: Path) -> None:
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "demo_run", "runs", "shared")
    shutil.copytree(ROOT, target, ignore=ignore, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def wheel_names(archives: Path) -> set[str]:
    (path,) = archives.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def shipped(pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob(pattern)}


def test_the_wheel_holds_the_four_packages_and_no_tests(wheel_names: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_every_module_is_in_the_wheel(wheel_names: set[str]) -> None:
    assert shipped("*.py") <= wheel_names


def test_data_files_are_in_the_wheel(wheel_names: set[str]) -> None:
    data = shipped("*.json") | shipped("*.npz") | shipped("templates/*") | shipped("py.typed")
    assert any(name.startswith("search_spaces/portfolios/") for name in data)
    assert any(name.startswith("search_spaces/priors/") for name in data)
    assert any(name.startswith("autopytorch_lite/report/templates/") for name in data)
    assert data <= wheel_names


def test_the_source_archive_holds_what_a_build_and_a_test_need(archives: Path) -> None:
    (path,) = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    wanted = {"setup.cfg", "pyproject.toml", "constraints.txt", "Makefile", "LICENSE", "README.md", "CHANGELOG.md"}
    assert wanted | shipped("*.py") | shipped("*.json") | shipped("*.npz") <= names
    assert "tests/test_packaging.py" in names


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import autopytorch_lite; "
        f"print(time.perf_counter() - start, *(name for name in {HEAVY} if name in sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, *loaded = output.stdout.split()
    assert loaded == []
    assert float(seconds) < MAX_IMPORT_SECONDS


@pytest.mark.parametrize(
    "module", ["data.dataset", "history.store", "pipeline.graph", "space.compile", "search", "report.page", "tuner"]
)
def test_what_needs_no_network_does_not_load_torch(module: str) -> None:
    code = f"import sys, autopytorch_lite.{module}; print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert output.stdout.strip() == "False"


def test_public_names_come_from_their_modules() -> None:
    import autopytorch_lite
    from autopytorch_lite.estimator import AutoTabularClassifier

    assert autopytorch_lite.AutoTabularClassifier is AutoTabularClassifier
    assert set(autopytorch_lite.__all__) <= set(dir(autopytorch_lite))
    assert all(getattr(autopytorch_lite, name) is not None for name in autopytorch_lite.__all__)
    with pytest.raises(AttributeError, match="no attribute 'AutoImageClassifier'"):
        autopytorch_lite.AutoImageClassifier  # noqa: B018


def core_requirements() -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser["options"]["install_requires"].split()


def closure(requirements: Iterable[str]) -> set[str]:
    """Names of everything the requirements install here, extras they ask for included."""
    found: set[tuple[str, str]] = set()
    names: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, wanted_by_extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted_by_extra}):
            continue
        name = canonicalize_name(requirement.name)
        names.add(name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += [(Requirement(text), extra) for text in dependencies(name)]
    return names


def dependencies(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:  # asked for by a marker that holds nowhere else
        return []


def test_the_core_has_few_dependencies() -> None:
    found = {name for name in closure(core_requirements()) if not name.startswith(("nvidia-", "cuda-", "triton"))}
    assert "torch" in found
    assert "numpy" in found
    assert len(found) <= MAX_DEPENDENCIES, sorted(found)


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line}
    accelerator = ("nvidia-", "cuda-", "triton")  # only there where torch is built for CUDA, which pins them itself
    missing = {name for name in closure(core_requirements()) - pinned if not name.startswith(accelerator)}
    assert missing == set()

"""Who may import whom: reads every import of the tree with ast and compares it with docs/architecture.md.

Imports inside functions and under `if TYPE_CHECKING` count too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = "autopytorch_lite"
PACKAGES = (CORE, "search_spaces", "lcbench", "benchmarks")
LAYERS = {
    **dict.fromkeys(("errors", "types", "metrics"), 0),
    **dict.fromkeys(("data", "history", "networks"), 1),
    **dict.fromkeys(("training", "stopping"), 2),
    "pipeline": 3,
    "space": 4,
    "portfolio": 5,
    **dict.fromkeys(("search", "execution", "ensemble"), 6),
    **dict.fromkeys(("tuner", "report"), 7),
    **dict.fromkeys(("settings", "stored_run", "run_ensemble", "run", "persistence", "estimator"), 8),
    "cli": 9,
    "__main__": 10,
    "": 10,  # autopytorch_lite/__init__.py: the lazy public names
}
LAYERS_OF_FILES = (0, 8)  # files beside each other may import each other, in one direction; folders may not
LOADERS_OF_SEARCH_SPACES = (f"{CORE}.settings", f"{CORE}.estimator", f"{CORE}.cli", "lcbench", "benchmarks")
TUNER_MAY_IMPORT = tuple(
    f"{CORE}.{name}" for name in ("errors", "types", "metrics", "history", "search.base", "execution.base", "stopping")
)
TUNER_DEFAULT = f"{CORE}.execution.workers:SerialExecutor"
TORCH_AT_IMPORT = (
    *(f"{CORE}.{name}" for name in ("networks", "training", "pipeline.components", "pipeline.neural")),
    *(f"lcbench.generation.{name}" for name in ("batches", "evaluation", "tables", "trainings")),
    *(f"benchmarks.throughput_{name}" for name in ("generation", "training")),
)


@dataclass(frozen=True)
class Import:
    """One imported name: `importer` takes `name` (empty: the module itself) from the module `target`."""

    importer: str
    target: str
    name: str
    line: int
    at_import: bool

    def __str__(self) -> str:
        what = f"{self.target}:{self.name}" if self.name else self.target
        return f"{self.importer} (line {self.line}) imports {what}"


def within(module: str, prefixes: Iterable[str]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def modules_of(root: Path) -> dict[str, Path]:
    """Dotted name -> file, for every module of the four packages below `root`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def import_nodes(node: ast.AST, at_import: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below `node` and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_import
        deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(child)
        yield from import_nodes(child, at_import and not deferred)


def absolute_base(node: ast.ImportFrom, importer: str, is_package: bool) -> str:
    """The module a `from ... import` names, with leading dots resolved."""
    if not node.level:
        return node.module or ""
    parts = importer.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def imports_of(importer: str, path: Path, known: Iterable[str]) -> Iterator[Import]:
    known = set(known)
    for node, at_import in import_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(importer, alias.name, "", node.lineno, at_import) for alias in node.names)
            continue
        base = absolute_base(node, importer, path.name == "__init__.py")
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            target, name = (submodule, "") if submodule in known else (base, alias.name)
            yield Import(importer, target, name, node.lineno, at_import)


def unit(module: str) -> str:
    """The folder or file below the core package that the module belongs to; empty for the package itself."""
    return [*module.split("."), ""][1]


def layer_fault(item: Import) -> str | None:
    """Inside the core package: only lower layers, and never sideways between folders."""
    if not (within(item.importer, [CORE]) and within(item.target, [CORE])):
        return None
    source, target = unit(item.importer), unit(item.target)
    for name in (source, target):
        if name not in LAYERS:
            return f"{name!r} has no layer"
    sideways = LAYERS[target] == LAYERS[source]
    if source == target or LAYERS[target] < LAYERS[source] or (sideways and LAYERS[source] in LAYERS_OF_FILES):
        return None
    return f"layer {LAYERS[source]} ({source}) may not import layer {LAYERS[target]} ({target or CORE})"


def room_fault(item: Import) -> str | None:
    """Between the four packages, and who may load search_spaces."""
    top = item.importer.split(".")[0]
    if top == CORE and within(item.target, ["lcbench", "benchmarks"]):
        return f"nothing in {CORE} imports lcbench or benchmarks"
    if top == "lcbench" and within(item.target, ["benchmarks"]):
        return "lcbench may not import benchmarks"
    if top == "search_spaces":
        stdlib = item.target.split(".")[0] in {*sys.stdlib_module_names, "search_spaces"}
        return None if stdlib else "search_spaces uses the standard library only"
    if within(item.target, ["search_spaces"]) and not within(item.importer, LOADERS_OF_SEARCH_SPACES):
        return "only estimator, cli, lcbench, benchmarks and tests load search_spaces"
    return None


def tuner_fault(item: Import) -> str | None:
    """The tuner sees searcher, executor and store through their protocols only."""
    if not within(item.importer, [f"{CORE}.tuner"]) or not within(item.target, [CORE]):
        return None
    allowed = within(item.target, [*TUNER_MAY_IMPORT, f"{CORE}.tuner"])
    if allowed or f"{item.target}:{item.name}" == TUNER_DEFAULT:
        return None
    return "the tuner sees searcher, executor and store through protocols only"


def torch_fault(item: Import) -> str | None:
    """Torch is slow to load, so only the neural parts load it when they are imported."""
    if item.target.split(".")[0] != "torch" or not item.at_import or within(item.importer, TORCH_AT_IMPORT):
        return None
    return "torch is imported at module level only in networks, training and the neural parts of pipeline"


RULES = (layer_fault, room_fault, tuner_fault, torch_fault)


def circles(imports: Iterable[Import], modules: Iterable[str]) -> list[str]:
    """Circles of modules, each as "a -> b -> a"."""
    known = set(modules)
    edges: dict[str, set[str]] = {module: set() for module in known}
    for item in imports:
        if item.target in known and item.target != item.importer:
            edges[item.importer].add(item.target)
    found, finished = [], set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(" -> ".join((*path[path.index(module) :], module)))
        elif module not in finished:
            for target in sorted(edges[module]):
                visit(target, (*path, module))
            finished.add(module)

    for module in sorted(known):
        visit(module, ())
    return found


def violations(root: Path) -> list[str]:
    """Everything below `root` that breaks the rule, one line each."""
    modules = modules_of(root)
    imports = [item for module, path in modules.items() for item in imports_of(module, path, modules)]
    faults = [f"{item}: {fault}" for item in imports for rule in RULES if (fault := rule(item))]
    return faults + [f"circle: {circle}" for circle in circles(imports, modules)]


def test_the_tree_keeps_the_import_rule() -> None:
    assert len(modules_of(ROOT)) > 20
    faults = violations(ROOT)
    assert not faults, "\n" + "\n".join(faults)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


BROKEN = {
    "upward": ({f"{CORE}/data/a.py": "from autopytorch_lite.space.b import c"}, "may not import layer 4 (space)"),
    "sideways": ({f"{CORE}/search/a.py": "import autopytorch_lite.execution.b"}, "may not import layer 6 (execution)"),
    "relative": ({f"{CORE}/data/a.py": "from ..history import b"}, "layer 1 (data) may not import layer 1 (history)"),
    "relative in a package": ({f"{CORE}/data/__init__.py": "from ..tuner import b"}, "may not import layer 7 (tuner)"),
    "inside a function": ({f"{CORE}/data/a.py": "def f():\n    import autopytorch_lite.cli"}, "a (line 2) imports"),
    "for types only": (
        {f"{CORE}/data/a.py": "if TYPE_CHECKING:\n    from autopytorch_lite.estimator import E"},
        "layer 1 (data) may not import layer 8",
    ),
    "the lazy names": ({f"{CORE}/cli.py": "from autopytorch_lite import load"}, "may not import layer 10"),
    "unknown folder": ({f"{CORE}/extras/a.py": "import autopytorch_lite.errors"}, "'extras' has no layer"),
    "core uses lcbench": ({f"{CORE}/estimator.py": "import lcbench.benchmark"}, "imports lcbench or benchmarks"),
    "lcbench uses benchmarks": ({"lcbench/a.py": "import benchmarks.tabular"}, "lcbench may not import benchmarks"),
    "space loads files": ({f"{CORE}/space/a.py": "from search_spaces import load_ranges"}, "load search_spaces"),
    "loader needs numpy": ({"search_spaces/__init__.py": "import numpy as np"}, "standard library only"),
    "concrete searcher": ({f"{CORE}/tuner.py": "from autopytorch_lite.search.bohb import BOHB"}, "protocols only"),
    "concrete executor": (
        {f"{CORE}/tuner.py": "from autopytorch_lite.execution.workers import ProcessExecutor"},
        "protocols only",
    ),
    "torch at import": ({f"{CORE}/space/a.py": "import torch.nn as nn"}, "torch is imported at module level only"),
    "circle": (
        {f"{CORE}/data/a.py": f"import {CORE}.data.b", f"{CORE}/data/b.py": f"from {CORE}.data import a"},
        f"circle: {CORE}.data.a -> {CORE}.data.b -> {CORE}.data.a",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_violation_is_found(case: str, tmp_path: Path) -> None:
    files, expected = BROKEN[case]
    assert any(expected in line for line in violations(tree(tmp_path, files))), violations(tmp_path)


def test_what_the_rule_allows_is_not_reported(tmp_path: Path) -> None:
    allowed = {
        f"{CORE}/__init__.py": "if TYPE_CHECKING:\n    from autopytorch_lite.estimator import AutoTabularClassifier",
        f"{CORE}/errors.py": "import json",
        f"{CORE}/metrics.py": "from autopytorch_lite.errors import DataError",
        f"{CORE}/data/a.py": "from autopytorch_lite import errors\nfrom . import b\nfrom ..metrics import m",
        f"{CORE}/data/b.py": "def f():\n    import torch",
        f"{CORE}/networks/a.py": "import torch",
        f"{CORE}/tuner.py": "from autopytorch_lite.execution.workers import SerialExecutor\n"
        "from autopytorch_lite.search.base import Searcher",
        f"{CORE}/estimator.py": "from search_spaces import load_ranges\nfrom autopytorch_lite.search.bohb import BOHB",
        "lcbench/a.py": "from autopytorch_lite.tuner import tune\nimport search_spaces",
        "search_spaces/__init__.py": "import json",
    }
    assert violations(tree(tmp_path, allowed)) == []

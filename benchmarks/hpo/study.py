"""All runs of a study: which are to do, who does them, and where their rows are kept."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from autopytorch_lite.errors import UnknownNameError
from benchmarks.hpo.peers import PeerProcess
from benchmarks.hpo.peers.client import DRIVERS
from benchmarks.hpo.problems import Problem, family
from benchmarks.hpo.runs import RunKey, run
from benchmarks.hpo.searchers import SEARCHERS

_RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Study:
    """What is asked for.

    Attributes:
        data_folder: where the data of the problems is.
        problems: names of families.
        searchers: names of rows.
        n_seeds: seeds 0, 1, ...
        limit: cost at which each run ends, full trainings.
        workers: simulated workers.
        tasks: names of tasks; empty for all.
        environments: folder of the environments of the public searchers, one folder each by name; None: there is none.
    """

    data_folder: Path
    problems: tuple[str, ...]
    searchers: tuple[str, ...]
    n_seeds: int
    limit: float
    workers: int = 1
    tasks: tuple[str, ...] = ()
    environments: Path | None = None

    def __post_init__(self) -> None:
        for name in self.searchers:
            if name not in SEARCHERS:
                raise UnknownNameError("searcher", name, SEARCHERS)

    def keys(self) -> Iterator[RunKey]:
        """Every run asked for, a first seed of everything before the second."""
        for problem in self.problems:
            known = [str(task) for task in family(problem).tasks(self.data_folder)]
            for name in self.tasks:
                if name not in known:
                    raise UnknownNameError(f"task of {problem}", name, known)
            for seed in range(self.n_seeds):
                for task in self.tasks or known:
                    for searcher in self.searchers:
                        yield RunKey(problem, task, searcher, seed, self.workers)


class Rows:
    """The rows of a study in ``results.jsonl``, one line each, appended when a run ends.

    The last row of a run counts. A line that is damaged, as a killed process leaves it, is a run to be repeated.

    Args:
        folder: made if absent.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / _RESULTS

    def read(self) -> dict[RunKey, dict[str, Any]]:
        """All rows."""
        rows = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            try:
                row = json.loads(line)
                rows[RunKey(*(row[name] for name in RunKey._fields))] = row
            except (ValueError, KeyError, TypeError):
                continue
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Keep a row: one write, after what others have written. A torn line before it is ended first."""
        text = json.dumps(row) + "\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (b"\n" if is_torn else b"") + text.encode())
        finally:
            os.close(descriptor)

    def to_do(self, keys: Iterable[RunKey], limit: float) -> list[RunKey]:
        """The runs that have no row, failed, could not be made, or ended at a smaller limit."""
        rows = self.read()

        def is_done(key: RunKey) -> bool:
            return key in rows and rows[key]["status"] == "ok" and rows[key]["limit"] >= limit

        return [key for key in keys if not is_done(key)]


def run_study(study: Study, folder: Path, n_jobs: int, show: Callable[[str], None] = print) -> None:
    """Do what is not done yet and append its rows.

    Args:
        study: what is asked for.
        folder: where the rows are.
        n_jobs: processes; 1: everything here.
        show: is told about progress.
    """
    rows = Rows(folder)
    blocks = list(_blocks(rows.to_do(study.keys(), study.limit)))
    n_runs = sum(map(len, blocks))
    show(f"{n_runs} runs to do in {len(blocks)} blocks")
    n_done = 0
    for block, failures in _done(study, blocks, folder, n_jobs):
        n_done += len(block)
        first = block[0]
        show(f"{n_done}/{n_runs} {first.problem} {first.task} {first.searcher}{''.join(failures)}")


def _blocks(keys: Sequence[RunKey]) -> Iterator[list[RunKey]]:
    """Runs of one searcher on one task together, so that task and public searcher are started once."""
    blocks: dict[tuple[str, str, str], list[RunKey]] = {}
    for key in keys:
        blocks.setdefault((key.problem, key.task, key.searcher), []).append(key)
    yield from blocks.values()


def _done(
    study: Study, blocks: Sequence[list[RunKey]], folder: Path, n_jobs: int
) -> Iterator[tuple[list[RunKey], list[str]]]:
    """Each block with its failures, when it is done."""
    if n_jobs == 1:
        for block in blocks:
            yield block, run_block(study, block, folder)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        open_blocks = {pool.submit(run_block, study, block, folder): block for block in blocks}
        while open_blocks:
            for future in wait(open_blocks, return_when=FIRST_COMPLETED).done:
                yield open_blocks.pop(future), future.result()


def run_block(study: Study, keys: Sequence[RunKey], folder: Path) -> list[str]:
    """Do these runs and append their rows; returns a line for each that is not ok."""
    rows = Rows(folder)
    failures = []
    for key in keys:
        row = run(key, _problem(study.data_folder, key.problem, key.task), study.limit, _peer(study, key.searcher))
        rows.append(row)
        if row["status"] != "ok":
            failures.append(f"\n  seed {key.seed} {row['status']}: {row['reason']}")
    return failures


@lru_cache(maxsize=64)
def _problem(folder: Path, name: str, task: str) -> Problem:
    return family(name).make(folder, task)


_PEERS: dict[str, PeerProcess] = {}


def _peer(study: Study, searcher: str) -> PeerProcess | None:
    """The process of a public searcher, one of each in this process; None if it has no environment."""
    name = SEARCHERS[searcher].peer
    if name is None or study.environments is None:
        return None
    python = study.environments / name / "bin" / "python"
    if not python.exists():
        return None
    return _PEERS.setdefault(name, PeerProcess(python, DRIVERS / f"drive_{name}.py"))

"""Learning curves of random configurations on tables of one's own, in the format of the original files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import search_spaces
from autopytorch_lite.errors import BudgetError, DataError
from lcbench.generation.processes import single_thread_executor
from lcbench.generation.progress import Progress
from lcbench.generation.run import Batch, GenerationRun, GenerationSettings
from lcbench.generation.sources import SourceTable

if TYPE_CHECKING:
    from lcbench.generation.batches import Task

__all__ = ["GenerationRun", "SourceTable", "generate"]


def generate(
    tables: Sequence[SourceTable],
    *,
    n_configs: int,
    run_dir: Path,
    n_epochs: int = 50,
    space: str = "lcbench",
    seed: int = 0,
    n_jobs: int = 1,
    gradients: bool = True,
    precision: str = "auto",
    device: str = "auto",
    repeats: int = 1,
    progress: Progress | None = None,
) -> GenerationRun:
    """Train random configurations on tables and keep their records in a run directory.

    A third of the rows is for the test, a third of the others for validation, both stratified. Networks of one kind are
    trained together, see `autopytorch_lite.training.stacked`; others by their own trainer. A result says which, by
    "trained_in". A run that was killed goes on where it was, and one that is done can be asked for more configurations.

    Args:
        tables: what to train on.
        n_configs: configurations on each table; the first ones are the same for any number.
        run_dir: where the run is kept.
        n_epochs: of each training.
        space: name or path of the ranges, see `search_spaces`; configurations of other learners than networks are
            passed over.
        seed: of everything random.
        n_jobs: processes, of one thread each.
        gradients: record statistics of gradients too, as the large original file does.
        precision: of matrix products: "float32", "bfloat16", or "auto": what is faster for the shapes at hand.
        device: "cpu", "cuda", "cuda:i", or "auto" for the first GPU if there is one.
        repeats: trainings of each configuration with other seeds. Its record is their mean, and has the standard
            deviations of their final results, too: how much of a result is luck.
        progress: is told what is done.

    Returns:
        The run; `GenerationRun.records` gives what was recorded.

    Raises:
        DataError: a table cannot be used, or two have one name.
        BudgetError: a number is too small.
        UnknownNameError: there is no such device or precision.
        UnknownFileError: there is no such space.
        HistoryError: the directory is in use, or holds something else.
    """
    from autopytorch_lite.training.device import resolve_device, resolve_precision

    if min(n_configs, n_epochs, n_jobs, repeats) < 1:
        given = f"{n_configs=}, {n_epochs=}, {n_jobs=} and {repeats=}"
        raise BudgetError(f"All numbers must be at least 1, got {given}.")
    names = [table.name for table in tables]
    if len(set(names)) < len(names):
        raise DataError(f"Every table must have a name of its own, got {', '.join(names)}.")
    search_spaces.load_ranges(space)
    where = resolve_device(device)
    resolve_precision(precision, where)
    settings = GenerationSettings(space, n_epochs, seed, gradients, precision, str(where), repeats)
    with GenerationRun.begin(run_dir, tables, settings) as run:
        _work(run, n_configs, n_jobs, progress or Progress(quiet=True))
        return run


def _work(run: GenerationRun, n_configs: int, n_jobs: int, progress: Progress) -> None:
    from lcbench.generation.batches import plan_table, train_batch

    path = run.path.resolve()
    with closing(_Processes(n_jobs)) as processes:
        for _ in processes.done((plan_table, (path, number, n_configs)) for number in range(run.n_tables)):
            pass
        batches = [entry for entry in _planned(run) if entry[1].trainings[0] < n_configs * run.settings.repeats]
        progress.begin([batch for _, batch, _ in batches])
        tasks: list[Task] = []
        for number, batch, configs in sorted(batches, key=lambda entry: -entry[1].seconds):
            if batch.error or run.is_done(number, batch):
                progress.advance(batch, is_new=False)
            else:
                tasks.append((train_batch, (path, number, batch, configs)))
        for task in processes.done(tasks):
            progress.advance(task[1][2], is_new=True)
        progress.end()


def _planned(run: GenerationRun) -> Iterator[tuple[int, Batch, list[dict[str, object]]]]:
    """Table, batch and the configurations of its trainings."""
    for number in range(run.n_tables):
        for plan in run.plans(number):
            for batch in plan.batches:
                yield number, batch, [dict(plan.configs[training - plan.first]) for training in batch.trainings]


class _Processes:
    """Runs tasks in other processes, or in this one if that is all there is."""

    def __init__(self, n_jobs: int):
        self._executor = single_thread_executor(n_jobs) if n_jobs > 1 else None

    def done(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """The tasks as they end; what one raises is raised here."""
        if self._executor is None:
            for function, arguments in tasks:
                function(*arguments)
                yield function, arguments
            return
        from concurrent.futures import as_completed

        running = {self._executor.submit(task[0], *task[1]): task for task in tasks}
        for future in as_completed(running):
            future.result()
            yield running[future]

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)

"""The analyses of `lcbench` on LCBench's real final results: `python -m benchmarks.lcbench_final DATA_FOLDER`.

The data folder holds `lcbench_real_final.npz` (2,000 configurations and their results on each task) and
`instance_names.json` (names of the tasks).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from autopytorch_lite.errors import DataError
from lcbench import Benchmark
from lcbench.analysis import analyse
from lcbench.analysis.report import write_analysis
from lcbench.storage import RunRecord

RESULTS = (
    "final_val_accuracy",
    "final_val_balanced_accuracy",
    "final_val_cross_entropy",
    "final_test_accuracy",
    "final_test_balanced_accuracy",
    "final_test_cross_entropy",
)
_INTEGERS = frozenset({"batch_size", "num_layers", "max_units"})
_NAMES = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
_EPOCHS = 50


class FinalResults:
    """The runs behind `lcbench.Benchmark`, results and configurations only.

    Args:
        folder: the data folder.

    Raises:
        DataError: it lacks a file.
    """

    def __init__(self, folder: Path):
        results, names = folder / "lcbench_real_final.npz", folder / "instance_names.json"
        for path in (results, names):
            if not path.is_file():
                raise DataError(f"The data folder must hold {path.name}; {str(folder)!r} lacks it.")
        with np.load(results) as arrays:
            self._configs = [_config(row) for row in arrays["configs"].tolist()]
            tasks = {name: arrays[name] for name in arrays.files if name != "configs"}
        facts = json.loads(names.read_text(encoding="utf-8"))
        self._results = {facts[task.removeprefix("r")]["name"]: rows for task, rows in tasks.items()}
        self._task_ids = {facts[task.removeprefix("r")]["name"]: int(task.removeprefix("r")) for task in tasks}

    def dataset_names(self) -> Sequence[str]:
        return list(self._results)

    def config_ids(self, dataset_name: str) -> Sequence[str]:
        return list(map(str, range(len(self._configs))))

    def run(self, dataset_name: str, config_id: str) -> RunRecord:
        values = self._results[dataset_name][int(config_id)].tolist()
        results = dict(zip(RESULTS, values, strict=True))
        results |= {"budget": _EPOCHS, "OpenML_task_id": self._task_ids[dataset_name]}
        return RunRecord({}, results, self._configs[int(config_id)])


def _config(row: Sequence[float]) -> dict[str, float | int]:
    return {name: int(value) if name in _INTEGERS else value for name, value in zip(_NAMES, row, strict=True)}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--tag", default=RESULTS[0], show_default=True, type=click.Choice(RESULTS))
@click.option("--scale", default="ranks", show_default=True, type=click.Choice(["ranks", "values"]))
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the page.")
def main(folder: Path, tag: str, scale: str, report: Path | None) -> None:
    """Analyse the results of all tasks of FOLDER."""
    found = analyse(Benchmark(FinalResults(folder)), tag=tag, scale=scale)
    click.echo(f"{tag} of {len(found.tables)} data sets, {scale}\n")
    shares = found.importances.rename(columns={found.epochs[-1]: "alone"})
    shares["local"] = found.mean_effects("local_importances")
    click.echo(f"Share of the variance, mean over data sets\n{shares.to_string(float_format='%.3f')}\n")
    click.echo(f"Pairs\n{found.mean_effects('pairs').head(5).to_string(float_format='%.3f')}\n")
    click.echo(f"Final performance\n{found.distribution.to_string(float_format='%.4g')}\n")
    if found.transfer is not None and found.portfolios is not None:
        others = found.transfer.to_numpy()[~np.eye(len(found.transfer), dtype=bool)]
        click.echo(f"Regret of another data set's best: median {np.median(others):.3f}, mean {others.mean():.3f}\n")
        mean = found.portfolios.mean().unstack(level=0)
        click.echo(f"Normalised regret of the best so far on a new data set\n{mean.to_string(float_format='%.4f')}")
    if report is not None:
        click.echo(write_analysis(report, found, source="LCBench, final results of 2,000 configurations"))


if __name__ == "__main__":
    main()

"""What evaluates proposals, and what an evaluation gets and gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from autopytorch_lite.history.files import CHECKPOINT
from autopytorch_lite.history.limits import epoch_above
from autopytorch_lite.history.trial import Finished, Proposal
from autopytorch_lite.types import Config


@dataclass(frozen=True)
class Checkpoint:
    """Where one evaluation keeps files, and where the trial that it continues has kept them.

    Attributes:
        folder: empty folder to write into. It becomes the trial's folder if the evaluation succeeds, and vanishes
            if it fails.
        previous: the folder of the trial to continue (same configuration, smaller budget); None: start from scratch.
        config_id: number of the configuration, for seeds.
        stop_above: limits on the learning curve; see `Proposal`.
    """

    folder: Path
    previous: Path | None = None
    config_id: int = 0
    stop_above: tuple[float | None, ...] = ()

    def should_stop(self, curve: Sequence[float]) -> bool:
        """Whether a stopping rule of the search ends this trial now.

        An objective that trains in epochs asks after each one, and if so returns a `Result` with this curve. The trial
        then has status stopped; its files are dropped.

        Args:
            curve: validation loss after each epoch so far from epoch 1 on, those of the continued trial included.
        """
        return epoch_above(curve, self.stop_above) is not None

    def state_folder(self) -> Path:
        """Folder, made here, for what only continuing needs; dropped once a larger budget has succeeded."""
        folder = self.folder / CHECKPOINT
        folder.mkdir(exist_ok=True)
        return folder

    def previous_state(self) -> Path | None:
        """What the trial to continue wrote into its `state_folder`; None if there is nothing to continue from."""
        folder = None if self.previous is None else self.previous / CHECKPOINT
        return folder if folder is not None and folder.is_dir() else None


@dataclass(frozen=True)
class Result:
    """What an evaluation measured.

    Attributes:
        loss: the objective, lower is better; a value that is not finite counts as diverged.
        curve: validation loss after each epoch from epoch 1 to the budget, continued epochs included.
        curves: further per-epoch values by name.
        metrics: final values of metrics on validation rows, in each metric's own direction.
        info: further facts: numbers, text, lists and mappings.
    """

    loss: float
    curve: tuple[float, ...] = ()
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)


Objective: TypeAlias = Callable[[Config, int, Checkpoint], Result | float]
"""`objective(config, budget, checkpoint)`: evaluate a configuration with `budget` epochs in total, return its loss."""


class Executor(Protocol):
    """Evaluates proposals, several at once if it can. An evaluation that fails is a row with a reason, never an error.

    `submit` as long as `n_free()` is positive, then `wait`. Every submitted proposal is answered by exactly one
    `Finished`, from `wait` or from `cancel_all`.
    """

    @property
    def n_workers(self) -> int:
        """How many evaluations can run at once."""
        ...

    def n_free(self) -> int:
        """How many more proposals can be submitted now."""
        ...

    def submit(self, proposal: Proposal, time_limit_s: float | None = None) -> None:
        """Start an evaluation.

        Args:
            proposal: what to evaluate.
            time_limit_s: seconds this evaluation may take; None: the executor's own limit, if it has one.

        Raises:
            RuntimeError: nothing is free, or the executor is closed.
        """
        ...

    def wait(self, timeout_s: float | None = None) -> list[Finished]:
        """Wait until at least one evaluation has ended.

        Args:
            timeout_s: give up after so many seconds; None: only return when something has ended.

        Returns:
            What has ended, in the order it ended. Empty after a timeout, and at once if nothing runs.
        """
        ...

    def cancel_all(self) -> list[Finished]:
        """End all running evaluations now.

        Returns:
            One line each: status cancelled, or the result of one that ended just before.
        """
        ...

    def now(self) -> float:
        """Seconds on the clock by which evaluations take time; only differences mean anything."""
        ...

    def close(self) -> None:
        """Give back workers; running evaluations are cancelled. Closing twice does nothing."""
        ...

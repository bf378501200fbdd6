"""How rows are grouped for one optimizer step.

`build` returns the number of rows of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autopytorch_lite.pipeline.graph import Component, Hyperparameter, Int
from autopytorch_lite.types import ConfigValue, DatasetInfo


class Minibatch(Component):
    """Shuffled minibatches of a fixed number of rows; builds that number."""

    name = "minibatch"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """The batch size, in rows."""
        return (Int("batch_size", 16, 512, log=True, default=128),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> int:
        """The batch size."""
        return int(values["batch_size"])


BATCHING = Minibatch()

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.lcbench_files import drawn_runs, main


@pytest.mark.parametrize("single", [True, False])
def test_drawn_runs_have_the_tags_and_digits_of_the_original_files(single: bool) -> None:
    runs = list(drawn_runs(5, n_configs=3, single=single))
    assert [run[:2] for run in runs] == [
        ("table 0", "0"), ("table 0", "1"), ("table 0", "2"), ("table 1", "0"), ("table 1", "1"),
    ]  # fmt: skip
    for _, _, record in runs:
        assert {"time", "epoch", "Train/lr", "Train/test_result", "Train/gradient_norm"} < set(record.log)
        assert f"Train/layer_wise_gradient_q10_layer_{record.config['num_layers'] - 1}" in record.log
        assert {len(curve) for curve in record.log.values()} == {52}
        values = np.array(record.log["Train/val_cross_entropy"])
        assert (values == values.astype(np.float32)).all() == single
    assert not any("gradient" in tag for tag in next(drawn_runs(1, gradients=False))[2].log)


def test_every_step_is_measured_and_nothing_is_left(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path), "--megabytes", "2", "--lightweight"])
    assert result.exit_code == 0, result.output
    rows = [line.split("{") for line in result.output.splitlines()[:-1]]
    assert [row[0].strip() for row in rows][::4] == ["write json", "json to lcb", "lcb to json"]
    assert '"found": true' in rows[-1][1], "converted there and back, the bytes are the same"
    assert float(result.output.split()[-3]) > 10, "times smaller"
    assert list(tmp_path.iterdir()) == []

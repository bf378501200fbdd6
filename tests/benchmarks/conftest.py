from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest and three small tables; iris has a column of whole numbers that the manifest calls categorical."""
    folder = tmp_path_factory.mktemp("tables")
    entries = []
    loaders = {"iris": load_iris, "cancer": load_breast_cancer, "diabetes": load_diabetes}
    tasks = {"iris": "multiclass", "cancer": "binary", "diabetes": "regression"}
    for name, loader in loaders.items():
        frame = loader(as_frame=True).frame
        if name == "iris":
            frame["petal_group"] = np.floor(frame["petal length (cm)"]).astype(int)
        frame.to_csv(folder / f"{name}.csv.gz", index=False)
        categorical = ["petal_group"] if name == "iris" else []
        entry = {"name": name, "file": f"{name}.csv.gz", "task": tasks[name], "target": "target"}
        entries.append(entry | {"categorical": categorical, "license_or_origin": "scikit-learn"})
    (folder / "manifest.json").write_text(json.dumps(entries))
    return folder

"""A backbone of your own joins the search: one class, one line. Run it: ``python examples/custom_backbone.py``."""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from autopytorch_lite import AutoTabularClassifier
from autopytorch_lite.pipeline.graph import Component, Float, Int
from autopytorch_lite.pipeline.registry import register


class PeriodicMLP(Component):
    """Sines and cosines of learned multiples of every column, then two dense layers."""

    name = "periodic_mlp"

    def hyperparameters(self, info):
        return (
            Int("n_frequencies", 2, 32, log=True, default=8),
            Float("frequency_scale", 0.01, 3.0, log=True, default=0.3),
            Int("width", 32, 512, log=True, default=128),
        )

    def build(self, values, info):
        return lambda d_in: PeriodicNet(d_in, **values)


class PeriodicNet(torch.nn.Module):
    """float32 (n, d_in) -> float32 (n, width)."""

    def __init__(self, d_in, n_frequencies, frequency_scale, width):
        super().__init__()
        self.d_out = width
        self.frequencies = torch.nn.Parameter(frequency_scale * torch.randn(d_in, n_frequencies))
        n_waves = 2 * d_in * n_frequencies
        self.dense = torch.nn.Sequential(
            torch.nn.Linear(n_waves, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()
        )

    def forward(self, x):
        angles = 2 * torch.pi * (x.unsqueeze(-1) * self.frequencies).flatten(1)
        return self.dense(torch.cat([angles.sin(), angles.cos()], dim=1))


register("backbone", PeriodicMLP())


def main():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    first = [{"backbone:__choice__": "periodic_mlp"}]  # tried before the search begins; the rest of it takes defaults
    clf = AutoTabularClassifier(time_limit=60, random_state=0, learners="neural", portfolio=first)
    clf.fit(X_train, y_train)
    tried = clf.history_["config:backbone:__choice__"].value_counts()
    print(f"Evaluations by backbone:\n{tried.to_string()}\nAccuracy on held-out rows: {clf.score(X_test, y_test):.3f}")


if __name__ == "__main__":
    main()

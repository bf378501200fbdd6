"""Transformations of the whole dense table, after scaling.

All of them are scikit-learn's. Their cost is bounded here. Above `MAX_ITERATIVE_ROWS` training rows, for kernel PCA
`MAX_KERNEL_ROWS`, they are fitted on a seeded sample of so many; numbers of components are cut to what the rows and
columns allow. A table that leaves nothing to transform (one column for a truncated SVD, all columns constant for ICA)
passes unchanged.

`build` returns a `FeatureStep`, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.decomposition import FastICA, KernelPCA, TruncatedSVD
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.preprocessing import PowerTransformer

from autopytorch_lite.pipeline.graph import Categorical, Component, Float, Hyperparameter, Int, Nothing
from autopytorch_lite.types import ConfigValue, DatasetInfo, FloatArray

MAX_KERNEL_ROWS = 1000
"""Rows on which kernel PCA is fitted at most; its eigenproblem grows with their cube."""

MAX_ITERATIVE_ROWS = 10_000
"""Rows on which methods that go over them again and again (SVD, ICA, power transformation) are fitted at most."""

MAX_COMPONENTS = 1000
"""Upper end of the ranges; the code base goes to 2000 (ICA, kernel PCA) and 10000, in minutes and gigabytes."""


@dataclass(frozen=True)
class FeatureStep:
    """A transformation to be made once the training rows are known.

    Attributes:
        transformer: class with scikit-learn's interface. A `random_state` it takes is set from the trial's seed.
        arguments: training rows (n, d), finite -> keyword arguments of the class; None: these rows pass unchanged.
        max_fit_rows: most rows that `fit` sees; None: all.
    """

    transformer: type
    arguments: Callable[[FloatArray], dict[str, Any] | None]
    max_fit_rows: int | None = None


class TruncatedSVDStep(Component):
    """Projection on the leading singular vectors, by a randomised solver."""

    name = "truncated_svd"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Columns to keep; cut to one less than there are."""
        return (Int("target_dim", 10, 256, default=128),)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> FeatureStep:
        """A projection to min(target_dim, d - 1) columns."""

        def arguments(X: FloatArray) -> dict[str, Any] | None:
            n_rows, d = X.shape
            return {"n_components": min(int(values["target_dim"]), d - 1, n_rows)} if d > 1 else None

        return FeatureStep(TruncatedSVD, arguments, MAX_ITERATIVE_ROWS)


class PowerTransformerStep(Component):
    """Yeo-Johnson: every column is bent towards a normal distribution and standardised."""

    name = "power_transformer"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> FeatureStep:
        """A power transformation."""
        return FeatureStep(PowerTransformer, lambda X: {}, MAX_ITERATIVE_ROWS)


class FastICAStep(Component):
    """Statistically independent directions instead of columns."""

    name = "fast_ica"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Algorithm, contrast function, whitening, and with it the number of directions."""
        return (
            Categorical("algorithm", ("parallel", "deflation"), default="parallel"),
            Categorical("fun", ("logcosh", "exp", "cube"), default="logcosh"),
            Categorical("whiten", (True, False), default=True),
            Int("n_components", 10, MAX_COMPONENTS, log=True, default=100, when={"whiten": (True,)}),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> FeatureStep:
        """ICA with at most as many directions as the columns span: more would divide by zero."""

        def arguments(X: FloatArray) -> dict[str, Any] | None:
            rank = int(np.linalg.matrix_rank(X - X.mean(axis=0)))
            if rank == 0:
                return None
            fixed = {"algorithm": values["algorithm"], "fun": values["fun"]}
            if not values["whiten"]:
                return fixed | {"whiten": False}
            return fixed | {"whiten": "unit-variance", "n_components": min(int(values["n_components"]), rank)}

        return FeatureStep(FastICA, arguments, MAX_ITERATIVE_ROWS)


class _Kernel(Component):
    """A kernel with its own hyperparameters, shared by the kernel methods."""

    kernels: ClassVar[tuple[str, ...]]
    kernels_with_gamma: ClassVar[tuple[str, ...]]
    coef0: ClassVar[tuple[float, float]]

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Number of components, kernel, and what that kernel takes."""
        polynomial_like = tuple(k for k in self.kernels if k in ("poly", "sigmoid"))
        return (
            Int("n_components", 10, MAX_COMPONENTS, log=True, default=100),
            Categorical("kernel", self.kernels, default="rbf"),
            Float("gamma", 2.0**-15, 8.0, log=True, default=0.1, when={"kernel": self.kernels_with_gamma}),
            Int("degree", 2, 5, default=3, when={"kernel": ("poly",)}),
            Float("coef0", *self.coef0, default=0.0, when={"kernel": polynomial_like}),
        )

    @staticmethod
    def kernel_arguments(values: Mapping[str, ConfigValue], n_fit_rows: int) -> dict[str, Any]:
        """The active hyperparameters, with no more components than rows."""
        active = {name: values[name] for name in ("kernel", "gamma", "degree", "coef0") if name in values}
        return active | {"n_components": min(int(values["n_components"]), n_fit_rows)}


class KernelPCAStep(_Kernel):
    """Principal components in a kernel's feature space.

    The sigmoid kernel and negative polynomial offsets are left out: they are not positive definite, which
    scikit-learn's solver refuses.
    """

    name = "kernel_pca"
    kernels = ("poly", "rbf", "cosine")
    kernels_with_gamma = ("poly", "rbf")
    coef0 = (0.0, 1.0)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> FeatureStep:
        """Kernel PCA fitted on at most `MAX_KERNEL_ROWS` rows."""
        return FeatureStep(
            KernelPCA, lambda X: self.kernel_arguments(values, len(X)) | {"eigen_solver": "dense"}, MAX_KERNEL_ROWS
        )


class NystroemStep(_Kernel):
    """A kernel's feature map, approximated on a sample of rows."""

    name = "nystroem"
    kernels = ("poly", "rbf", "sigmoid", "cosine")
    kernels_with_gamma = ("poly", "rbf", "sigmoid")
    coef0 = (-1.0, 1.0)

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> FeatureStep:
        """A Nystroem map on as many training rows as there are components."""
        return FeatureStep(Nystroem, lambda X: self.kernel_arguments(values, len(X)))


class KitchenSinks(Component):
    """Random Fourier features of the RBF kernel."""

    name = "kitchen_sinks"

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """Inverse width of the kernel, and the number of features."""
        return (
            Float("gamma", 2.0**-15, 8.0, log=True, default=0.1),
            Int("n_components", 50, MAX_COMPONENTS, log=True, default=100),
        )

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> FeatureStep:
        """A random feature map."""
        arguments = {"gamma": values["gamma"], "n_components": values["n_components"]}
        return FeatureStep(RBFSampler, lambda X: arguments)


PREPROCESSING = (
    Nothing(),
    TruncatedSVDStep(),
    PowerTransformerStep(),
    FastICAStep(),
    KernelPCAStep(),
    NystroemStep(),
    KitchenSinks(),
)

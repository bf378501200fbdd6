"""Which rows train and which validate."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

from autopytorch_lite.errors import DataError, UnknownNameError
from autopytorch_lite.types import Array, IntArray

MIN_ROWS = 4
"""Fewest rows that are split without the user saying how."""
MIN_ROWS_FOR_HOLDOUT = 2_500
MAX_VALIDATION_ROWS = 20_000
HOLDOUT_FRACTION = 0.2
MIN_ROWS_PER_FOLD = 5
N_GROUP_DRAWS = 20
"""Random divisions of the groups of which a grouped holdout takes the most balanced one."""


@runtime_checkable
class Splitter(Protocol):
    """Anything with scikit-learn's `split`."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterable[tuple[Array, Array]]:
        """Pairs of training and validation positions."""
        ...


Resampling: TypeAlias = str | float | int | Splitter | Iterable[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Fold:
    """Positions of one training and one validation part; int64 arrays that share no row."""

    train_idx: IntArray
    val_idx: IntArray


def make_folds(
    y: Array,
    *,
    is_classification: bool,
    resampling: Resampling = "auto",
    groups: IntArray | None = None,
    sample_weight: Array | None = None,
    seed: int = 0,
    X: Any = None,
) -> tuple[Fold, ...]:
    """Divide rows into training and validation parts.

    `resampling` is one of:

    - "auto": from 2,500 rows upward a holdout of 20 %, at most 20,000 validation rows; below that 5 folds; 3 folds
      where 5 would have fewer than 5 rows each; 2 below 6 rows. Never more folds than groups, nor than rows of the
      largest class.
    - a fraction between 0 and 1: that share of the rows validates.
    - a number of folds, at least 2: each row validates once.
    - a scikit-learn splitter: asked with the rows, the targets (class codes) and the groups. Its validation parts may
      leave rows out, as TimeSeriesSplit does.
    - an iterable of (training positions, validation positions).

    Own divisions (the first three) are shuffled and seeded. With groups, no group is on both sides; a holdout is the
    most balanced of 20 draws. Without groups and for classification they are stratified: a class with one row only
    trains, a class with more has rows on both sides (a holdout grows by a row per class that drew none). Nothing is
    stratified where every class has one row, and where the largest has fewer rows than the folds asked for. Rows of
    weight zero only train. Regression is not stratified.

    Args:
        y: class codes, shape (n,), or numbers, shape (n, n_targets).
        is_classification: whether y holds class codes.
        resampling: see above.
        groups: int array, shape (n,); rows of one group stay together.
        sample_weight: float array, shape (n,).
        seed: of the shuffling.
        X: what a splitter object gets to see as the table; positions if None.

    Raises:
        DataError: too few rows or groups, a fraction or number out of range, or parts that are empty, overlap or do not
            exist.
        UnknownNameError: a text other than "auto".
    """
    if not _is_own_rule(resampling):
        return _user_folds(resampling, y, groups, X)
    rows = np.arange(len(y)) if sample_weight is None else np.flatnonzero(sample_weight > 0)
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"At least {MIN_ROWS} rows of positive weight are needed to hold some out for validation, got"
            f" n_samples={len(rows)}."
        )
    task = _Division(
        codes=y[rows] if is_classification else None,
        groups=None if groups is None else groups[rows],
        n_rows=len(rows),
        seed=seed,
    )
    never_validated = np.setdiff1d(np.arange(len(y)), rows)
    folds = task.divide(resampling)
    return tuple(Fold(np.sort(np.append(rows[train], never_validated)), np.sort(rows[val])) for train, val in folds)


def _is_own_rule(resampling: Any) -> bool:
    if isinstance(resampling, bool | np.bool_):
        raise DataError(f"resampling must be 'auto', a fraction, a number of folds or a splitter, got {resampling!r}.")
    return isinstance(resampling, str | float | int | np.number)


Part: TypeAlias = tuple[IntArray, IntArray]
BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Division:
    """The rows to divide: class codes (None for regression), groups (None without), how many, and the seed."""

    codes: IntArray | None
    groups: IntArray | None
    n_rows: int
    seed: int

    def divide(self, resampling: Any) -> list[Part]:
        if isinstance(resampling, str):
            if resampling != "auto":
                raise UnknownNameError("resampling", resampling, ["auto"])
            return self._auto()
        if isinstance(resampling, int | np.integer):
            return self._folds(int(resampling))
        if not 0.0 < resampling < 1.0:
            raise DataError(f"A holdout fraction must be between 0 and 1, got resampling={resampling!r}.")
        return [self._holdout(min(max(round(self.n_rows * float(resampling)), 1), self.n_rows - 1))]

    def _auto(self) -> list[Part]:
        if self.n_rows >= MIN_ROWS_FOR_HOLDOUT:
            return [self._holdout(min(round(HOLDOUT_FRACTION * self.n_rows), MAX_VALIDATION_ROWS))]
        wanted = next((k for k, n in ((5, 5 * MIN_ROWS_PER_FOLD), (3, 6)) if self.n_rows >= n), 2)
        return self._folds(max(2, min(wanted, self._most_folds())))

    def _most_folds(self) -> int:
        if self.groups is not None:
            return len(np.unique(self.groups))
        largest = 0 if self.codes is None else int(np.bincount(self.codes).max())
        return largest if largest > 1 else self.n_rows

    def _holdout(self, n_val: int) -> Part:
        if self.groups is not None:
            return self._group_holdout(n_val)
        codes = self.codes
        if codes is None or (np.bincount(codes)[codes] == 1).all():
            return self._split(ShuffleSplit(1, test_size=n_val, random_state=self.seed))[0]
        counts = np.bincount(codes)
        several = np.flatnonzero(counts[codes] > 1)
        n_val = min(n_val, len(several) - 1)
        n_classes = int((counts > 1).sum())
        splitter = StratifiedShuffleSplit if n_classes <= min(n_val, len(several) - n_val) else ShuffleSplit
        train, val = next(splitter(1, test_size=n_val, random_state=self.seed).split(several, codes[several]))
        single = np.flatnonzero(counts[codes] == 1)
        return _every_class_on_both_sides(np.append(several[train], single), several[val], codes)

    def _group_holdout(self, n_val: int) -> Part:
        self._check_groups(2)
        draws = GroupShuffleSplit(N_GROUP_DRAWS, test_size=n_val / self.n_rows, random_state=self.seed)
        return min(self._split(draws), key=lambda part: self._imbalance(part[1], n_val))

    def _imbalance(self, val: IntArray, n_val: int) -> float:
        """Distance of a validation part from the wanted size and the wanted rows of each class, as shares of rows."""
        distance = abs(len(val) - n_val) / self.n_rows
        if self.codes is None:
            return distance
        counts = np.bincount(self.codes)
        found = np.bincount(self.codes[val], minlength=len(counts))
        return distance + float(np.abs(found - counts * n_val / self.n_rows).sum()) / self.n_rows

    def _folds(self, n_folds: int) -> list[Part]:
        if not 2 <= n_folds <= self.n_rows:
            raise DataError(f"The number of folds must be from 2 to the {self.n_rows} rows, got resampling={n_folds}.")
        if self.groups is not None:
            self._check_groups(n_folds)
            splitter = StratifiedGroupKFold if self._can_stratify(n_folds) else GroupKFold
            parts = self._split(splitter(n_folds, shuffle=True, random_state=self.seed))
            return [part for part in parts if len(part[0]) and len(part[1])]
        if self._can_stratify(n_folds):
            return self._stratified_folds(n_folds)
        return self._split(KFold(n_folds, shuffle=True, random_state=self.seed))

    def _can_stratify(self, n_folds: int) -> bool:
        return self.codes is not None and int(np.bincount(self.codes).max()) >= n_folds

    def _stratified_folds(self, n_folds: int) -> list[Part]:
        assert self.codes is not None
        several = np.bincount(self.codes)[self.codes] > 1
        rows, single = np.flatnonzero(several), np.flatnonzero(~several)
        part = _Division(self.codes[rows], None, len(rows), self.seed)
        folds = part._split(StratifiedKFold(n_folds, shuffle=True, random_state=self.seed))
        return [(np.append(rows[train], single), rows[val]) for train, val in folds]

    def _split(self, splitter: Splitter) -> list[Part]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")
            return list(splitter.split(np.zeros((self.n_rows, 1)), self.codes, self.groups))

    def _check_groups(self, n_parts: int) -> None:
        n_groups = 0 if self.groups is None else len(np.unique(self.groups))
        if n_groups < n_parts:
            raise DataError(f"Rows of one group stay together: {n_parts} parts need as many groups, got {n_groups}.")


def _every_class_on_both_sides(train: IntArray, val: IntArray, codes: IntArray) -> Part:
    """Move one row of each class that is on one side only; classes with one row stay in the training part."""
    counts = np.bincount(codes)
    n_val = np.bincount(codes[val], minlength=len(counts))
    to_val = _first_rows(train, codes, (n_val == 0) & (counts > 1))
    to_train = _first_rows(val, codes, (n_val == counts) & (counts > 0))
    return (
        np.append(np.setdiff1d(train, to_val), to_train),
        np.append(np.setdiff1d(val, to_train), to_val),
    )


def _first_rows(rows: IntArray, codes: IntArray, wanted: BoolArray) -> IntArray:
    """The first of `rows` of each wanted class; `wanted` is a mask over classes."""
    present, first = np.unique(codes[rows], return_index=True)
    return rows[first[wanted[present]]]


def _user_folds(resampling: Any, y: Array, groups: IntArray | None, X: Any) -> tuple[Fold, ...]:
    table = np.arange(len(y)).reshape(-1, 1) if X is None else X
    try:
        pairs = resampling.split(table, y, groups) if isinstance(resampling, Splitter) else resampling
        parts = [(np.asarray(train), np.asarray(val)) for train, val in pairs]
    except (TypeError, ValueError) as error:
        raise DataError(f"resampling={resampling!r} gives no pairs of training and validation rows: {error}") from error
    if not parts:
        raise DataError(f"resampling={resampling!r} gives no division of the rows.")
    return tuple(
        Fold(_positions(train, len(y), "training", number), _checked_validation(train, val, len(y), number))
        for number, (train, val) in enumerate(parts)
    )


def _positions(idx: Array, n_rows: int, what: str, number: int) -> IntArray:
    where = f"The {what} part of division {number}"
    if idx.dtype == bool and idx.shape == (n_rows,):
        idx = np.flatnonzero(idx)
    if idx.ndim != 1 or len(idx) == 0 or idx.dtype.kind not in "iu":
        raise DataError(f"{where} must be a non-empty array of positions, got shape {idx.shape} of {idx.dtype}.")
    if idx.min() < 0 or idx.max() >= n_rows:
        raise DataError(f"{where} names rows from {idx.min()} to {idx.max()}; the table has rows 0 to {n_rows - 1}.")
    return idx.astype(np.int64)


def _checked_validation(train: Array, val: Array, n_rows: int, number: int) -> IntArray:
    val = _positions(val, n_rows, "validation", number)
    if len(np.unique(val)) < len(val):
        raise DataError(f"The validation part of division {number} names rows more than once.")
    shared = np.intersect1d(_positions(train, n_rows, "training", number), val)
    if len(shared):
        raise DataError(f"Division {number} has {len(shared)} rows on both sides, the first is row {shared[0]}.")
    return val

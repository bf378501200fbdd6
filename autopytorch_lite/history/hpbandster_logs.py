"""Histories as HpBandSter's logs (`configs.json`, `results.json`) and back; the package itself is not needed.

Both files hold one JSON value per line. A line of `configs.json` is ``[id, configuration, facts about it]``, one of
`results.json` is ``[id, budget, time stamps, {"loss", "info"} or null, exception or null]``; an id is
``[iteration, stage, index]``. Source: HpBandSter 0.7.4, core/result.py, `json_result_logger`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from autopytorch_lite.errors import HistoryError
from autopytorch_lite.history.lines import load_line, to_plain
from autopytorch_lite.history.store import HistoryStore
from autopytorch_lite.history.summary import closed, proposals
from autopytorch_lite.history.trial import Finished, Line, Proposal, Proposed, Status, TrialKey, line_from_json

CONFIGS = "configs.json"
RESULTS = "results.json"
_Id: TypeAlias = tuple[int, int, int]
_EXTRAS = ("seconds", "curve", "curves", "metrics", "info", "worker")
_IN_CONFIG = ("type", "config_id", "config")
_MAX_ERROR = 500


def export_hpbandster(
    history: str | os.PathLike[str] | Iterable[Line], folder: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a history so that HpBandSter's `logged_results_to_HBS_result` and its plots read it.

    A bracket becomes an iteration. Curves, metrics and facts of a trial are in the `info` of its run, its origin and
    what else we know about a configuration in `config_info`. Trials that failed or were stopped early are runs without
    a result; their reason is the exception. Cancelled evaluations are left out.

    Args:
        history: a run directory, or history lines.
        folder: where the two files go; made if it is missing.
        overwrite: replace existing files.

    Returns:
        The folder.

    Raises:
        FileExistsError: the folder has such files, and `overwrite` is not set.
        HistoryError: no evaluation has finished, so HpBandSter could not read the files; or the run is damaged.
    """
    lines = HistoryStore(history).read() if isinstance(history, str | os.PathLike) else list(history)
    if not closed(lines):
        raise HistoryError("HpBandSter's logs hold at least one finished evaluation, this history has none.")
    folder = Path(folder)
    existing = [folder / name for name in (CONFIGS, RESULTS) if (folder / name).exists()]
    if existing and not overwrite:
        raise FileExistsError(f"{existing[0]} exists already; choose another folder, or overwrite=True.")
    folder.mkdir(parents=True, exist_ok=True)
    ids = _ids(lines)
    _write(folder / CONFIGS, _config_lines(lines, ids))
    _write(folder / RESULTS, (_result_line(line, ids[line.key.config_id]) for line in closed(lines)))
    return folder


def import_hpbandster(folder: str | os.PathLike[str], *, budget_scale: float = 1.0) -> list[Line]:
    """History lines of HpBandSter's logs, written by its `json_result_logger` or by `export_hpbandster`.

    What `export_hpbandster` wrote comes back as it was, cancelled evaluations aside. From other logs come the
    configurations, losses, times and errors; `info` of a run is in `Finished.info`. An evaluation that raised, or whose
    loss is not finite, is a failed trial. Times count from the first submission.

    Args:
        folder: holds `configs.json` and `results.json`.
        budget_scale: epochs per unit of HpBandSter's budget; the product is rounded to whole epochs.

    Returns:
        Proposals and finished evaluations in the order of their times.

    Raises:
        HistoryError: a file is missing or damaged, or two budgets round to the same number of epochs or one to zero.
    """
    folder = Path(folder)
    configs = [_read_config(values, number) for number, values in enumerate(_read(folder / CONFIGS))]
    runs = [_read_run(values) for values in _read(folder / RESULTS)]
    epochs = _epochs({run.budget for run in runs}, budget_scale)
    by_id = {config.id: config for config in configs}
    unknown = [run.id for run in runs if run.id not in by_id]
    if unknown:
        raise HistoryError(f"Every run belongs to a line of {CONFIGS}, but {folder / CONFIGS} lacks {unknown[0]}.")
    origin_s = min((run.submitted_s for run in runs), default=0.0)
    runs_of: dict[_Id, dict[int, _LoggedRun]] = {config.id: {} for config in configs}
    for run in runs:
        runs_of[run.id][epochs[run.budget]] = run
    ordered = [line for config in configs for line in _lines_of(config, runs_of[config.id], origin_s)]
    return [line for _, line in sorted(ordered, key=lambda item: item[0])]


# writing


def _ids(lines: Sequence[Line]) -> dict[int, _Id]:
    """HpBandSter's id of each configuration: brackets numbered without gaps, then the order within."""
    iterations: dict[int | None, int] = {}
    sizes: dict[int, int] = {}
    ids: dict[int, _Id] = {}
    for proposal in proposals(lines).values():
        if proposal.config_id not in ids:
            iteration = iterations.setdefault(proposal.bracket, len(iterations))
            ids[proposal.config_id] = (iteration, 0, sizes.setdefault(iteration, 0))
            sizes[iteration] += 1
    return ids


def _config_lines(lines: Sequence[Line], ids: Mapping[int, _Id]) -> Iterator[Any]:
    positions = _positions(lines)
    failures = {line.key: {"loss": line.loss, **_extras(line)} for line in closed(lines) if not line.ok}
    by_config: dict[int, list[Proposal]] = {}
    for proposal in proposals(lines).values():
        by_config.setdefault(proposal.config_id, []).append(proposal)
    for config_id, trials in by_config.items():
        facts = {
            "config_id": config_id,
            "origin": trials[0].origin,
            "model_based_pick": trials[0].origin == "model",
            "trials": [_trial(trial, positions[trial.key], failures.get(trial.key)) for trial in trials],
        }
        yield ids[config_id], trials[0].config, facts


def _trial(proposal: Proposal, positions: Sequence[int], failure: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a proposal says beyond its configuration, the numbers of its lines, and what one not ok measured."""
    facts = {name: value for name, value in Proposed(proposal).to_json().items() if name not in _IN_CONFIG}
    return {**facts, "lines": list(positions), **({} if failure is None else {"failed": failure})}


def _positions(lines: Sequence[Line]) -> dict[TrialKey, list[int]]:
    """Numbers of the lines of each trial, cancelled ones aside; they order lines of the same moment."""
    kept = [line for line in lines if isinstance(line, Proposed) or line.status is not Status.CANCELLED]
    found: dict[TrialKey, list[int]] = {}
    for number, line in enumerate(kept):
        found.setdefault(line.key, []).append(number)
    return found


def _result_line(line: Finished, config_id: _Id) -> Any:
    started_s = min(max(line.started_s, line.finished_s - line.seconds), line.finished_s)
    stamps = {"submitted": line.started_s, "started": started_s, "finished": line.finished_s}
    result = {"loss": line.loss, "info": _extras(line)} if line.ok else None
    exception = None if line.ok else f"{line.status.value}: {line.error}\n{line.traceback}"
    return config_id, float(line.key.budget), stamps, result, exception


def _extras(line: Finished) -> dict[str, Any]:
    return {name: getattr(line, name) for name in _EXTRAS}


def _write(path: Path, values: Iterable[Any]) -> None:
    texts = [json.dumps(to_plain(value), allow_nan=False) + "\n" for value in values]
    path.write_text("".join(texts), encoding="utf-8")


# reading


@dataclass(frozen=True)
class _LoggedConfig:
    """One line of `configs.json`. `number` is its place in the file; `facts` is empty where the logger wrote none."""

    id: _Id
    number: int
    config: Mapping[str, Any]
    facts: Mapping[str, Any]

    @property
    def config_id(self) -> int:
        return int(self.facts.get("config_id", self.number))

    @property
    def origin(self) -> str:
        return str(self.facts.get("origin", "model" if self.facts.get("model_based_pick") else "random"))

    def trial(self, epochs: int) -> Mapping[str, Any]:
        """What `export_hpbandster` noted about the trial; empty if another program wrote the log."""
        return next((trial for trial in self.facts.get("trials", ()) if trial["budget"] == epochs), {})


@dataclass(frozen=True)
class _LoggedRun:
    """One line of `results.json`."""

    id: _Id
    budget: float
    stamps: Mapping[str, float]
    result: Mapping[str, Any] | None
    exception: str | None

    @property
    def submitted_s(self) -> float:
        return float(self.stamps["submitted"])


def _read(path: Path) -> list[Any]:
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise HistoryError(f"HpBandSter's logs are {CONFIGS} and {RESULTS}, but {path} does not exist.") from error
    values = []
    for number, text in enumerate(texts, start=1):
        try:
            values.append(json.loads(text))
        except ValueError as error:
            raise HistoryError(f"Every line of {path} is a JSON value, line {number} is damaged: {error}") from error
    return values


def _read_config(values: Any, number: int) -> _LoggedConfig:
    try:
        facts = values[2] if len(values) > 2 and isinstance(values[2], dict) else {}
        return _LoggedConfig(_read_id(values[0]), number, dict(values[1]), facts)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise HistoryError(f"A line of {CONFIGS} is [id, configuration, facts], got {values!r:.200}") from error


def _read_run(values: Any) -> _LoggedRun:
    try:
        config_id, budget, stamps, result, exception = values
        return _LoggedRun(_read_id(config_id), float(budget), {**stamps}, result, exception)
    except (KeyError, TypeError, ValueError) as error:
        raise HistoryError(
            f"A line of {RESULTS} is [id, budget, time stamps, result, exception], got {values!r:.200}"
        ) from error


def _read_id(values: Any) -> _Id:
    iteration, stage, index = values
    return int(iteration), int(stage), int(index)


def _epochs(budgets: Iterable[float], scale: float) -> dict[float, int]:
    """Whole epochs of each of HpBandSter's budgets."""
    epochs = {budget: round(budget * scale) for budget in sorted(budgets)}
    if min(epochs.values(), default=1) < 1 or len(set(epochs.values())) < len(epochs):
        raise HistoryError(
            f"Budgets are whole epochs, at least 1 and all different, got {[*epochs]} x {scale:g} -> "
            f"{[*epochs.values()]}. Give another budget_scale."
        )
    return epochs


_Moment: TypeAlias = tuple[float, float]


def _lines_of(
    config: _LoggedConfig, logged: Mapping[int, _LoggedRun], origin_s: float
) -> Iterator[tuple[_Moment, Line]]:
    """Lines of one configuration, each with what orders it among the others."""
    noted = [int(trial["budget"]) for trial in config.facts.get("trials", ())]
    for rung, budget in enumerate(noted or sorted(logged)):
        trial = config.trial(budget)
        run = logged.get(budget)
        proposal = _proposal(config, budget, rung, trial)
        proposed_at, finished_at = _moments(trial, run, origin_s)
        yield proposed_at, Proposed(proposal)
        if run is not None:
            yield finished_at, _finished(proposal.key, run, trial, 0.0 if trial else origin_s)


def _moments(trial: Mapping[str, Any], run: _LoggedRun | None, origin_s: float) -> tuple[_Moment, _Moment]:
    """Line numbers where our export noted them, otherwise seconds; at the same second, ends come before starts."""
    if trial:
        return (trial["lines"][0], 0), (trial["lines"][-1], 0)
    assert run is not None, "a trial of another program is known by its run"
    started, finished = run.submitted_s - origin_s, float(run.stamps["finished"]) - origin_s
    return (started, 1), (finished, 2 if finished == started else 0)


def _proposal(config: _LoggedConfig, budget: int, rung: int, trial: Mapping[str, Any]) -> Proposal:
    proposal = Proposal(config.config_id, dict(config.config), budget, None, config.origin, config.id[0], rung)
    facts = {name: value for name, value in trial.items() if name not in ("lines", "failed")}
    line = line_from_json({**Proposed(proposal).to_json(), **facts})
    assert isinstance(line, Proposed), "the data says so"
    return line.proposal


def _finished(key: TrialKey, run: _LoggedRun, trial: Mapping[str, Any], origin_s: float) -> Finished:
    stamps = {name: float(value) - origin_s for name, value in run.stamps.items()}
    data = {
        "type": "finished",
        "key": list(key),
        "seconds": stamps["finished"] - stamps["started"],
        "started_s": stamps["submitted"],
        "finished_s": stamps["finished"],
        **_outcome(run),
        **_extras_of(run, trial),
    }
    line = load_line(json.dumps(data))
    assert isinstance(line, Finished), "the data says so"
    return line


def _outcome(run: _LoggedRun) -> dict[str, Any]:
    """Status, loss and error of a run."""
    loss = None if run.result is None else run.result.get("loss")
    if loss is not None and math.isfinite(loss):
        return {"status": "ok", "loss": float(loss)}
    if run.exception is None:
        return {"status": "diverged", "error": f"The loss must be finite, got {loss}."}
    return _failure(run.exception)


def _failure(exception: str) -> dict[str, Any]:
    """Our form is "status: error", then the traceback; HpBandSter's is a traceback, or one sentence."""
    first, _, rest = exception.partition("\n")
    status, _, error = first.partition(": ")
    if status in {status.value for status in Status}:
        return {"status": status, "error": error, "traceback": rest}
    is_traceback = exception.startswith("Traceback")
    return {"status": "crashed", "error": error_of(exception), "traceback": exception if is_traceback else ""}


def error_of(exception: str) -> str:
    """The line of a traceback that names the error, at most 500 characters; the first line of any other text."""
    lines = exception.strip().splitlines() or [""]
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[frames[-1] :] if frames else lines
    return next((line for line in after if not line.startswith(" ")), lines[-1])[:_MAX_ERROR]


def _extras_of(run: _LoggedRun, trial: Mapping[str, Any]) -> dict[str, Any]:
    """Curves, metrics and facts where our export put them; otherwise the `info` of the run as it is."""
    if trial:
        return dict(trial["failed"] if "failed" in trial else (run.result or {})["info"])
    info = None if run.result is None else run.result.get("info")
    if info is None:
        return {}
    return {"info": to_plain(info if isinstance(info, dict) else {"info": info})}

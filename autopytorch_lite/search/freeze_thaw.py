"""The searcher to begin with: one model of all rungs decides, training by training, whom to begin and to continue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache

from ConfigSpace import ConfigurationSpace
from threadpoolctl import ThreadpoolController

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.history.trial import (
    EARLIER_RUN,
    Done,
    Finished,
    Line,
    Proposal,
    Proposed,
    Status,
    TrialKey,
    Wait,
)
from autopytorch_lite.portfolio import PerformanceMatrix
from autopytorch_lite.search.base import Costs
from autopytorch_lite.search.brackets import rungs
from autopytorch_lite.search.freeze_thaw_candidates import Candidates, Options
from autopytorch_lite.search.gaussian_process import Geometry
from autopytorch_lite.search.ledger import Ledger
from autopytorch_lite.search.portfolio import BASELINE_ORIGIN, ORIGIN, Portfolio
from autopytorch_lite.search.sampling import ConfigurationSampler, search_rng
from autopytorch_lite.search.task_prior import TaskPrior
from autopytorch_lite.types import Config

_MAX_ALIVE = 200
"""So many configurations may be continued at most; the least promising ones are given up, and their checkpoints."""


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class FreezeThaw:
    """Bayesian optimisation over (configuration, rung): train the most promising configuration one rung further.

    A Gaussian process joins what was observed at all rungs and, if there is a prior, what is known from other tasks.
    Candidates are random configurations, those of the prior, those begun before, and the neighbours of the best. For
    each the best plan is found: train up to some rung, and go on only if what is seen there is good enough. The one
    that may become best at the largest budget, for the price of time (see `foresight`), is begun (origin "model") or
    continued from its checkpoint. Nobody waits for a rung to fill.

    Args:
        space: what to search.
        min_budget: smallest budget that may be used, epochs.
        max_budget: largest budget, epochs.
        eta: quotient of neighbouring rungs.
        prior: losses and times of configurations of the same space on other tasks, at any budgets.
        portfolio: configurations to begin with, all at the lowest rung.
        baseline: configurations the user already trusts, evaluated before all others, at the largest budget.
        seed: of everything random.
        n_candidates: random configurations to choose from.
        n_local: neighbours looked at for each proposal.
        cost_exponent: 0 ignores time, 1 asks for improvement per second; None: 0.3 with a prior, which knows what takes
            long, else 0. With 0, seconds change nothing and a search can be repeated.
        foresight: how many times more improvement per cost is to be had now than later on: 1 takes whoever promises
            most for the next training, more prefers those that may become much better than that; None: 1 with a prior,
            else 100.
        costs: predicts what evaluations take, so that nothing begins that cannot end in time, and the portfolio begins
            with what is short. The searcher tells it the history. None: seconds per epoch are learned from the
            evaluations that ended, in the units of `cost_exponent` only, and time limits are not looked at.

    Raises:
        BudgetError: budgets or eta contradict each other.
        SpaceError: an entry of portfolio or baseline is not valid in the space.
        PortfolioError: the prior does not fit the space.
        ValueError: a setting is out of range.

    Source: the idea of freezing and thawing: Swersky, Snoek, Adams (2014), arXiv:1406.3896.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        *,
        min_budget: int = 1,
        max_budget: int = 50,
        eta: float = 3,
        prior: PerformanceMatrix | None = None,
        portfolio: Sequence[Config] = (),
        baseline: Sequence[Config] = (),
        seed: int = 0,
        n_candidates: int = 300,
        n_local: int = 120,
        cost_exponent: float | None = None,
        foresight: float | None = None,
        costs: Costs | None = None,
    ):
        self.space = space
        if cost_exponent is None:
            cost_exponent = 0.0 if prior is None else 0.3
        if foresight is None:
            foresight = 100.0 if prior is None else 1.0
        self._options = Options(eta, n_candidates, n_local, cost_exponent, foresight)
        self._budgets = rungs(min_budget, max_budget, eta)
        self._sampler = ConfigurationSampler(space)
        self._baseline = Portfolio(baseline, self._sampler, "Baseline")
        self._portfolio = Portfolio(portfolio, self._sampler, without=self._baseline.entries)
        self._seed = seed
        self._costs = costs
        self._ledger = Ledger()
        self._geometry = Geometry(self._sampler.codec.n_choices)
        self._prior = None if prior is None else TaskPrior(prior, self._sampler.codec, self._geometry, self._budgets)
        self.settings = self._identity()
        self._candidates: Candidates | None = None
        self._unread: list[Line] = []
        self._alive: dict[int, int] = {}  # config_id -> highest rung finished, of those that may be continued

    def ask(self) -> Proposal | Wait | Done:
        """The next proposal; see `Searcher`."""
        return self.ask_within(math.inf)

    def ask_within(self, limit_s: float) -> Proposal | Wait | Done:
        """The next proposal that ends in time; see `AsksWithin`. Without `costs` the limit makes no difference.

        A baseline is proposed in any case: the user asked for it.
        """
        config_id = len(self._ledger.configs)
        trusted = self._baseline.next_unknown(self._ledger)
        if trusted is not None:
            return Proposal(config_id, trusted, self._budgets[-1], origin=BASELINE_ORIGIN)
        entry = self._next_entry(limit_s)
        if entry is not None:
            return Proposal(config_id, entry, self._budgets[0], origin=ORIGIN, rung=0)
        proposal = self._choose(limit_s) if self._alive or self._can_grow else None
        if proposal is None:
            return Wait() if self._ledger.open_proposals() else Done()
        return proposal

    def tell(self, line: Proposed | Finished) -> None:
        """Take in one history line; see `Searcher`."""
        self._ledger.check(line)
        if isinstance(line, Proposed) and line.proposal.resume_from is None:
            self._check_config(line.proposal)
        self._ledger.record(line)
        if self._costs is not None:
            self._costs.tell(line)
        if isinstance(line, Proposed):
            self._alive.pop(line.key.config_id, None)
        elif line.status is not Status.CANCELLED:
            self._note_continuable(line)
        self._unread.append(line)

    def open_proposals(self) -> list[Proposal]:
        """Proposals that have not finished, in the order proposed."""
        return self._ledger.open_proposals()

    def incumbent(self) -> Finished | None:
        """The best finished trial on the largest budget evaluated so far."""
        return self._ledger.incumbent()

    def continuable(self) -> set[TrialKey]:
        """Trials whose checkpoints are still needed; see `KnowsContinuable`."""
        keys = {TrialKey(config_id, self._budgets[rung]) for config_id, rung in self._alive.items()}
        for proposal in self._ledger.open_proposals():
            keys.add(proposal.key)
            if proposal.resume_from is not None:
                keys.add(TrialKey(proposal.config_id, proposal.resume_from))
        return keys

    def _next_entry(self, limit_s: float) -> Config | None:
        """The next entry of the portfolio."""
        if self._costs is None:
            return self._portfolio.next_unknown(self._ledger)
        return self._portfolio.next_affordable(self._ledger, self._costs, self._budgets[0], limit_s)

    def _identity(self) -> dict[str, object]:
        settings: dict[str, object] = {
            "budgets": list(self._budgets),
            **asdict(self._options),
            "seed": self._seed,
            "portfolio": [dict(entry) for entry in self._portfolio.entries],
        }
        if self._baseline.entries:
            settings["baseline"] = [dict(entry) for entry in self._baseline.entries]
        if self._prior is not None:
            settings["prior"] = self._prior.fingerprint
        return settings

    def _check_config(self, proposal: Proposal) -> None:
        try:
            self._sampler.check(proposal.config)
        except (SpaceError, UnknownNameError) as error:
            raise ValueError(f"Trial {proposal.key} must be a configuration of the space: {error}") from error

    def _note_continuable(self, line: Finished) -> None:
        """A success below the largest budget may be continued; nobody has the checkpoints of an earlier run."""
        config_id, budget = line.key
        if line.ok and budget in self._budgets[:-1] and self._ledger.origins[config_id] != EARLIER_RUN:
            self._alive[config_id] = self._budgets.index(budget)
        if len(self._alive) > _MAX_ALIVE:
            del self._alive[max(self._alive, key=self._hopelessness)]

    def _hopelessness(self, config_id: int) -> tuple[int, float, int]:
        rung = self._alive[config_id]
        return -rung, self._ledger.losses(self._budgets[rung])[config_id], config_id

    @property
    def _can_grow(self) -> bool:
        n_configurations = self._sampler.n_configurations
        return n_configurations is None or self._ledger.n_distinct < n_configurations

    def _up_to_date(self) -> Candidates:
        """The candidates and their model, with every line read; what is read when makes no difference."""
        if self._candidates is None:
            self._candidates = Candidates(
                self._sampler, self._geometry, self._budgets, self._prior, self._options, self._seed, self._costs
            )
        for line in self._unread:
            self._candidates.read(line, self._ledger)
        self._unread.clear()
        return self._candidates

    def _choose(self, limit_s: float) -> Proposal | None:
        rng = search_rng(self._seed, self._ledger.n_proposed)
        with _blas().limit(limits=1):  # the matrices are small, and other cores have trainings to do
            choice = self._up_to_date().choose(rng, self._ledger, self._alive, limit_s, can_grow=self._can_grow)
        if choice is None:
            return None
        if isinstance(choice, int):
            rung = self._alive[choice] + 1
            config, origin = dict(self._ledger.configs[choice]), self._ledger.origins[choice]
            return Proposal(choice, config, self._budgets[rung], self._budgets[rung - 1], origin, rung=rung)
        return Proposal(len(self._ledger.configs), choice, self._budgets[0], origin="model", rung=0)

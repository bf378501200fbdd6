"""Searchers: which configuration to evaluate next, and for how many epochs. Import from here."""

from autopytorch_lite.history.trial import Done, Finished, Proposal, Proposed, Status, TrialKey, Wait
from autopytorch_lite.search.base import Searcher
from autopytorch_lite.search.bohb import BOHB
from autopytorch_lite.search.freeze_thaw import FreezeThaw
from autopytorch_lite.search.hyperband import Hyperband
from autopytorch_lite.search.random_search import RandomSearch

__all__ = [
    "BOHB",
    "Done",
    "Finished",
    "FreezeThaw",
    "Hyperband",
    "Proposal",
    "Proposed",
    "RandomSearch",
    "Searcher",
    "Status",
    "TrialKey",
    "Wait",
]

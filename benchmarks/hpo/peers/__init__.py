"""Public searchers, each in a Python environment of its own, asked over pipes. All accounting stays on this side."""

from benchmarks.hpo.peers.client import PeerError, PeerProcess, run_peer

__all__ = ["PeerError", "PeerProcess", "run_peer"]

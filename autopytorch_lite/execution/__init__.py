"""Evaluating proposals: in this process or in worker processes, with limits, failures as history lines."""

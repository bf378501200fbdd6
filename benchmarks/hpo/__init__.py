"""Comparison of searchers, ours and public ones: fewer trainings to the same result, on simulated time.

See `docs/hpo_benchmark.md` for the definitions and the commands.
"""

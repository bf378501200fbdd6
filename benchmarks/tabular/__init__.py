"""Predictive performance on a folder of tables: ours and public systems, at equal cores and seconds."""

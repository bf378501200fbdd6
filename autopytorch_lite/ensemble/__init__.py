"""Greedy ensemble selection, the library it selects from, and the predictor it leaves behind."""

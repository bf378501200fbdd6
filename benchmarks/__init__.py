"""Measurements: predictive performance on tables and speed of the search. Nothing else imports this package."""

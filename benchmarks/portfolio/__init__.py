"""Builds the performance matrix and the portfolio that ship in search_spaces."""

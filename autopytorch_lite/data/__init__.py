"""Validated tables: column kinds, encoded arrays, targets, splits, readers, meta-features."""

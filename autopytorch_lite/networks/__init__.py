"""Torch modules for tables: shapes, embeddings, backbones, heads; no search space and no files."""

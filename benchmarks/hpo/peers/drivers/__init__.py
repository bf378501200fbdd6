"""Scripts that run in the environments of the public searchers; nothing here imports this package."""

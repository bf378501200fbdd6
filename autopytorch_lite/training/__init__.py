"""Training of a network on tensors in memory: the epoch loop, its parts, and exact checkpoints."""

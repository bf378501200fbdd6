"""The components of the default graph, one step a file."""

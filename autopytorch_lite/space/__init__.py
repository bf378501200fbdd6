"""Component graph + ranges + facts about the data -> search space; configurations as vectors and as text."""

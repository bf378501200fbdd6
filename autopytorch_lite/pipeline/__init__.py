"""The component graph, the components of every step, and the learners that a configuration builds."""

"""Whether everything that a space offers can be used here."""

from __future__ import annotations

from ConfigSpace import ConfigurationSpace

from autopytorch_lite.pipeline.graph import Node, choice_name
from autopytorch_lite.space.domains import domain_of


def require_installed(space: ConfigurationSpace, graph: Node) -> None:
    """Refuse a space some of whose components need packages that are not installed.

    Args:
        space: what `compile(graph, ...)` returned.
        graph: the component graph.

    Raises:
        MissingExtraError: naming the first such component, its package and the extra that installs it.
    """
    for node, component in graph.walk_components():
        choice = choice_name(node.name)
        if not component.is_installed() and choice in space and domain_of(space[choice]).contains(component.name):
            component.load_package()

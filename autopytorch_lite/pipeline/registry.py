"""Components that users add to the default graph: one line, and the component takes part in the search."""

from __future__ import annotations

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.pipeline.graph import Component

_registered: dict[str, dict[str, Component]] = {}


def register(node: str, component: Component) -> None:
    """Offer `component` as one more option of the choice `node` in every graph made from now on.

    Registering the same name for the same node again replaces the earlier component, so that a notebook cell can be run
    twice. Whether the node exists is known when the graph is made.

    Raises:
        SpaceError: `component` is not a `Component` object.
    """
    if not isinstance(component, Component):
        raise SpaceError(f"Only a Component object can be registered (an instance, not a class), got {component!r}.")
    _registered.setdefault(node, {})[component.name] = component


def unregister(node: str, name: str) -> Component:
    """Take a registered component back and return it.

    Raises:
        UnknownNameError: no component of that name was registered for `node`.
    """
    if name not in _registered.get(node, {}):
        raise UnknownNameError(f"component registered for {node}", name, _registered.get(node, {}))
    return _registered[node].pop(name)


def registered() -> tuple[tuple[str, Component], ...]:
    """Every (node name, component) registered, in order."""
    return tuple((node, component) for node, components in _registered.items() for component in components.values())

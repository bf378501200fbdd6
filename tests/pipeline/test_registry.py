import pytest

from autopytorch_lite.errors import SpaceError, UnknownNameError
from autopytorch_lite.pipeline.graph import Nothing
from autopytorch_lite.pipeline.registry import register, registered, unregister


@pytest.fixture
def node():
    """A node name nobody else registers for."""
    name = "registry_test_node"
    yield name
    for at, component in registered():
        if at == name:
            unregister(at, component.name)


def of(node):
    return [component for at, component in registered() if at == node]


def test_registered_components_are_listed_until_taken_back(node):
    component = Nothing()
    register(node, component)
    assert of(node) == [component]
    assert unregister(node, "none") is component
    assert of(node) == []


def test_registering_a_name_again_replaces_it(node):
    first, second = Nothing(), Nothing()
    register(node, first)
    register(node, second)
    assert of(node) == [second]


def test_classes_are_refused(node):
    with pytest.raises(SpaceError, match="instance, not a class"):
        register(node, Nothing)


def test_unregistering_what_is_not_there_is_an_error(node):
    with pytest.raises(UnknownNameError, match="'none'"):
        unregister(node, "none")

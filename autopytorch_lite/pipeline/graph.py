"""The component graph: components, and the nodes that compose them.

A graph is frozen data that prints as a tree and knows nothing of ConfigSpace or torch. What is searched
(`space.compile`) and what is built (`pipeline.build`) are both derived from it by walking it.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from autopytorch_lite.errors import MissingExtraError, SpaceError, UnknownNameError
from autopytorch_lite.pipeline.hyperparameters import (
    Categorical,
    Constant,
    Float,
    Hyperparameter,
    Int,
    When,
    check_name,
)
from autopytorch_lite.types import Config, ConfigValue, DatasetInfo

__all__ = [
    "CHOICE_SUFFIX",
    "Categorical",
    "Choice",
    "Component",
    "Constant",
    "Float",
    "Hyperparameter",
    "Int",
    "Node",
    "Nothing",
    "Optional",
    "Sequential",
    "Step",
    "When",
    "choice_name",
    "full_name",
    "learner_of",
    "local_values",
]

CHOICE_SUFFIX = "__choice__"

# Components ------------------------------------------------------------------------------------------


class Component(ABC):
    """One way of doing one step. Subclasses set `name`, declare hyperparameters, and build the step from their values.

    The first sentence of a subclass's docstring is its description.

    Attributes:
        name: unique among the options of a choice.
        package: module that must be importable, if the component needs one that the core lacks.
        extra: extra of this package that installs it.
    """

    name: ClassVar[str]
    package: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    def applies(self, info: DatasetInfo) -> bool:
        """Whether this component can be used for such data."""
        return True

    def hyperparameters(self, info: DatasetInfo) -> Sequence[Hyperparameter]:
        """What can be chosen, with names local to the component."""
        return ()

    @abstractmethod
    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> Any:
        """The step itself.

        Args:
            values: local hyperparameter name -> value, active ones only.
            info: facts about the data.
        """

    @classmethod
    def is_installed(cls) -> bool:
        """Whether the package that it needs is there."""
        return not cls.package or importlib.util.find_spec(cls.package) is not None

    @classmethod
    def load_package(cls) -> Any:
        """The package that it needs.

        Raises:
            MissingExtraError: it is not installed.
        """
        if not cls.is_installed():
            raise MissingExtraError(cls.package, cls.extra, f"The component {cls.name!r}")
        return importlib.import_module(cls.package)

    @classmethod
    def description(cls) -> str:
        """The first sentence of the class's docstring."""
        text = " ".join((cls.__doc__ or "").split())
        return text.split(". ")[0].rstrip(".")


class Nothing(Component):
    """Leave this step out."""

    name = "none"

    def build(self, values: Mapping[str, ConfigValue], info: DatasetInfo) -> None:
        """Nothing to build."""
        return


# Nodes -----------------------------------------------------------------------------------------------


class Node:
    """What `Step`, `Choice` and `Sequential` share: walking, finding, changing, printing. Node names are unique."""

    name: str

    def _inner(self) -> tuple[Node, ...]:
        """Nodes directly inside this one, in order."""
        return ()

    def walk(self) -> Iterator[Node]:
        """This node and all nodes inside it, depth first, in order."""
        yield self
        for node in self._inner():
            yield from node.walk()

    def walk_components(self) -> Iterator[tuple[Step | Choice, Component]]:
        """Every component with the node it belongs to, in order of `walk`."""
        for node in self.walk():
            if isinstance(node, Step):
                yield node, node.component
            elif isinstance(node, Choice):
                yield from ((node, option) for option in node.options if isinstance(option, Component))

    def find(self, name: str) -> Node:
        """The node of that name.

        Raises:
            UnknownNameError: there is none.
        """
        nodes = {node.name: node for node in self.walk()}
        if name not in nodes:
            raise UnknownNameError("graph node", name, nodes)
        return nodes[name]

    def with_option(self, node_name: str, component: Component) -> Any:
        """A copy of this graph in which the choice `node_name` has one option more.

        Raises:
            UnknownNameError: there is no such node.
            SpaceError: it is not a `Choice`, or has an option of that name already.
        """
        choice = self.find(node_name)
        if not isinstance(choice, Choice):
            raise SpaceError(f"Options can only be added to a Choice; {node_name!r} is a {type(choice).__name__}.")
        return _swap(self, choice, replace(choice, options=(*choice.options, component)))

    def validate(self) -> None:
        """Check what only the whole graph can tell: names are unique, and `requires` names choices that come earlier.

        Raises:
            SpaceError: naming the culprit.
        """
        _check_unique([node.name for node in self.walk()], "Node names must differ in a graph")
        earlier: dict[str, Choice] = {}
        for node in self.walk():
            if isinstance(node, Choice):
                _check_requires(node, earlier)
                earlier[node.name] = node

    def tree(self, info: DatasetInfo | None = None) -> str:
        """The graph as a picture; with `info`, only what applies to such data, and with hyperparameter names."""
        return "\n".join(_draw(self, info, "", ""))

    def __str__(self) -> str:
        return self.tree()


@dataclass(frozen=True)
class Step(Node):
    """A step with exactly one component; absent where the component does not apply."""

    name: str
    component: Component

    def __post_init__(self) -> None:
        check_name(self.name, "A node")
        _check_component(self.component, self.name)

    __str__ = Node.__str__


@dataclass(frozen=True)
class Choice(Node):
    """A step that is done by one of several components or sequences; absent where no option applies.

    Attributes:
        name: unique in the graph.
        options: components and sequences, names unique within the choice.
        default: name of the option used where nothing else is said; the first one unless given.
        requires: active only if each choice named here (an earlier node) has taken one of the given options.
    """

    name: str
    options: tuple[Component | Sequential, ...]
    default: str | None = None
    requires: Mapping[str, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "A node")
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise SpaceError(f"Choice {self.name!r} needs at least one option.")
        for option in self.options:
            if not isinstance(option, Sequential):
                _check_component(option, self.name)
        names = [option.name for option in self.options]
        _check_unique(names, f"Options of choice {self.name!r} must have different names")
        if self.default is not None and self.default not in names:
            raise SpaceError(f"Choice {self.name!r}: the default must be one of {names}, got {self.default!r}.")
        _check_unique([node.name for node in self.walk()], "Node names must differ in a graph")

    def _inner(self) -> tuple[Node, ...]:
        return tuple(option for option in self.options if isinstance(option, Sequential))

    def option(self, name: str) -> Component | Sequential:
        """The option of that name.

        Raises:
            UnknownNameError: there is none.
        """
        for option in self.options:
            if option.name == name:
                return option
        raise UnknownNameError(f"option of {self.name}", name, [option.name for option in self.options])

    def applicable(self, info: DatasetInfo) -> tuple[Component | Sequential, ...]:
        """The options that apply to such data, in order."""
        return tuple(option for option in self.options if isinstance(option, Sequential) or option.applies(info))

    __str__ = Node.__str__


@dataclass(frozen=True)
class Sequential(Node):
    """Steps done one after another.

    Attributes:
        name: unique in the graph.
        children: nodes in order; an earlier one can be required by a later one.
        assemble: makes one object of what the children built, keyed by child name; absent children are left out.
    """

    name: str
    children: tuple[Node, ...]
    assemble: Callable[[dict[str, Any]], Any]

    def __post_init__(self) -> None:
        check_name(self.name, "A node")
        object.__setattr__(self, "children", tuple(self.children))
        if not self.children:
            raise SpaceError(f"Sequential {self.name!r} needs at least one child.")
        for child in self.children:
            if not isinstance(child, Node):
                raise SpaceError(f"Children of {self.name!r} must be Step, Choice or Sequential, got {child!r}.")
        _check_unique([node.name for node in self.walk()], "Node names must differ in a graph")

    def _inner(self) -> tuple[Node, ...]:
        return self.children

    __str__ = Node.__str__


def Optional(name: str, component: Component) -> Choice:
    """A step that may be left out, which is its default."""
    return Choice(name, (Nothing(), component), default=Nothing.name)


# Names in configurations -----------------------------------------------------------------------------


def choice_name(node: str) -> str:
    """Full name of the hyperparameter that says which option a choice takes: ``node:__choice__``."""
    return f"{node}:{CHOICE_SUFFIX}"


def learner_of(config: Config) -> str:
    """The learner of a configuration, its family: "neural: tabm", "extra_trees", or "" where none is named."""
    learner = str(config.get(choice_name("learner"), ""))
    backbone = config.get(choice_name("backbone"))
    if backbone is None:
        return learner
    return f"{learner or 'neural'}: {backbone}"


def full_name(node: str, component: str, hyperparameter: str) -> str:
    """Full name of a component's hyperparameter: ``node:component:hyperparameter``."""
    return f"{node}:{component}:{hyperparameter}"


def local_values(config: Config, node: str, component: str) -> dict[str, ConfigValue]:
    """What a configuration says about one component: local hyperparameter name -> value."""
    prefix = full_name(node, component, "")
    return {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}


# Checks ----------------------------------------------------------------------------------------------


def _check_component(component: object, node: str) -> None:
    if not isinstance(component, Component):
        raise SpaceError(f"Node {node!r} takes Component objects (instances, not classes), got {component!r}.")
    check_name(getattr(component, "name", None), f"Component {type(component).__name__} of node {node!r}")


def _check_unique(names: Iterable[str], rule: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SpaceError(f"{rule}; used more than once: {', '.join(twice)}.")


def _check_requires(choice: Choice, earlier: Mapping[str, Choice]) -> None:
    for name, options in (choice.requires or {}).items():
        if name not in earlier:
            raise SpaceError(
                f"Choice {choice.name!r} requires {name!r}, which is no choice that comes before it in the graph."
            )
        for option in options:
            earlier[name].option(option)


# Changing and drawing --------------------------------------------------------------------------------


def _swap(node: Any, old: Choice, new: Choice) -> Any:
    """A copy of `node` in which the choice `old` is replaced by `new`, wherever it is."""
    if node is old:
        return new
    if isinstance(node, Choice):
        return replace(node, options=tuple(_swap(option, old, new) for option in node.options))
    if isinstance(node, Sequential):
        return replace(node, children=tuple(_swap(child, old, new) for child in node.children))
    return node


def _draw(item: Node | Component, info: DatasetInfo | None, lead: str, rest: str) -> Iterator[str]:
    """Lines of the picture: `lead` goes before the first line, `rest` before all others."""
    yield lead + _label(item, info)
    parts = _parts(item, info)
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        yield from _draw(part, info, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))


def _label(item: Node | Component, info: DatasetInfo | None) -> str:
    if isinstance(item, Component):
        return _signature(item, info)
    if isinstance(item, Step):
        return f"{item.name}: {_signature(item.component, info)}"
    if isinstance(item, Sequential):
        return f"{item.name} (in sequence)"
    assert isinstance(item, Choice)
    needs = ", ".join(f"{name} = {' or '.join(options)}" for name, options in (item.requires or {}).items())
    label = f"{item.name} (one of)" if _parts(item, info) else f"{item.name}: {_one_of(item, info)}"
    return f"{label} [if {needs}]" if needs else label


def _one_of(choice: Choice, info: DatasetInfo | None) -> str:
    options = choice.options if info is None else choice.applicable(info)
    return " | ".join(option.name for option in options)


def _signature(component: Component, info: DatasetInfo | None) -> str:
    names = [] if info is None else [hyperparameter.name for hyperparameter in component.hyperparameters(info)]
    return f"{component.name}({', '.join(names)})" if names else component.name


def _parts(item: Node | Component, info: DatasetInfo | None) -> Sequence[Node | Component]:
    """What is drawn below an item: nothing where one line says it all."""
    if isinstance(item, Sequential):
        return [child for child in item.children if info is None or _present(child, info)]
    if isinstance(item, Choice):
        options = item.options if info is None else item.applicable(info)
        plain = all(isinstance(option, Component) and _signature(option, info) == option.name for option in options)
        return () if plain else options
    return ()


def _present(node: Node, info: DatasetInfo) -> bool:
    if isinstance(node, Step):
        return node.component.applies(info)
    return not isinstance(node, Choice) or bool(node.applicable(info))

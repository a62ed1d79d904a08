"""Names of attributes, methods and fields: which of them may become the same. names.py asks.

One that is only ever looked up on `self` can mean nothing but what its own class and that class's relatives
have. So it may become what a name of other classes becomes.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

_FIELDS = 1  # the argument of namedtuple() that has them


class Members:
    """The attributes, methods and fields of a program."""

    def __init__(self, trees: Iterable[ast.Module]):
        self._names: set[str] = set()
        self._open: set[str] = set()  # looked up on other objects than `self`
        self._set_outside: set[str] = set()  # and set on them: whose names those are, nobody knows
        self._relatives: dict[str, str] = {}  # a class -> the one that stands for it and its relatives
        self._of: defaultdict[str, set[str]] = defaultdict(set)  # a class -> its names
        self._on_self: set[ast.AST] = set()
        for tree in trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self._learn_class(node)
            for node in ast.walk(tree):
                self._learn(node)

    def named(self, names: Iterable[str], free: list[str]) -> dict[str, str]:
        """What each of `names` that is a member becomes, the first of them the first of `free`."""
        families: defaultdict[str, set[str]] = defaultdict(set)
        for owner, of_owner in self._of.items():
            families[self._root(owner)] |= of_owner
        beside: defaultdict[str, set[str]] = defaultdict(set)
        for family in families.values():
            for name in family:
                beside[name] |= family
        everywhere = self._open | self._set_outside
        short: dict[str, str] = {}
        for name in names:
            if name in self._names:
                others = beside[name] | self._set_outside
                if name in self._set_outside:
                    others = set(short)
                elif name in self._open:
                    others |= everywhere
                taken = {short[other] for other in others if other in short}
                short[name] = next(one for one in free if one not in taken)
        return short

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute):
            self._names.add(node.attr)
            if node not in self._on_self:
                self._open.add(node.attr)
                if not isinstance(node.ctx, ast.Load):
                    self._set_outside.add(node.attr)
        elif isinstance(node, ast.Call):
            found = {str(field.value) for field in fields(node)}
            self._names |= found
            self._open |= found
        elif isinstance(node, ast.alias) and node.asname is not None:
            self._join(node.name, node.asname)

    def _learn_class(self, node: ast.ClassDef) -> None:
        own = self._of[node.name]
        for base in node.bases:
            self._join(node.name, last_name(base))
            if isinstance(base, ast.Call):
                own.update(str(field.value) for field in fields(base))
        for part in node.body:
            own.update(_assigned(part))
            if isinstance(part, ast.FunctionDef):
                own.add(part.name)
                self._names.add(part.name)
                if part.args.args:
                    on_self = set(_on(part.args.args[0].arg, part))
                    self._on_self |= on_self
                    own.update(attribute.attr for attribute in on_self)

    def _join(self, one: str, other: str) -> None:
        self._relatives[self._root(one)] = self._root(other)

    def _root(self, name: str) -> str:
        while self._relatives.get(name, name) != name:
            name = self._relatives[name]
        return name


def _on(name: str, function: ast.FunctionDef) -> Iterator[ast.Attribute]:
    """What is looked up in a function on one name."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            yield node


def _assigned(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement of a class's body makes."""
    for node in ast.walk(statement) if isinstance(statement, ast.Assign) else ():
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id


def last_name(node: ast.expr) -> str:
    """What a call or a base is called; empty for anything but names."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def fields(node: ast.Call) -> list[ast.Constant]:
    """The field names that a call of namedtuple() has."""
    if last_name(node.func) != "namedtuple" or len(node.args) <= _FIELDS:
        return []
    listed = node.args[_FIELDS]
    return [field for field in ast.walk(listed) if isinstance(field, ast.Constant)]

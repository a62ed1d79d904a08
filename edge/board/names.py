"""Gives the names of a whole program short ones: after bundle.py, before mpy-cross.

A board keeps every name of a loaded module in its RAM, and each .mpy file has its own copy. So whatever the
program itself names (functions, classes, methods, attributes, arguments, fields of named tuples) gets a name
of one or two letters, the same one wherever the old one stands: then nothing can mean anything else than
before. What stands after a dot is looked up elsewhere than other names, so both use the same letters
(members.py). The most frequent names get those that MicroPython has in its ROM.

A name stays when it may mean something of somebody else's: names of Python, of its modules and types
(library_names.py), keywords of their functions, names of modules and of machine code, and whatever stands in
a string, which may be looked up. `keep` has what others call from outside.
"""

import ast
import builtins
import keyword
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from edge.board.library_names import LIBRARY_NAMES, ROM_NAMES
from edge.board.local_names import rename_locals, top_names
from edge.board.members import Members, fields, last_name
from edge.board.shrink import NATIVE

_FIRST = string.ascii_lowercase + string.ascii_uppercase


def rename(sources: Mapping[str, str], *, keep: Iterable[str] = ()) -> dict[str, str]:
    """The same modules by path with short names; those in `keep` stay, and modules in machine code."""
    trees = {path: ast.parse(text) for path, text in sources.items() if NATIVE not in text}
    natives = [ast.parse(text) for path, text in sources.items() if path not in trees]
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in sources}
    stay = {*keep, *ROM_NAMES, *LIBRARY_NAMES, *dir(builtins)}
    stay.update(part for module in modules for part in module.split("."))
    stay.update(name for tree in natives for name in _identifiers(tree))
    names, members = _short_names([*trees.values()], modules, stay)
    for tree in trees.values():
        _Rename(names, members, modules).visit(tree)
    keywords = {
        node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)
    }
    for tree in trees.values():
        rename_locals(tree, {name for name in keywords if name})
    return {path: _text(trees[path]) if path in trees else text for path, text in sources.items()}


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _short_names(
    trees: list[ast.Module], modules: set[str], stay: set[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What each name becomes, and each name after a dot; none of `stay`."""
    ours = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, _DEFINITION)}
    foreign = {name for tree in trees for name in _foreign(tree, modules, ours)}
    made = {name for tree in trees for name in _made(tree, modules)}
    wanted = {name for name in made - stay - foreign if not name.startswith("__")}
    uses = Counter(name for tree in trees for name in _identifiers(tree))
    taken = foreign | {name for name in uses if name not in wanted}
    frequent = sorted(wanted, key=lambda name: (-uses[name], name))
    free = [name for name in _candidates() if name not in taken and not keyword.iskeyword(name)]
    members = Members(trees)
    both = {name for tree in trees for name in _both(tree, modules)}
    short = dict(zip([name for name in frequent if name in both], free, strict=False))
    free = free[len(short) :]
    others = [name for name in frequent if name not in both]
    plain = {name for tree in trees for name in _plain(tree)}
    top = {name for tree in trees for name in top_names(tree)}
    ordered = sorted([name for name in others if name in plain], key=lambda name: name not in top)
    names = dict(zip(ordered, free, strict=False))
    return {**short, **names}, {**short, **members.named(others, free)}


def _plain(tree: ast.Module) -> Iterator[str]:
    """All names that stand for themselves, not after a dot."""
    methods = {part for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for part in node.body}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) and node not in methods:
            yield from _named_by(node)


def _both(tree: ast.Module, modules: set[str]) -> Iterator[str]:
    """Names that also stand after a dot and mean the same: those of modules, those that a class's body makes
    or uses itself, keywords that are fields."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.{alias.name}" in modules
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            yield node.attr
        elif isinstance(node, ast.ClassDef):
            yield from (name for part in node.body for name in _names_outside_functions(part))
        elif isinstance(node, ast.Call):
            yield from (str(field.value) for field in fields(node))


def _names_outside_functions(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    inside: list[ast.AST] = []
    if isinstance(node, ast.FunctionDef):
        inside = [*node.body]
    elif isinstance(node, ast.Lambda):
        inside = [node.body]
    for part in ast.iter_child_nodes(node):
        if part not in inside:
            yield from _names_outside_functions(part)


def _candidates() -> Iterator[str]:
    yield from ROM_NAMES
    for length in (0, 1):
        for first in _FIRST:
            yield from (first + rest for rest in (_FIRST + string.digits if length else ("",)))


_DEFINITION = (ast.FunctionDef, ast.ClassDef)


def _identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name, once for each time that it stands there."""
    for node in ast.walk(tree):
        yield from _named_by(node)


def _named_by(node: ast.AST) -> Iterator[str]:
    """The names in a node itself."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.arg | ast.keyword):
        yield node.arg or ""
    elif isinstance(node, _DEFINITION):
        yield node.name
    elif isinstance(node, ast.alias):
        yield from node.name.split(".")
        yield node.asname or ""
    elif isinstance(node, ast.ExceptHandler):
        yield node.name or ""
    elif isinstance(node, ast.Call):
        yield from (str(field.value) for field in fields(node))


def _made(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """The names that a module makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, _DEFINITION) or (isinstance(node, ast.ExceptHandler) and node.name):
            yield node.name or ""
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname for alias in node.names if alias.asname)
        elif isinstance(node, ast.Call):
            yield from (str(field.value) for field in fields(node))


def _foreign(tree: ast.Module, modules: set[str], ours: set[str]) -> Iterator[str]:
    """The names in a module that are somebody else's."""
    ours_too = {id(field) for node in ast.walk(tree) if isinstance(node, ast.Call) for field in fields(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ours_too:
            yield node.value
        elif isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom) and node.module not in modules:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and last_name(node.func) not in ours:
            yield from (given.arg or "" for given in node.keywords)


class _Rename(ast.NodeTransformer):
    """`short` names wherever a name stands."""

    def __init__(self, short: Mapping[str, str], members: Mapping[str, str], modules: set[str]):
        self._short = short
        self._members = members
        self._modules = modules

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._of(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.generic_visit(node)
        node.attr = self._members.get(node.attr, node.attr)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._of(node.arg)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        node.arg = None if node.arg is None else self._of(node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self._of(node.name)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        methods = {part: part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        self.generic_visit(node)
        for part, name in methods.items():
            part.name = self._members.get(name, name)
        node.name = self._of(node.name)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        self.generic_visit(node)
        node.name = None if node.name is None else self._of(node.name)
        return node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        node.names = [self._of(name) for name in node.names]
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        for field in fields(node):
            field.value = self._members.get(str(field.value), str(field.value))
        self.generic_visit(node)
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            alias.asname = None if alias.asname is None else self._of(alias.asname)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        """A module that is imported from its package keeps its own name, and gets another here."""
        for alias in node.names:
            here = self._of(alias.asname or alias.name)
            if node.module in self._modules and f"{node.module}.{alias.name}" not in self._modules:
                alias.name = self._of(alias.name)
            alias.asname = None if here == alias.name else here
        return node

    def _of(self, name: str) -> str:
        return self._short.get(name, name)

"""Gives arguments and local names those that a module has anyway: the last step of names.py.

Bytecode has the name of every argument, so one that is also an attribute or a function costs nothing more.
What is called with keywords keeps them.
"""

import ast
import builtins
from collections import Counter
from collections.abc import Collection, Iterator

_COMPILED = {"const", "super"}  # their calls mean something to the compiler
_FUNCTION = (ast.FunctionDef, ast.Lambda)


def rename_locals(tree: ast.Module, keywords: Collection[str]) -> None:
    """Rename within each function of a module. `keywords`: what the program's calls name."""
    frequent = [name for name, _ in _uses(tree).most_common() if not name.startswith("__")]
    shared = top_names(tree) | set(dir(builtins))
    for function in _outermost(tree):
        local = [name for name in _locals(function) if name not in shared and name not in keywords]
        taken = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} | set(keywords)
        taken |= _COMPILED | set(_bound(function, into_functions=True)) - set(local)
        fresh = [name for name in frequent if name not in taken]
        fresh += [name for name in local if name not in fresh]
        _Rename(dict(zip(local, fresh, strict=False))).visit(function)


def top_names(tree: ast.Module) -> set[str]:
    """What a module binds itself."""
    return {name for node in tree.body for name in _bound(node, into_functions=False)}


def _uses(tree: ast.Module) -> Counter[str]:
    """How often bytecode has each name, other than that of an argument or a local."""
    uses: Counter[str] = Counter()
    local = {name for function in _outermost(tree) for name in _locals(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            uses[node.attr] += 1
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            uses[node.name] += 1
        elif isinstance(node, ast.Name) and node.id not in local:
            uses[node.id] += 1
    return uses


def _outermost(node: ast.AST) -> Iterator[ast.FunctionDef | ast.Lambda]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTION):
            yield child
        else:
            yield from _outermost(child)


def _locals(function: ast.AST) -> list[str]:
    """Arguments, then assigned names, those of functions inside included."""
    shared = {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    arguments: list[str] = []
    assigned: list[str] = []
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            arguments.append(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            assigned.append(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            assigned.append(node.name)
    return [name for name in dict.fromkeys(arguments + assigned) if name not in shared]


def _bound(node: ast.AST, *, into_functions: bool) -> Iterator[str]:
    """Names that a statement binds by a definition, an import or an assignment."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    if into_functions or not isinstance(node, (*_FUNCTION, ast.ClassDef)):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child, into_functions=into_functions)


class _Rename(ast.NodeTransformer):
    """`short` names for local ones."""

    def __init__(self, short: dict[str, str]):
        self._short = short

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._short.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._short.get(node.arg, node.arg)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        self.generic_visit(node)
        node.name = self._short.get(node.name or "", node.name or "") or None
        return node

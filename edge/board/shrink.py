"""Makes the firmware's sources small before they are compiled: a board keeps every name and every constant of
a loaded module in its RAM.

`shrink` sees the whole program, so it can do what mpy-cross can't, module by module:

- what only people and type checkers read goes: docstrings, annotations, `__slots__`, TYPE_CHECKING blocks,
  and the branches for CPython;
- whole numbers of a module's top (CAPITALS, assigned once) are put where they are used, in every module
  (constants.py);
- what nobody names is left out: functions, methods, classes and constants, and imports of them.

A name counts as used wherever it stands, as a name, an attribute or a whole string: what is left out is named
nowhere, so nothing can miss it. build.py compiles the result; tests/device runs from it.
"""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from edge.board.constants import Constants

_ENTRY_POINTS = frozenset({"main", "run"})
# Called by the interpreter: MicroPython's block device protocol.
_PROTOCOL = frozenset({"readblocks", "writeblocks", "ioctl"})
NATIVE = "micropython.viper"  # its annotations are types

Program = dict[str, ast.Module]


def shrink(sources: Mapping[str, str], *, keep: Iterable[str] = ()) -> dict[str, str]:
    """The same modules by path, smaller. `keep`: paths of modules whose names others use, from outside."""
    trees: Program = {path: ast.parse(text) for path, text in sources.items()}
    small = {path: tree for path, tree in trees.items() if NATIVE not in sources[path]}
    for tree in small.values():
        _Strip().visit(tree)
    constants = Constants(trees)
    for path, tree in small.items():
        constants.fold(path, tree)
    kept = frozenset(keep)
    while _drop_unused(trees, {path: tree for path, tree in small.items() if path not in kept}):
        pass
    return {path: _text(tree) if path in small else sources[path] for path, tree in trees.items()}


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class _Strip(ast.NodeTransformer):
    """What a board has no use for."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = _code(node.body) or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.body = _code(node.body) or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = _code(node.body) or [ast.Pass()]
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.Assign | None:
        self.generic_visit(node)
        if node.value is None:
            return None
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _code(body: list[ast.stmt]) -> list[ast.stmt]:
    """A body without what is only read."""
    code: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if _target(statement) in ("__slots__", "TYPE_CHECKING"):
            continue
        if isinstance(statement, ast.If):
            test = ast.unparse(statement.test)
            if test == "TYPE_CHECKING":
                continue
            if test == "sys.implementation.name == 'micropython'":
                code += _code(statement.body)
                continue
        code.append(statement)
    return code


def _target(statement: ast.stmt) -> str:
    """The one name that a statement assigns; empty for any other statement."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id
    return ""


def _drop_unused(trees: Program, small: Program) -> bool:
    """Leave out what is named nowhere; whether anything was."""
    used: Counter[str] = Counter(_ENTRY_POINTS)
    for tree in trees.values():
        used.update(_names(tree))
    imports = _imports(trees)
    dropped = False
    for path, tree in small.items():
        imported = imports[_module(path)]
        loaded = Counter(_names(tree))
        before = len(ast.dump(tree))
        _Drop(used, loaded, imported).visit(tree)
        tree.body = tree.body or [ast.Pass()]
        dropped = dropped or len(ast.dump(tree)) != before
    return dropped


def _names(tree: ast.AST) -> Iterable[str]:
    """Every name that is used, once for each time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Global):
            yield from node.names
        elif isinstance(node, ast.ImportFrom):  # used here by another name
            yield from (alias.name for alias in node.names if alias.asname is not None)


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imports(trees: Program) -> Mapping[str, set[str]]:
    """What is imported from each module."""
    imports: defaultdict[str, set[str]] = defaultdict(set)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                imports[node.module].update(alias.name for alias in node.names)
    return imports


class _Drop(ast.NodeTransformer):
    """`used` in the whole program, `loaded` in this module, `imported` by others from it."""

    def __init__(self, used: Counter[str], loaded: Counter[str], imported: set[str]):
        self._used = used
        self._loaded = loaded
        self._imported = imported

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = [statement for statement in node.body if not self._is_unused(statement)]
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.body = [part for part in node.body if not self._is_unused(part)] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        node.names = [alias for alias in node.names if self._is_wanted(alias.asname or alias.name)]
        return node if node.names else None

    def visit_Try(self, node: ast.Try) -> ast.Try:
        """An import that may fail is a question: it stays."""
        return node

    def _is_wanted(self, name: str) -> bool:
        return name in self._loaded or name in self._imported

    def _is_unused(self, statement: ast.stmt) -> bool:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            name = statement.name
            return (
                not name.startswith("__") and name not in _PROTOCOL and self._is_named_only_inside(statement)
            )
        name = _target(statement)
        if isinstance(statement, ast.Assign) and name:
            return name not in self._used and not name.startswith("__") and _is_plain(statement.value)
        if isinstance(statement, ast.Import):
            return all("." not in alias.name and not self._is_wanted(alias.name) for alias in statement.names)
        return False

    def _is_named_only_inside(self, statement: ast.FunctionDef | ast.ClassDef) -> bool:
        inside = sum(name == statement.name for name in _names(statement))
        return self._used[statement.name] <= inside


def _is_plain(value: ast.expr) -> bool:
    """Whether a value comes about without a call."""
    return not any(isinstance(node, ast.Call) for node in ast.walk(value))

"""Whole numbers at the top of modules, put where they are used (shrink.py).

A constant is a name in CAPITALS that its module assigns once, at the top, from numbers and other constants;
a constant that a module imports is its constant, too.
"""

import ast
from collections import Counter
from collections.abc import Callable, Mapping

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: lambda left, right: left % right,
    ast.LShift: lambda left, right: left << right,
    ast.BitOr: lambda left, right: left | right,
    ast.Pow: lambda left, right: int(left**right),
}


class Constants:
    """The constants of a whole program, by module."""

    def __init__(self, trees: Mapping[str, ast.Module]):
        self._modules = {_module(path): tree for path, tree in trees.items()}
        self._known: dict[str, dict[str, int]] = {name: {} for name in self._modules}
        while self._learn():
            pass

    def fold(self, path: str, tree: ast.Module) -> None:
        """Put the numbers into one module, and take their imports out."""
        _Fold(self, self._known[_module(path)], self._modules_of(tree)).visit(tree)

    def number(self, module: str, name: str) -> int | None:
        """What a name means in a module, if it is a constant there."""
        return self._known.get(module, {}).get(name)

    def _learn(self) -> bool:
        """One round over all modules; whether it found more."""
        before = sum(map(len, self._known.values()))
        for name, tree in self._modules.items():
            bound = _bound(tree)
            modules = self._modules_of(tree)
            known = self._known[name]
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom):
                    self._learn_imported(node, known, bound)
            for statement in tree.body:
                if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                    target = statement.targets[0]
                    if isinstance(target, ast.Name) and target.id.isupper() and bound[target.id] == 1:
                        value = self._value(statement.value, known, modules)
                        if value is not None:
                            known[target.id] = value
        return sum(map(len, self._known.values())) > before

    def _learn_imported(self, node: ast.ImportFrom, known: dict[str, int], bound: Counter[str]) -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            value = self.number(node.module or "", alias.name)
            if value is not None and not bound[name]:
                known[name] = value

    def _value(self, node: ast.expr, known: Mapping[str, int], modules: Mapping[str, str]) -> int | None:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, int) and not isinstance(node.value, bool) else None
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self.number(modules.get(node.value.id, ""), node.attr)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand, known, modules)
            return None if value is None else -value
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left = self._value(node.left, known, modules)
            right = self._value(node.right, known, modules)
            if left is not None and right is not None:
                return _OPERATORS[type(node.op)](left, right)
        return None

    def _modules_of(self, tree: ast.Module) -> dict[str, str]:
        """The names that mean a module of the program, wherever they are imported."""
        bound = _bound(tree)
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    if full in self._modules and not bound[alias.asname or alias.name]:
                        modules[alias.asname or alias.name] = full
        return modules


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _bound(tree: ast.Module) -> Counter[str]:
    """How often each name is assigned or is an argument, anywhere in a module."""
    bound: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound[node.id] += 1
        elif isinstance(node, ast.arg):
            bound[node.arg] += 1
    return bound


class _Fold(ast.NodeTransformer):
    """Numbers for names."""

    def __init__(self, constants: Constants, known: Mapping[str, int], modules: Mapping[str, str]):
        self._constants = constants
        self._known = known
        self._modules = modules

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self._known:
            return ast.copy_location(ast.Constant(self._known[node.id]), node)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            value = self._constants.number(self._modules.get(node.value.id, ""), node.attr)
            if value is not None:
                return ast.copy_location(ast.Constant(value), node)
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        module = node.module or ""
        node.names = [alias for alias in node.names if self._constants.number(module, alias.name) is None]
        return node if node.names else None

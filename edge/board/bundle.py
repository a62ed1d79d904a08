"""Puts the modules that are always loaded together into one: after shrink.py, before mpy-cross.

A module costs a board its names twice, in the file and in RAM, and every name that it imports once more. In
one module they are there once, and short. Modules that are imported inside functions stay apart: they are
loaded when they are needed. What remains outside imports from the bundle instead.

Every top name of a bundled module gets a new one that no other has; then nothing can mean anything else than
before. Where that can't be said of a module, `BundleError` tells which name to change. names.py makes the
names of what comes out short.
"""

import ast
import string
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from edge.board.shrink import NATIVE

MADE = "# made by bundle.py\n"
_DIGITS = string.ascii_lowercase + string.digits


class BundleError(Exception):
    """A module uses a name in a way that the bundle would change."""


def bundle(
    sources: Mapping[str, str], entries: Iterable[str], name: str, *, keep: Iterable[str] = ()
) -> dict[str, str]:
    """The same program with `entries` (dotted) and what they import at their top in one module, `name`.

    Modules in machine code, top packages and other bundles stay; `keep` has names that stay, too, since
    others call them from outside. Paths and texts as for shrink; BundleError.
    """
    kept = frozenset(keep)
    trees = {_module(path): ast.parse(text) for path, text in sources.items()}
    paths = {_module(path): path for path in sources}
    apart = {module for module, path in paths.items() if _stays(module, sources[path])}
    inside = list(_in_order(entries, trees, apart))
    names = _new_names(inside, trees, kept)
    exported = _exported(trees)
    joined: list[ast.stmt] = []
    for module in inside:
        joined += _Rewrite(module, trees[module], names, name, kept.union(exported.get(module, ()))).body()
    result = {name.replace(".", "/") + ".py": MADE + _text(_once(joined))}
    for module, path in paths.items():
        if module not in names:
            tree = trees[module]
            stays = kept.union(exported.get(module, ()))
            text = _text(_once(_Rewrite(module, tree, names, name, stays).body()))
            made = MADE if sources[path].startswith(MADE) else ""
            result[path] = sources[path] if NATIVE in sources[path] else made + text
    return result


def _stays(module: str, text: str) -> bool:
    return NATIVE in text or text.startswith(MADE) or "." not in module


def _exported(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """By module: what others import from it."""
    exported: dict[str, set[str]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                exported.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return exported


def _once(body: list[ast.stmt]) -> ast.Module:
    """Without what does nothing; what is imported from a module in one statement, the first."""
    once: list[ast.stmt] = []
    imported: dict[str, ast.ImportFrom] = {}
    for statement in body:
        if isinstance(statement, ast.ImportFrom):
            first = imported.setdefault(statement.module or "", statement)
            known = {(alias.name, alias.asname) for alias in first.names}
            if first is not statement:
                first.names += [alias for alias in statement.names if (alias.name, alias.asname) not in known]
                continue
        elif isinstance(statement, ast.Pass) or _is_among(statement, once):
            continue
        once.append(statement)
    return ast.Module(once or [ast.Pass()], [])


def _is_among(statement: ast.stmt, body: list[ast.stmt]) -> bool:
    """Whether an import is there already."""
    return isinstance(statement, ast.Import) and ast.dump(statement) in map(ast.dump, body)


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _in_order(entries: Iterable[str], trees: Mapping[str, ast.Module], apart: set[str]) -> Iterator[str]:
    """The modules of the bundle, each after those that it imports."""
    seen: set[str] = set()

    def visit(module: str) -> Iterator[str]:
        if module in seen or module in apart or module not in trees:
            return
        seen.add(module)
        for imported in _imported(trees[module]):
            yield from visit(imported)
        yield module

    for entry in entries:
        yield from visit(entry)


def _imported(tree: ast.Module) -> Iterator[str]:
    """What a module imports at its top, modules and names alike."""
    for statement in tree.body:
        parts = ast.walk(statement) if isinstance(statement, ast.Try) else [statement]
        for part in parts:
            if isinstance(part, ast.ImportFrom) and part.module is not None:
                yield part.module
                yield from (f"{part.module}.{alias.name}" for alias in part.names)


def _new_names(
    inside: list[str], trees: Mapping[str, ast.Module], kept: frozenset[str]
) -> dict[str, dict[str, str]]:
    """By module: what each of its top names is called in the bundle."""
    taken = {name for tree in trees.values() for name in _identifiers(tree)}
    fresh = (
        name
        for length in (1, 2)
        for name in ("_" + first + rest for first in _DIGITS for rest in (_DIGITS if length == 2 else ("",)))
        if name not in taken
    )
    return {
        module: {name: name if name in kept else next(fresh) for name in _defined(trees[module])}
        for module in inside
    }


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def _defined(tree: ast.Module) -> list[str]:
    """The names that a module makes at its top, or in a question there; not those that it only imports."""
    names: dict[str, None] = {}
    for node in _top(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = None
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names.update((part.id, None) for part in ast.walk(target) if isinstance(part, ast.Name))
        elif isinstance(node, ast.Try):
            imports = [part for part in ast.walk(node) if isinstance(part, ast.ImportFrom)]
            names.update((alias.asname or alias.name, None) for part in imports for alias in part.names)
    return list(names)


def _assigned(statement: ast.stmt) -> str:
    """The name that a statement assigns, if it is one."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _top(statement.body + statement.orelse)


class _Rewrite(ast.NodeTransformer):
    """One module's statements with the bundle's names."""

    def __init__(
        self,
        module: str,
        tree: ast.Module,
        names: Mapping[str, Mapping[str, str]],
        bundle: str,
        exported: AbstractSet[str],
    ):
        self._tree = tree
        self._exported = exported
        self._names = names
        self._bundle = bundle
        self._own = dict(names.get(module, {}))
        self._is_inside = module in names
        self._module = module
        self._modules: dict[str, str] = {}  # a name here -> the bundled module that it means
        self._imported: dict[str, str] = {}  # a name here -> its name in the bundle
        self._conditions = [statement for statement in _top(tree.body) if isinstance(statement, ast.If)]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self._learn(node)
        self._check()

    def body(self) -> list[ast.stmt]:
        """The statements."""
        return self.visit(self._tree).body

    def _learn(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            here = alias.asname or alias.name
            full = f"{node.module}.{alias.name}"
            if full in self._names:
                self._modules[here] = full
            elif node.module in self._names and here not in self._own:
                self._imported[here] = self._name(node.module or "", alias.name)

    def _name(self, module: str, name: str) -> str:
        if name not in self._names[module]:
            raise BundleError(f"{self._module} imports {name} from {module}, which has it from elsewhere")
        return self._names[module][name]

    def _here(self, name: str) -> str:
        """What a name that is imported from the bundle is called here: as there, unless others want it."""
        return name if name in self._exported and not self._is_inside else self._imported[name]

    def _check(self) -> None:
        """Renaming must not touch what others know by its name."""
        imported = {**self._modules, **self._imported}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.arg) and (node.arg in self._own or node.arg in imported):
                raise BundleError(f"{self._module}: the argument {node.arg} is also a name of the module")
            if isinstance(node, ast.Name) and node.id in imported and not isinstance(node.ctx, ast.Load):
                raise BundleError(f"{self._module}: {node.id} is imported and assigned")
            if isinstance(node, ast.ClassDef):
                for name in self._own:
                    if any(name == _assigned(statement) for statement in node.body):
                        raise BundleError(f"{self._module}: {node.name}.{name} is also a name of the module")

    def visit_Module(self, node: ast.Module) -> ast.Module:
        body: list[ast.stmt] = []
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                statement.name = self._own.get(statement.name, statement.name)
            result: object = self.visit(statement)
            if isinstance(result, list):
                body += result
            elif isinstance(result, ast.stmt):
                body.append(result)
        node.body = body
        return node

    def visit_If(self, node: ast.If) -> ast.If:
        for statement in node.body + node.orelse:
            if isinstance(statement, ast.FunctionDef | ast.ClassDef) and node in self._conditions:
                statement.name = self._own.get(statement.name, statement.name)
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._modules:
            raise BundleError(f"{self._module}: the module {node.id} is used as a value")
        if node.id in self._own:
            node.id = self._own[node.id]
        elif node.id in self._imported:
            node.id = self._here(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self._modules:
            name = self._name(self._modules[node.value.id], node.attr)
            if self._is_inside:
                return ast.copy_location(ast.Name(name, node.ctx), node)
            node.attr = name
            return node
        self.generic_visit(node)
        return node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        node.names = [self._own.get(name, name) for name in node.names]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        """Inside, nothing is left of imports within the bundle; outside, they name it."""
        package, _, leaf = self._bundle.rpartition(".")
        result: list[ast.stmt] = []
        for alias in node.names:
            here = alias.asname or alias.name
            new_here = self._own.get(here, here)
            if here in self._modules:
                if not self._is_inside:
                    result.append(ast.ImportFrom(package, [ast.alias(leaf, here)], 0))
            elif node.module is not None and node.module in self._names:
                name = self._name(node.module, alias.name)
                if not self._is_inside:
                    here = self._here(here)
                    result.append(
                        ast.ImportFrom(self._bundle, [ast.alias(name, None if here == name else here)], 0)
                    )
                elif here in self._own:  # one of several meanings
                    target = ast.Name(new_here, ast.Store())
                    result.append(ast.Assign([target], ast.Name(name, ast.Load())))
            else:
                kept = ast.alias(alias.name, None if new_here == alias.name else new_here)
                result.append(ast.ImportFrom(node.module, [kept], 0))
        return result

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        node.names = [alias for alias in node.names if alias.name not in self._names]
        return node if node.names else None

"""The construct tree of frames.py as layouts: named fields with struct codes, for codegen.py to write out.

A node that a fixed struct format cannot express is refused, so the definition and the code cannot drift
apart.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

from protocols.magicbox import frames
from protocols.magicbox.grammar import Bytes, Const, Enum, FormatField, GreedyBytes, Renamed, Struct


class LayoutError(Exception):
    """The construct tree has a node that wire.py cannot express; the text names the field."""


@dataclass(frozen=True)
class Field:
    """One field: `format` is a struct code such as I or 3s, empty for the tail (the bytes up to the end)."""

    name: str
    format: str
    doc: str = ""
    constant: int | bytes | None = None

    @property
    def is_tail(self) -> bool:
        return not self.format

    @property
    def annotation(self) -> str:
        return "bytes" if self.is_tail or self.format.endswith("s") else "int"


@dataclass(frozen=True)
class Layout:
    """A header or a record: fixed fields, then perhaps one tail."""

    name: str
    fields: tuple[Field, ...]

    @property
    def format(self) -> str:
        return ">" + "".join(field.format for field in self.fields)

    @property
    def size(self) -> int:
        """Bytes of the fixed fields."""
        return struct.calcsize(self.format)

    @property
    def has_tail(self) -> bool:
        return self.fields[-1].is_tail

    @property
    def members(self) -> tuple[Field, ...]:
        """What the named tuple carries: every field but constant bytes."""
        return tuple(field for field in self.fields if not isinstance(field.constant, bytes))

    @property
    def constant_name(self) -> str:
        """TOKEN_EVENT for TokenEvent."""
        return re.sub(r"(?<!^)([A-Z])", r"_\1", self.name).upper()


def layout_of(node: Any) -> Layout:
    """Walk a named Struct; LayoutError names the first field that cannot be expressed."""
    inner = _unnamed(node)
    if not isinstance(inner, Struct) or not node.name:
        raise LayoutError(f"{node!r} is no named Struct")
    fields = tuple(_field(str(node.name), member) for member in inner.subcons)
    if not fields:
        raise LayoutError(f"{node.name} has no fields")
    for field in fields[:-1]:
        if field.is_tail:
            raise LayoutError(f"{node.name}.{field.name}: GreedyBytes is only for the last field")
    return Layout(str(node.name), fields)


def record_layout_of(node: Any) -> Layout:
    """The same for a record: its type tells what it is, so it has no constants."""
    layout = layout_of(node)
    for field in layout.fields:
        if field.constant is not None:
            raise LayoutError(f"{layout.name}.{field.name}: Const is only for the header")
    return layout


def _unnamed(node: Any) -> Any:
    """What a name or a text of documentation was put on."""
    while isinstance(node, Renamed):
        node = node.subcon
    return node


def _field(owner: str, node: Any) -> Field:
    name = node.name
    if not name:
        raise LayoutError(f"{owner}: {node!r} has no name")
    return _typed_field(f"{owner}.{name}", str(name), str(node.docs), _unnamed(node))


def _typed_field(where: str, name: str, doc: str, node: Any) -> Field:
    if node is GreedyBytes:
        return Field(name, "", doc)
    if isinstance(node, Const):
        return Field(name, _format(where, _unnamed(node.subcon)), doc, node.value)
    if isinstance(node, Enum):
        if not any(node is known for known in frames.ENUMERATIONS.values()):
            raise LayoutError(f"{where}: list the Enum in frames.ENUMERATIONS, so that it gets a name")
        return Field(name, _format(where, node.subcon), doc)
    return Field(name, _format(where, node), doc)


def _format(where: str, node: Any) -> str:
    """The struct code of a plain number or of bytes of a fixed length."""
    if isinstance(node, FormatField):
        code = str(node.fmtstr)
        if not code.startswith(">"):
            raise LayoutError(f"{where}: numbers are big-endian, not {code}")
        return code[1:]
    if isinstance(node, Bytes):
        if not isinstance(node.length, int):
            raise LayoutError(f"{where}: Bytes needs a fixed length")
        return f"{node.length}s"
    raise LayoutError(f"{where}: {type(node).__name__} has no fixed struct format")

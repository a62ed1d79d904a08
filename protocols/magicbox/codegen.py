"""frames.py -> wire.py and wire.pyi: `python -m protocols.magicbox.codegen [--check]`.

layouts.py walks the construct tree; here its layouts are written out: `_source` is what runs (struct and
namedtuple only, so that boards import it too), `_stub` is what pyright knows about it. `--check` writes
nothing and exits 1 when a committed file is not what frames.py says. Never needed at run time: wire.py is
committed.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from protocols.magicbox import frames
from protocols.magicbox.layouts import Layout, layout_of, record_layout_of

_SHORT = 6  # members of a named tuple that fit into one line


def generate() -> dict[str, str]:
    """The texts of wire.py and wire.pyi, by file name."""
    header = layout_of(frames.HEADER)
    records = {number: record_layout_of(node) for number, node in frames.RECORDS.items()}
    return {
        "wire.py": "".join(f"{line}\n" for line in _source(header, records)),
        "wire.pyi": "".join(f"{line}\n" for line in _stub(header, records)),
    }


def stale(folder: Path) -> list[str]:
    """Names of the generated files in `folder` that frames.py no longer matches."""
    return [
        name
        for name, text in generate().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str], folder: Path) -> int:
    """Write the files into `folder`, or with --check compare them; returns the exit code."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m protocols.magicbox.codegen [--check]\n")
        return 2
    names = stale(folder)
    if arguments:
        for name in names:
            sys.stderr.write(f"{name} is stale: run python -m protocols.magicbox.codegen\n")
        return 1 if names else 0
    for name, text in generate().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


def _names(enumeration: Any) -> dict[int, str]:
    return {int(value): str(name) for name, value in enumeration.encmapping.items()}


# --- wire.py


def _constants(header: Layout) -> Iterator[tuple[str, int]]:
    """Every number that both files declare."""
    yield "HEADER_SIZE", header.size
    yield "MAC_SIZE", frames.MAC_SIZE
    for field in header.fields:
        if isinstance(field.constant, int):
            yield field.name.upper(), field.constant
    for flag, bit in frames.FLAGS.items():
        yield f"FLAG_{flag}", bit


def _source(header: Layout, records: Mapping[int, Layout]) -> Iterator[str]:
    yield from SOURCE_HEAD.splitlines()
    yield f'_HEADER = "{header.format}"'
    for name, number in _constants(header):
        yield f"{name} = {number}"
    for prefix, enumeration in frames.ENUMERATIONS.items():
        yield ""
        for number, name in _names(enumeration).items():
            yield f"{prefix}_{name.upper()} = {number}"
        yield f"{prefix}_NAMES = {{"
        for name in _names(enumeration).values():
            yield f'    {prefix}_{name.upper()}: "{name}",'
        yield "}"
    yield ""
    for number, layout in records.items():
        yield f"TYPE_{layout.constant_name} = {number}"
    yield ""
    for layout in (header, *records.values()):
        yield from _namedtuple(layout.name, [field.name for field in layout.members])
    yield from _namedtuple("Unknown", ["type", "body"])
    yield "Record = tuple  # wire.pyi knows it as the union of all records"
    yield ""
    yield "# type: (record, struct format, bytes of it, whether a tail follows)"
    yield "_LAYOUTS = {"
    for layout in records.values():
        row = f'({layout.name}, "{layout.format}", {layout.size}, {layout.has_tail})'
        yield f"    TYPE_{layout.constant_name}: {row},"
    yield "}"
    yield "_TYPES = {layout[0]: number for number, layout in _LAYOUTS.items()}"
    yield ""
    yield from _header_functions(header)
    yield from SOURCE_RECORDS.splitlines()


def _namedtuple(name: str, members: list[str]) -> Iterator[str]:
    quoted = [f'"{member}"' for member in members]
    if len(quoted) <= _SHORT:
        yield f'{name} = namedtuple("{name}", ({", ".join(quoted)}{"," if len(quoted) == 1 else ""}))'
        return
    yield f"{name} = namedtuple("
    yield f'    "{name}",'
    yield "    ("
    for member in quoted:
        yield f"        {member},"
    yield "    ),"
    yield ")"


def _header_functions(header: Layout) -> Iterator[str]:
    constants = [field for field in header.fields if field.constant is not None]
    packed = [
        repr(field.constant).replace("'", '"')
        if isinstance(field.constant, bytes)
        else f"header.{field.name}"
        for field in header.fields
    ]
    yield ""
    yield "def encode_header(header):"
    for field in constants:
        if isinstance(field.constant, int):
            yield f"    if header.{field.name} != {field.name.upper()}:"
            yield f'        raise WireError("bad_{field.name}")'
    yield f"    return _pack(_HEADER, ({', '.join(packed)}))"
    yield ""
    yield ""
    yield "def decode_header(frame):"
    yield "    if len(frame) < HEADER_SIZE:"
    yield '        raise WireError("truncated")'
    yield f"    {', '.join(field.name for field in header.fields)} = struct.unpack_from(_HEADER, frame, 0)"
    for field in constants:
        expected = (
            packed[header.fields.index(field)] if isinstance(field.constant, bytes) else field.name.upper()
        )
        yield f"    if {field.name} != {expected}:"
        yield f'        raise WireError("bad_{field.name}")'
    yield f"    return {header.name}({', '.join(field.name for field in header.members)})"


# --- wire.pyi


def _stub(header: Layout, records: Mapping[int, Layout]) -> Iterator[str]:
    yield from STUB_HEAD.splitlines()
    for name, number in _constants(header):
        yield f"{name}: Final = {number}"
    for prefix, enumeration in frames.ENUMERATIONS.items():
        yield ""
        for number, name in _names(enumeration).items():
            yield f"{prefix}_{name.upper()}: Final = {number}"
        yield f"{prefix}_NAMES: Final[dict[int, str]]"
    yield ""
    for number, layout in records.items():
        yield f"TYPE_{layout.constant_name}: Final = {number}"
    for layout in (header, *records.values()):
        yield ""
        yield f"class {layout.name}(NamedTuple):"
        for field in layout.members:
            yield f"    {field.name}: {field.annotation}" + (f"  # {field.doc}" if field.doc else "")
    yield from STUB_TAIL.splitlines()
    yield "Record: TypeAlias = ("
    yield "    Unknown"
    for layout in records.values():
        yield f"    | {layout.name}"
    yield ")"


SOURCE_HEAD = '''\
# Generated from frames.py by codegen.py: do not edit, run `python -m protocols.magicbox.codegen`.
# pyright: basic, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# (its types are in wire.pyi; boards have no typing module)
"""The MagicBox frame as bytes: header and records, to and from named tuples. seal.py adds the MAC.

Runs on CPython and MicroPython. Arbitrary bytes raise WireError and nothing else.
"""

import struct
from collections import namedtuple


class WireError(ValueError):
    """`reason` is truncated, bad_magic, bad_version or bad_length; bad_value when encoding."""

    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


'''

SOURCE_RECORDS = '''

def encode_records(records):
    """The body of a frame."""
    chunks = []
    for record in records:
        if isinstance(record, Unknown):
            number, body = record
        else:
            number = _TYPES[type(record)]
            _, fmt, _, has_tail = _LAYOUTS[number]
            body = _pack(fmt, record[:-1]) + record[-1] if has_tail else _pack(fmt, record)
        chunks.append(_pack(">BH", (number, len(body))))
        chunks.append(body)
    return b"".join(chunks)


def decode_records(body):
    """The records of a body; an unknown type becomes Unknown, for the receiver to decide."""
    records = []
    offset = 0
    while offset < len(body):
        if len(body) - offset < 3:
            raise WireError("truncated")
        number, length = struct.unpack_from(">BH", body, offset)
        offset += 3
        end = offset + length
        if end > len(body):
            raise WireError("truncated")
        records.append(_decode(number, body, offset, end))
        offset = end
    return records


def _decode(number, body, offset, end):
    layout = _LAYOUTS.get(number)
    if layout is None:
        return Unknown(number, bytes(body[offset:end]))
    make, fmt, size, has_tail = layout
    tail = offset + size
    if tail > end or (tail < end and not has_tail):
        raise WireError("bad_length")
    fields = struct.unpack_from(fmt, body, offset)
    return make(*fields, bytes(body[tail:end])) if has_tail else make(*fields)


def _pack(fmt, values):
    # MicroPython packs a value out of range cut to size: only what comes back the same was packed.
    try:
        packed = struct.pack(fmt, *values)
    except (_STRUCT_ERROR, TypeError, OverflowError, ValueError):
        raise WireError("bad_value") from None
    if struct.unpack(fmt, packed) != tuple(values):
        raise WireError("bad_value")
    return packed


_STRUCT_ERROR = getattr(struct, "error", ValueError)  # MicroPython has none
'''

STUB_HEAD = """\
# Generated from frames.py by codegen.py: do not edit, run `python -m protocols.magicbox.codegen`.
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

class WireError(ValueError):
    reason: str
    def __init__(self, reason: str) -> None: ...

def encode_header(header: Header) -> bytes: ...
def decode_header(frame: bytes) -> Header: ...
def encode_records(records: Iterable[Record]) -> bytes: ...
def decode_records(body: bytes) -> list[Record]: ...

"""

STUB_TAIL = """

class Unknown(NamedTuple):
    type: int
    body: bytes
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).parent))

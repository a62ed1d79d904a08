"""Hypothesis strategies for MagicBox records, from the definition in frames.py."""

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from protocols.magicbox import frames, layouts, wire

NUMBERS = {"B": (0, 0xFF), "H": (0, 0xFFFF), "L": (0, 0xFFFFFFFF), "h": (-0x8000, 0x7FFF)}
LAYOUTS = {number: layouts.record_layout_of(node) for number, node in frames.RECORDS.items()}


def _value(field: layouts.Field) -> st.SearchStrategy[Any]:
    if field.is_tail:
        return st.binary(max_size=40)
    if field.format.endswith("s"):
        size = int(field.format[:-1])
        return st.binary(min_size=size, max_size=size)
    return st.integers(*NUMBERS[field.format])


def _record(layout: layouts.Layout) -> st.SearchStrategy[Any]:
    values = st.tuples(*(_value(field) for field in layout.fields))
    return values.map(lambda values: getattr(wire, layout.name)(*values))


unknown_records = st.builds(
    wire.Unknown, st.integers(0, 255).filter(lambda number: number not in LAYOUTS), st.binary(max_size=40)
)
any_record = st.one_of(*(_record(layout) for layout in LAYOUTS.values()), unknown_records)
any_records = st.lists(any_record, max_size=6)
headers = st.builds(
    wire.Header,
    st.just(wire.VERSION),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
)


def by_construct(body: bytes) -> list[Any]:
    """What construct reads from a body, as wire's records."""
    return [_from_container(row.type, row.body) for row in frames.BODY.parse(body)]


def built_by_construct(records: Iterable[Any]) -> bytes:
    """The body that construct writes for wire's records."""
    numbers = {layout.name: number for number, layout in LAYOUTS.items()}
    rows = [
        {"type": record.type, "body": record.body}
        if isinstance(record, wire.Unknown)
        else {"type": numbers[type(record).__name__], "body": record._asdict()}
        for record in records
    ]
    return frames.BODY.build(rows)


def _from_container(number: int, body: Any) -> Any:
    layout = LAYOUTS.get(number)
    if layout is None:
        return wire.Unknown(number, body)
    values = (body[field.name] for field in layout.fields)
    # An enumeration comes out of construct as a name that knows its number.
    return getattr(wire, layout.name)(
        *(value if isinstance(value, bytes) else int(value) for value in values)
    )

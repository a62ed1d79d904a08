"""CSV as people send it, read in chunks: UTF-8 with or without a mark, commas, semicolons or tabs, any line
end, headings in any case. A row comes to a schema's struct, or to what is wrong with it and what to do.

A file is never in memory a second time: rows come and go in chunks of CHUNK.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

from backend.solarium.operator_schemas import RowError

MAX_ROWS = 100_000  # of one file; a shipment of a year
MAX_CELL = 1_000  # characters; the longest field has 200
CHUNK = 500  # rows that are judged, or written, at a time: payments wait for no longer than that takes
DELIMITERS = ",;\t"
ALIASES = {"family": "token_family", "token_secret": "secret", "phone": "msisdn", "msisdn_": "msisdn"}
QUOTED = "'"  # stands before a cell that a spreadsheet would take for a formula (exports.py)
FORMULA = ("=", "+", "-", "@")
NUMBERS = ("starting_code",)
WHOLE = re.compile(r"([0-9]{1,18})(?:\.0)?")  # not 4.56E+08, which a spreadsheet made of another number

AS_TEXT = "; if a spreadsheet changed it, set the column to text"
HINTS: Mapping[str, str] = {
    "secret": f"is the token secret in hex, 2 to 128 digits, an even number{AS_TEXT}",
    "link_key": f"is the link key in hex, 32 to 128 digits, an even number{AS_TEXT}",
    "password": "is 16 to 200 printable characters without blanks",
    "market": "is two capital letters, for example UG",
    "token_family": "is moto or openpaygo",
    "starting_code": f"is a number of up to nine digits{AS_TEXT}",
    "msisdn": f"is a number with its country and without +, for example 256772100000{AS_TEXT}",
    "provider_key": "is country_company_brand, for example ug_mtn_mobilemoney",
}

T = TypeVar("T", bound=msgspec.Struct)
Parsed = list[tuple[int, T]]  # with the line in the file, the heading is line 1


class Chunk(msgspec.Struct, Generic[T]):
    """Rows that fit the schema, and what is wrong with the others."""

    rows: Parsed[T]
    errors: list[RowError]


def chunks(content: bytes, schema: type[T]) -> Iterator[Chunk[T]]:
    """The file in chunks; after one that can't be read further there is none."""
    chunk = Chunk[T]([], [])
    reader = _reader(content)
    try:
        heading = [_name(cell) for cell in next(reader, list[str]())]
        chunk.errors += _heading_errors(heading, schema)
        for number, cells in enumerate(_filled(reader) if not chunk.errors else (), 1):
            if number > MAX_ROWS:
                text = f"is beyond {MAX_ROWS} rows; split the file"
                chunk.errors.append(RowError(reader.line_num, "", text))
                break
            _take(chunk, heading, cells, schema, reader.line_num)
            if number % CHUNK == 0:
                yield chunk
                chunk = Chunk[T]([], [])
    except UnicodeDecodeError:
        text = "the file is not in UTF-8; save it as CSV UTF-8"
        chunk.errors.append(RowError(reader.line_num + 1, "", text))
    except csv.Error as error:
        text = f"no more rows can be read: {error}; check the quotes of this row"
        chunk.errors.append(RowError(max(reader.line_num, 1), "", text))
    yield chunk


class _Reader:
    """csv.reader with a name for its type."""

    def __init__(self, lines: Iterator[str], delimiter: str):
        self._rows = csv.reader(lines, delimiter=delimiter, strict=True)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        return next(self._rows)

    @property
    def line_num(self) -> int:
        return self._rows.line_num


def _reader(content: bytes) -> _Reader:
    first = content[:4096].partition(b"\n")[0].decode(errors="replace")
    delimiter = max(DELIMITERS, key=first.count)
    return _Reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""), delimiter)


def _filled(reader: _Reader) -> Iterator[list[str]]:
    """Rows that say something: a spreadsheet keeps empty ones at the end. csv.Error: too many are empty."""
    empty = 0
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield cells
            continue
        empty += 1
        if empty > MAX_ROWS:
            raise csv.Error("too many empty rows")


def _name(cell: str) -> str:
    name = "_".join(cell.strip().lower().split())
    return ALIASES.get(name, name)


def _take(chunk: Chunk[T], heading: list[str], cells: list[str], schema: type[T], line: int) -> None:
    left_over = [cell for cell in cells[len(heading) :] if cell.strip()]
    if len(cells) < len(heading) or left_over:
        text = f"has {len(cells)} cells, the heading has {len(heading)}; quote cells that hold the separator"
        chunk.errors.append(RowError(line, "", text))
        return
    found = _row(dict(zip(heading, cells, strict=False)), schema)
    if isinstance(found, tuple):
        chunk.errors.append(RowError(line, *found))
    else:
        chunk.rows.append((line, found))


def _row(cells: Mapping[str, str], schema: type[T]) -> T | tuple[str, str]:
    """The row, or the field that is wrong and why. What was in the cell is not said: it may be a secret."""
    long = next((name for name, cell in cells.items() if len(cell) > MAX_CELL), None)
    if long is not None:
        return long, f"is longer than {MAX_CELL} characters"
    fields = {name: _value(name, text) for name, cell in cells.items() if (text := _text(cell))}
    try:
        return msgspec.convert(fields, schema)
    except msgspec.ValidationError as error:
        text = str(error)
        named = next((name for name in cells if f"`$.{name}`" in text or f"`{name}`" in text), "")
        if named and named not in fields:
            return named, "is missing"
        return named, HINTS.get(named, text.partition(" - at `")[0])


def _value(name: str, text: str) -> str | int:
    number = WHOLE.fullmatch(text) if name in NUMBERS else None
    return text if number is None else int(number[1])


def _text(cell: str) -> str:
    text = cell.strip()
    return text[1:] if text[:1] == QUOTED and text[1:2] in FORMULA else text


def _heading_errors(heading: list[str], schema: type[T]) -> list[RowError]:
    fields = msgspec.structs.fields(schema)
    known = {field.name for field in fields}
    if len(heading) > len(fields):
        return [RowError(1, "", f"has more than {len(fields)} columns: {', '.join(sorted(known))}")]
    unknown = [name for name in heading if name not in known]
    missing = [field.name for field in fields if field.required and field.name not in heading]
    twice = {name for name in heading if heading.count(name) > 1}
    return [
        *(RowError(1, name[:80], "is no column of this import") for name in unknown),
        *(RowError(1, name, "is a column that is missing") for name in missing),
        *(RowError(1, name, "is there twice") for name in sorted(twice)),
    ]

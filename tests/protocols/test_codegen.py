"""codegen.py: the committed files are fresh; layouts.py refuses by name what they cannot express."""

from pathlib import Path

import construct
import pytest
from construct import Bytes, Const, Enum, Flag, GreedyBytes, Int8ub, Int16ul, Int32ub, Struct, this

from protocols.magicbox import codegen, frames, layouts


def test_the_committed_files_are_fresh():
    assert codegen.main(["--check"], Path(codegen.__file__).parent) == 0


def test_check_tells_a_stale_file(tmp_path, capsys):
    assert codegen.main([], tmp_path) == 0
    assert codegen.main(["--check"], tmp_path) == 0
    (tmp_path / "wire.pyi").write_text("# edited by hand\n")
    assert codegen.main(["--check"], tmp_path) == 1
    assert "wire.pyi is stale" in capsys.readouterr().err
    assert (tmp_path / "wire.pyi").read_text() == "# edited by hand\n"


def test_usage(tmp_path, capsys):
    assert codegen.main(["--chek"], tmp_path) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Struct("a" / Int8ub), "no named Struct"),
        ("Record" / Int8ub, "no named Struct"),
        ("Record" / Struct(), "Record has no fields"),
        ("Record" / Struct(Int8ub), "has no name"),
        ("Record" / Struct("a" / Int16ul), "Record.a: numbers are big-endian"),
        ("Record" / Struct("a" / Flag), "Record.a: Flag has no fixed struct format"),
        ("Record" / Struct("a" / Int8ub[3]), "Record.a: Array has no fixed struct format"),
        ("Record" / Struct("n" / Int8ub, "a" / Bytes(this.n)), "Record.a: Bytes needs a fixed length"),
        ("Record" / Struct("a" / GreedyBytes, "b" / Int8ub), "Record.a: GreedyBytes is only for the last"),
        ("Record" / Struct("a" / Enum(Int8ub, x=0)), "Record.a: list the Enum"),
        ("Record" / Struct("a" / Const(b"x")), "Record.a: Const is only for the header"),
        ("Record" / Struct("a" / construct.Struct("b" / Int8ub)), "Record.a: Struct has no fixed"),
    ],
)
def test_what_it_cannot_express_is_refused(node, reason):
    with pytest.raises(layouts.LayoutError) as error:
        layouts.record_layout_of(node)
    assert reason in str(error.value)


def test_a_layout():
    layout = layouts.layout_of(
        "TokenNote" / Struct("count" / Int32ub * "doc", "state" / frames.STATE, "x" / GreedyBytes)
    )
    assert (layout.name, layout.constant_name, layout.format, layout.size) == (
        "TokenNote",
        "TOKEN_NOTE",
        ">LB",
        5,
    )
    assert [(field.name, field.annotation, field.doc) for field in layout.members] == [
        ("count", "int", "doc"),
        ("state", "int", ""),
        ("x", "bytes", ""),
    ]
    assert layout.has_tail

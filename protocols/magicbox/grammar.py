"""What frames.py and codegen.py take from construct, typed once as Any: construct itself has no types."""

from typing import Any

import construct

_construct: Any = construct

Bytes: Any = _construct.Bytes
Const: Any = _construct.Const
ConstructError: type[Exception] = _construct.ConstructError
Enum: Any = _construct.Enum
FocusedSeq: Any = _construct.FocusedSeq
FormatField: Any = _construct.FormatField
GreedyBytes: Any = _construct.GreedyBytes
GreedyRange: Any = _construct.GreedyRange
Int8ub: Any = _construct.Int8ub
Int16sb: Any = _construct.Int16sb
Int16ub: Any = _construct.Int16ub
Int32ub: Any = _construct.Int32ub
Prefixed: Any = _construct.Prefixed
Renamed: Any = _construct.Renamed
Struct: Any = _construct.Struct
Switch: Any = _construct.Switch
Terminated: Any = _construct.Terminated
this: Any = _construct.this

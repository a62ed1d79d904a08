"""What msgspec raises over bytes of strangers that are not what they should be."""

import msgspec

# No JSON, or not of the schema; nested too deep; no UTF-8, or a number of more digits than Python converts.
UNREADABLE = (msgspec.DecodeError, RecursionError, ValueError)

"""Which firmware this is: status records, the answer to UPDATE and update images carry it."""

VERSION = b"\x00\x01\x00"  # major, minor, patch

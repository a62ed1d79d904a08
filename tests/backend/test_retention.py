"""What may be deleted, and nowhere else (ARCHITECTURE.md, What is kept how long; checklist 109)."""

import re
from pathlib import Path

BACKEND = Path(__file__).parents[2] / "backend"
DELETES = re.compile(r"\bdelete\(|\bDELETE FROM\b", re.IGNORECASE)
MAY_DELETE = {
    "kit/outbox.py",  # what has left
    "kit/master.py",  # a master key's check, when it was replaced
    "solarium/store.py",  # access tokens and validations that are over
    "mese/store.py",  # sessions of the day before
    "m2m/lifecycle_store.py",  # telemetry
}


def test_checklist_109_nothing_but_what_is_listed_is_ever_deleted() -> None:
    found = {
        str(file.relative_to(BACKEND))
        for file in BACKEND.rglob("*.py")
        if "migrations" not in file.parts and DELETES.search(file.read_text())
    }
    assert found <= MAY_DELETE, found - MAY_DELETE
    store = (BACKEND / "solarium" / "store.py").read_text()
    deleted = re.findall(r"delete\((\w+)\)\.where\(table\.c\.(\w+)", store)
    assert {column for _, column in deleted} == {"expires_at_ms"}

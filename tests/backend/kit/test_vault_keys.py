"""Secrets at rest: sealed, or hashed under a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import MetaData, select

from backend.kit.database import Database
from backend.kit.errors import InternalError
from backend.kit.keys import ApiKeys, Client
from backend.kit.vault import SEALED, Vault
from simulator.clock import ManualClock, SeededEntropy


def vault(master: bytes = b"master", service: str = "kit") -> Vault:
    return Vault(master, service, SeededEntropy(1))


@given(st.binary(max_size=100), st.text(max_size=20))
def test_what_is_sealed_opens(plain: bytes, context: str) -> None:
    sealed = vault().seal(plain, context)
    assert vault().open(sealed, context) == plain
    assert plain not in sealed or len(plain) < 4


@given(st.integers(0, 200))
def test_what_was_changed_does_not_open(position: int) -> None:
    sealed = bytearray(vault().seal(b"42744349", "order"))
    sealed[position % len(sealed)] ^= 1
    with pytest.raises(InternalError):
        vault().open(bytes(sealed), "order")


@given(st.text(max_size=100), st.text(max_size=20))
def test_a_sealed_text_opens_under_its_context_only(plain: str, context: str) -> None:
    sealed = vault().seal_text(plain, context)
    assert sealed.startswith(SEALED)
    assert vault().open_text(sealed, context) == plain
    for damaged, other in ((sealed, context + "x"), (sealed[:-1], context), (SEALED + "?", context)):
        with pytest.raises(InternalError):
            vault().open_text(damaged, other)


def test_a_text_of_before_there_were_seals_is_read_as_it_is() -> None:
    assert vault().open_text("TOKEN: 42744349", "command 1 text") == "TOKEN: 42744349"


def test_a_seal_belongs_to_its_context_master_key_and_service() -> None:
    sealed = vault().seal(b"42744349", "order")
    for other, context in ((vault(), "other"), (vault(b"x"), "order"), (vault(service="x"), "order")):
        with pytest.raises(InternalError):
            other.open(sealed, context)
    with pytest.raises(InternalError):
        vault().open(b"short", "order")


def test_the_same_plain_text_is_sealed_differently_each_time() -> None:
    one = vault()
    assert one.seal(b"x", "c") != one.seal(b"x", "c")


def test_fingerprints_depend_on_the_master_key() -> None:
    assert vault().fingerprint("secret") == vault().fingerprint("secret")
    assert vault().fingerprint("secret") != vault(b"x").fingerprint("secret")
    assert vault().fingerprint("secret") != vault().fingerprint("secret2")


def test_any_header_has_a_fingerprint() -> None:
    header = b"\xff".decode("utf-8", "surrogateescape")  # as aiohttp hands it over
    assert vault().fingerprint(header) != vault().fingerprint("")


async def test_keys_are_found_by_hash_and_several_are_valid(database: Database) -> None:
    metadata = MetaData()
    keys = ApiKeys(metadata, b"pepper")
    await database.write(metadata.create_all)
    await database.write(lambda c: keys.install(c, "first", "momo", [], 1))
    await database.write(lambda c: keys.install(c, "second", "mese", ["UG", "RW"], 2))
    await database.write(lambda c: keys.install(c, "first", "somebody else", ["KE"], 3))
    assert keys.client_of("first") is None  # not loaded yet
    await keys.open(database, ManualClock(0))
    assert keys.client_of("first") == Client("momo", ())
    assert keys.client_of("second") == Client("mese", ("UG", "RW"))
    for wrong in (None, "", "third", "x" * 513, "\udce9"):
        assert keys.client_of(wrong) is None
    rows = await database.read(lambda c: c.execute(select(keys.table)).all())
    assert "first" not in str(rows)


async def test_keys_of_another_pepper_do_not_fit(database: Database) -> None:
    metadata = MetaData()
    keys = ApiKeys(metadata, b"pepper")
    await database.write(metadata.create_all)
    await database.write(lambda c: keys.install(c, "first", "momo", [], 1))
    other = ApiKeys(MetaData(), b"other")
    await other.open(database, ManualClock(0))
    assert other.client_of("first") is None

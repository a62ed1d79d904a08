"""The master key opens a database's root key; another one is refused, and replacing it costs nothing else."""

import pytest
import sqlalchemy as sa

from backend.kit import master
from backend.kit.database import Database
from backend.kit.errors import CannotStart
from simulator.clock import SeededEntropy

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


async def test_the_root_key_stays(database: Database) -> None:
    entropy = SeededEntropy(1)
    root = await master.root_key(database, "kit", OLD, entropy)
    assert len(root) == master.ROOT_SIZE
    assert await master.root_key(database, "kit", OLD, entropy) == root
    kept = await database.read(lambda c: c.execute(sa.text("SELECT master, sealed FROM root_keys")).all())
    assert root not in bytes(kept[0].sealed)
    assert OLD.hex() not in str(kept)


async def test_another_master_key_is_refused_and_changes_nothing(database: Database) -> None:
    entropy = SeededEntropy(1)
    root = await master.root_key(database, "kit", OLD, entropy)
    for wrong in (NEW, OLD[:16]):
        with pytest.raises(CannotStart, match="does not open the database of kit"):
            await master.root_key(database, "kit", wrong, entropy)
        with pytest.raises(CannotStart):
            await master.add_master(database, "kit", wrong, NEW, entropy)
        with pytest.raises(CannotStart):
            await master.keep_master(database, "kit", wrong)
    assert await master.root_key(database, "kit", OLD, entropy) == root


async def test_it_is_replaced_in_steps_that_each_leave_one_that_opens(database: Database) -> None:
    entropy = SeededEntropy(1)
    root = await master.root_key(database, "kit", OLD, entropy)
    for _ in range(2):  # again, as after a crash
        await master.add_master(database, "kit", OLD, NEW, entropy)
        assert await master.root_key(database, "kit", OLD, entropy) == root
        assert await master.root_key(database, "kit", NEW, entropy) == root
    await master.keep_master(database, "kit", NEW)
    assert await master.root_key(database, "kit", NEW, entropy) == root
    with pytest.raises(CannotStart):
        await master.root_key(database, "kit", OLD, entropy)


async def test_a_database_of_before_keeps_what_it_sealed(database: Database) -> None:
    await database.write(lambda c: c.execute(sa.text("CREATE TABLE api_keys (key_hash TEXT)")))
    assert await master.root_key(database, "kit", OLD, SeededEntropy(1)) == OLD


@pytest.mark.parametrize("text", ["", "zz", "00" * 15, "0" * 31, "00 11"])
def test_a_bad_master_key_is_one_line_without_it(text: str) -> None:
    with pytest.raises(CannotStart, match="PAYG_MASTER_KEY") as refused:
        master.master_key_of(text)
    assert not text or text not in str(refused.value)
    assert "\n" not in str(refused.value)

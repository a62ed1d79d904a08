"""The stores: the newest record wins, and a power cut at any write leaves the old state or the new one."""

from firmware.file_store import FileStore
from firmware.store import MAX_PAYLOAD, Ring, StoreError
from tests.device.bench import DAY_S, Bench, CutFlash, PowerCut, moto_token
from tests.device.plain import MemoryFiles, raises


def test_the_ring_gives_back_the_last_record():
    flash = CutFlash()
    assert Ring(flash).load() is None
    store = Ring(flash)
    for number in range(20):
        store.save(b"%d" % number * 100)
        assert Ring(flash).load() == b"%d" % number * 100
    assert raises(StoreError, store.save, bytes(MAX_PAYLOAD + 1))


def test_the_ring_is_cut_at_every_operation():
    for cut_at in range(12):
        flash = CutFlash()
        flash.cut_at = cut_at
        store = Ring(flash)
        known = new = None
        try:
            for number in range(12):
                new = b"%d" % number * 100
                store.save(new)
                known = new
        except PowerCut:
            pass
        after = Ring(flash)
        assert after.load() in (known, new)
        after.save(b"goes on")
        assert Ring(flash).load() == b"goes on"


def test_files_take_turns():
    files = MemoryFiles()
    store = FileStore(files)
    assert store.load() is None
    for number in range(5):
        store.save(b"%d" % number)
        assert FileStore(files).load() == b"%d" % number
    newest = "/state.a" if files.files["/state.a"][-1:] == b"4" else "/state.b"
    files.files[newest] = files.files[newest][:-1]
    assert FileStore(files).load() == b"3"


def test_an_entry_is_cut_at_every_operation():
    token = moto_token("unlock_relative", 1, 1)
    for cut_at in range(4):
        bench = Bench()
        bench.flash.cut_at = bench.flash.operations + cut_at
        try:
            assert bench.result(token) == "accepted"
        except PowerCut:
            assert bench.hal.relay is not True or bench.controller.credit_s
        bench.flash.cut_at = -1
        bench.reboot()
        if bench.controller.token_count == 0:
            assert bench.result(token) == "accepted"
        assert bench.result(token) == "already_used"
        assert bench.controller.credit_s in range(DAY_S - 60, DAY_S + 1)

"""Sealed frames: fixed vectors, damage, and the window of sequences."""

from protocols import mac
from protocols.magicbox import seal, wire
from tests.device.plain import from_hex, raises, to_hex

KEY = bytes(range(16))
BODY = bytes(range(37))
FRAMES = (
    # direction, epoch, sequence, encrypted, frame
    (
        seal.UP,
        0,
        0,
        False,
        "4d420100000000000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324a3b8dcadae1fc248",
    ),
    (
        seal.UP,
        0,
        1,
        True,
        "4d42010100000000000136dfe6eb8166445691bdfb4644bc697be004e205fbe7e394241d5c661bc1b3abd156a1f0ac012fb2ac2ebbedb3",
    ),
    (
        seal.DOWN,
        0,
        2,
        True,
        "4d4201030000000000023fec20b8090c11ed1807925397d6ddb7a0d46f5e9d429fad27bdd8e4aae2e760953e8577471264aee60a1c9d64",
    ),
    (
        seal.DOWN,
        65535,
        4294967295,
        True,
        "4d420103ffffffffffff563e975ff65dec76ab6dc17e80c6b3b847e816831530017abd889121d612f614e35c1af4d961814254a5c4ebd8",
    ),
)


def test_hashes_are_those_of_the_rfcs():
    # RFC 2202 and 4231, test cases 1 and 6 (a key longer than a block)
    assert to_hex(mac.hmac_sha1(b"\x0b" * 20, b"Hi There")) == "b617318655057264e28bc0b6fb378c8ef146be00"
    assert (
        to_hex(mac.hmac_sha256(b"\x0b" * 20, b"Hi There"))
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
    long_key = b"\xaa" * 131
    message = b"Test Using Larger Than Block-Size Key - Hash Key First"
    assert (
        to_hex(mac.hmac_sha256(long_key, message))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    )


def test_frames_are_the_known_ones():
    for direction, epoch, sequence, encrypted, digits in FRAMES:
        keys = seal.LinkKeys(KEY, direction)
        frame = from_hex(digits)
        assert seal.seal(keys, epoch, sequence, BODY, encrypted) == frame
        header, body = seal.unseal(keys, frame)
        assert (header.epoch, header.sequence, body) == (epoch, sequence, BODY)
        assert raises(seal.SealError, seal.unseal, seal.LinkKeys(KEY, 1 - direction), frame)


def test_a_frame_with_one_bit_changed_is_refused():
    keys = seal.LinkKeys(KEY, seal.DOWN)
    frame = seal.seal(keys, 3, 99, BODY, True)
    for place in range(len(frame)):
        broken = bytearray(frame)
        broken[place] ^= 1 << place % 8
        assert raises(wire.WireError, seal.unseal, keys, bytes(broken))
    for length in range(len(frame)):
        assert raises(wire.WireError, seal.unseal, keys, frame[:length])


def test_the_window_takes_each_sequence_once():
    window = seal.Window()
    taken = set()
    number = 7
    for _ in range(400):
        number = (number * 1_103 + 12_345) % 500
        fresh = window.fresh(number)
        assert not (fresh and number in taken)
        if number not in taken and window.highest - number < seal.Window.SIZE:
            assert fresh
        if fresh:
            window.accept(number)
            taken.add(number)
    window.accept(0xFFFFFFFF)
    assert not window.fresh(0xFFFFFFFF)
    assert window.fresh(0xFFFFFFFF - 63)
    assert not window.fresh(0xFFFFFFFF - 64)

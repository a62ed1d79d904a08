"""The signature of a factory reset: of one device, at one count, by who has its secret."""

from protocols.mac import hmac_sha256
from protocols.magicbox.reset import SIGNATURE_SIZE, factory_signature

SECRET = bytes.fromhex("00112233aabbcc")


def test_it_is_the_start_of_a_keyed_hash() -> None:
    said = b"payg factory reset" + b"SCBLNX/A/BT/240300126005" + bytes([0, 0, 1, 2])
    expected = hmac_sha256(SECRET, said)[:SIGNATURE_SIZE]
    assert factory_signature(SECRET, "SCBLNX/A/BT/240300126005", 258) == expected


def test_another_device_count_or_secret_has_another() -> None:
    signatures = {
        factory_signature(secret, serial, token_count)
        for secret in (SECRET, SECRET[:-1])
        for serial in ("T/1", "T/2")
        for token_count in (0, 1)
    }
    assert len(signatures) == 8

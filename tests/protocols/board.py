"""Calls protocols/ with plain JSON in and out: the same file runs on CPython and on MicroPython.

`python board.py VECTORS` reads lines of [operation, arguments] and prints a line of result for each; bytes
are hexadecimal. An error of ours is its class name and text.
"""

import binascii
import json
import sys

from protocols import mac, topics
from protocols.magicbox import seal, text, wire
from protocols.tokens import encoding, moto, openpaygo, siphash
from protocols.tokens.errors import TokenError


def from_hex(digits):
    return binascii.unhexlify(digits)


def to_hex(data):
    return binascii.hexlify(data).decode()


def _plain(value):
    return to_hex(value) if isinstance(value, bytes) else value


def decode_body(digits):
    records = wire.decode_records(from_hex(digits))
    rows = [[_plain(value) for value in record] for record in records]
    return [rows, to_hex(wire.encode_records(records))]


def header(digits):
    return list(wire.decode_header(from_hex(digits)))


def status(values):
    return to_hex(wire.encode_records([wire.Status(*values, firmware=b"123")]))


def seal_frame(key, direction, place, body, encrypted):
    keys = seal.LinkKeys(from_hex(key), direction)
    return to_hex(seal.seal(keys, *place, from_hex(body), encrypted))


def unseal_frame(key, direction, frame):
    found, body = seal.unseal(seal.LinkKeys(from_hex(key), direction), from_hex(frame))
    return [list(found), to_hex(body)]


def window(sequences):
    taken = seal.Window()
    answers = []
    for sequence in sequences:
        answers.append(taken.fresh(sequence))
        taken.accept(sequence)
    return [answers, taken.highest, taken.bits]


OPERATIONS = {
    "hmac_sha1": lambda key, data: to_hex(mac.hmac_sha1(from_hex(key), from_hex(data))),
    "hmac_sha256": lambda key, data: to_hex(mac.hmac_sha256(from_hex(key), from_hex(data))),
    "equal": lambda a, b: mac.equal(from_hex(a), from_hex(b)),
    "siphash24": lambda key, data: siphash.siphash24(from_hex(key), from_hex(data)),
    "moto.encode": lambda secret, *rest: moto.encode(from_hex(secret), *rest),
    "moto.split": lambda number: list(moto.split(number)),
    "encoding.render": encoding.render,
    "openpaygo.encode": lambda secret, *rest: openpaygo.encode(from_hex(secret), *rest),
    "openpaygo.derive": lambda secret: openpaygo.derive_starting_code(from_hex(secret)),
    "openpaygo.value_of": openpaygo.value_of,
    "openpaygo.format_token": openpaygo.format_token,
    "openpaygo.to_restricted": openpaygo.to_restricted,
    "openpaygo.from_restricted": openpaygo.from_restricted,
    "openpaygo.next_count": openpaygo.next_count,
    "wire.decode_body": decode_body,
    "wire.header": header,
    "wire.status": status,
    "seal": seal_frame,
    "unseal": unseal_frame,
    "window": window,
    "topics.ops": topics.ops,
    "topics.up": topics.up,
    "topics.down": topics.down,
    "topics.state": topics.state,
    "topics.parse": lambda topic: list(topics.parse(topic) or ()),
    "text.parse": lambda line: list(text.parse(line)),
    "text.render": text.render,
}


def answer(operation, arguments):
    try:
        return OPERATIONS[operation](*arguments)
    except (wire.WireError, TokenError, text.TextError) as error:
        return [type(error).__name__, str(error)]


def main(path):
    with open(path) as vectors:
        for line in vectors:
            print(json.dumps(answer(*json.loads(line))))


if __name__ == "__main__":
    main(sys.argv[1])

"""How long a token check takes here: lines of `name`, microseconds, result (tests/bench/board_bench.py)."""

import time

from firmware import acceptance
from firmware.counters import Counters
from firmware.scans import Checkpoints
from protocols.magicbox import wire
from tests.device.bench import MOTO_SECRET, OPENPAYGO_SECRET, STARTING_CODE, moto_token, opg_token


def _check(family, last, digits, checkpoints):
    secret = MOTO_SECRET if family == wire.FAMILY_MOTO else OPENPAYGO_SECRET
    check = acceptance.begin(family, secret, STARTING_CODE, Counters(last), str(digits), checkpoints)
    check.run()
    return check


def _row(name, family, last, digits, checkpoints):
    began = time.ticks_us()
    check = _check(family, last, digits, checkpoints)
    passed = time.ticks_diff(time.ticks_us(), began)
    print(name + "\t%d\t" % passed + wire.RESULT_NAMES[check.result])


def main():
    moto = wire.FAMILY_MOTO
    _row("moto, the next token", moto, 200, moto_token("unlock_relative", 1, 201), Checkpoints())
    _row("moto, a wrong one", moto, 200, moto_token("unlock_relative", 1, 201) ^ 1, Checkpoints())
    openpaygo = wire.FAMILY_OPENPAYGO
    for last in (50, 200, 7_300):
        token = opg_token(7, last + 2)
        wrong = "%06d%s" % ((int(token) // 1000 + 1) % 1_000_000, token[-3:])
        checkpoints = Checkpoints()
        _row("openpaygo at %d, first of its value" % last, openpaygo, last, token, checkpoints)
        checkpoints.note(_check(openpaygo, last, token, checkpoints))
        _row("openpaygo at %d, with its checkpoint" % last, openpaygo, last, token, checkpoints)
        _row("openpaygo at %d, a wrong one" % last, openpaygo, last, wrong, checkpoints)

"""Which tokens are good: counters, windows and used tokens, for both families (spec/openpaygo.md,
moto_token.md).

`begin` turns typed digits into a `Check`; `Check.step` tries counts, as many as the caller has time for,
until there is a verdict; `Counters.accept` books an accepted one, `Checkpoints.note` remembers where its
chain was. controller.py steps, and grants what was accepted. counters.py keeps the counts, scans.py knows
where to look.

A check looks where a good token can be first, and then behind. Moto: FORWARD + BACK_SYNC hashes, then up to
MOTO_REACH numbers back. OpenPAYGO: from the value's checkpoint through the window, 127 hashes whatever the
count (128 more while a checkpoint follows the counter), then from count 0 to the checkpoint. Only what has no
good token near, or a spent one, in the first part needs the second: it tells a spent token from a wrong one,
and what is good far ahead from what was spent. Without a checkpoint, as for a value not seen before, all of
it is one walk from 0.

A count (Moto: sequence number) is good for
- any command: ahead of the last one by at most FORWARD (a counter sync: FORWARD_SYNC);
- an additive command: also behind it by at most BACK, unused and not older than a setting command;
- a counter sync: also behind it by at most BACK_SYNC, unused; it then changes nothing, the counter never goes
back. Every other genuine token is spent: `already_used`, however old it is (Moto: up to MOTO_REACH numbers).

A tampered device (its store was wiped) has forgotten its counter: it takes a counter sync only, up to
WIDE_SYNC ahead of the count it was provisioned with, and answers everything else `locked` without a look.

The signatures are short (about 19 bits), so the digits of one token match some other number now and then.
What was typed decides in this order: digits of one of the last RECENT accepted tokens are spent; then a good
number at most NEAR ahead, or behind, is believed; then a spent one at most SPENT_NEAR back; then a good
number further ahead; then an older spent one. So a new token that is up to NEAR ahead is never taken for an
old one, one further ahead once in 2^19 / SPENT_NEAR = 2,048 tokens. Retyping old tokens, which costs no wrong
entries, gains once in 2^19 / NEAR = 32,768 entries, and with tokens more than SPENT_NEAR back once in 2^19 /
FORWARD = 8,192; each of them is good for that once (RECENT, and then it is spent). A stranger's guesses gain
no more than before: `guess_chance` believes all of FORWARD in any case.
"""

from firmware.counters import (
    BACK,
    BACK_SYNC,
    FORWARD,
    FORWARD_SYNC,
    Counters,
)
from firmware.scans import (
    MOTO_REACH,
    SPENT_NEAR,
    Checkpoints,
    MotoScan,
    OpenPaygoScan,
    moto_scan,
    openpaygo_scan,
)
from protocols.magicbox import wire

NEAR = 16  # OpenPAYGO's additive tokens take every second count, so eight tokens
WIDE_SYNC = (4_096, 8_192)  # by family: moto, openpaygo (every second count); eleven years of a token a day

_TEN_YEARS_COUNT = 7_306  # OpenPAYGO: a token a day at every second count
_SLICE = 1_000_000  # more than any search takes: `run` is one step


class Check:
    """The search for the count of one typed token: `step` until it is done, then read the rest.

    `place` is for Checkpoints.note.
    """

    __slots__ = (
        "_counters",
        "_done",
        "_far",
        "_forward",
        "_near",
        "_old",
        "_scan",
        "_spent",
        "command",
        "count",
        "number",
        "payload",
        "result",
    )

    def __init__(self, scan: "MotoScan | OpenPaygoScan", counters: Counters, forward: int, near: int):
        self._scan = scan
        self._counters = counters
        self._forward = forward
        self._near = near
        self._done = False
        self._far = -1
        self._spent = -1
        self._old = -1
        self.number = scan.number
        self.payload = scan.payload
        self.command = wire.TOKEN_COMMAND_NONE
        self.count = 0
        self.result = wire.RESULT_INVALID

    @property
    def place(self) -> tuple[int, int, int]:
        """(kind, count, code) before the window; a count of 0 is no place."""
        return self._scan.place

    def run(self) -> None:
        """Step to the end."""
        while not self.step(_SLICE):
            pass

    def step(self, hashes: int) -> bool:
        """Try up to `hashes` counts, a hash each; whether there is a verdict. Take up again any time."""
        scan = self._scan
        while hashes > 0 and not self._done:
            taken = scan.search(hashes)
            hashes -= taken
            if taken and scan.matches():
                self._found(scan.count)
            elif not taken:  # this part of the search is through
                self._done = not scan.turn() or self._is_settled()
            if self._done:
                self._decide()
        return self._done

    def refuse(self) -> None:
        """End it before it began: a tampered device takes no token of this command."""
        self._done = True
        self.result = wire.RESULT_LOCKED

    def _found(self, count: int) -> None:
        """Weigh a match; done when nothing that is still to be tried outweighs it."""
        counters = self._counters
        command = self._scan.command(count)
        if command == wire.TOKEN_COMMAND_NONE:  # disable or sync at an even count is no token
            return
        last = counters.last
        if counters.is_recent(self.number):
            self._end(wire.RESULT_ALREADY_USED, count)
        elif counters.is_good(command, count, self._forward):
            if count <= last + self._near:
                self._end(wire.RESULT_ACCEPTED, count)
                return
            self._far = count
        elif last - SPENT_NEAR <= count <= last:
            self._spent = count
        elif count < last:
            self._old = count
        self._done = self._done or self._is_settled()

    def _is_settled(self) -> bool:
        covered = self._scan.covered
        last = self._counters.last
        if covered > max(last - BACK_SYNC, 0):  # an unused older token may follow
            return False
        if self._spent >= 0:
            return True
        return self._old >= 0 if self._far < 0 else covered <= last - SPENT_NEAR

    def _decide(self) -> None:
        if self.result != wire.RESULT_INVALID:
            return
        if self._spent >= 0:
            self._end(wire.RESULT_ALREADY_USED, self._spent)
        elif self._far >= 0:
            self._end(wire.RESULT_ACCEPTED, self._far)
        elif self._old >= 0:
            self._end(wire.RESULT_ALREADY_USED, self._old)

    def _end(self, result: int, count: int) -> None:
        self._done = True
        self.result = result
        self.count = count
        self.command = self._scan.command(count)


def begin(  # noqa: PLR0917 - what a device is, what it remembers, what was typed
    family: int,
    secret: bytes,
    starting_code: int,
    counters: Counters,
    digits: str,
    checkpoints: Checkpoints,
    tampered: bool = False,
) -> Check | None:
    """A check of typed digits; None when they are no token of the family at all.

    On a `tampered` device a token of any command but counter sync is at once RESULT_LOCKED.
    """
    if not digits or not all([digit in "0123456789" for digit in digits]):
        return None
    if family == wire.FAMILY_MOTO:
        scan = moto_scan(secret, digits)
    else:
        scan = openpaygo_scan(secret, starting_code, digits)
    if scan is None:
        return None
    is_sync = scan.command(1) == wire.TOKEN_COMMAND_COUNTER_SYNC
    forward = FORWARD_SYNC if is_sync else FORWARD
    near = NEAR
    if tampered:
        near = forward = WIDE_SYNC[family]
    scan.aim(counters.last, forward, checkpoints)
    check = Check(scan, counters, forward, near)
    if tampered and not is_sync:
        check.refuse()
    return check


def guess_chance(family: int) -> float:
    """How likely one guessed entry is to give credit, at best for who guesses.

    Moto: a relative unlock is good at FORWARD + BACK numbers, each signed with 19 bits.
    OpenPAYGO: a value is good at FORWARD counts and, if additive, at the even ones of BACK; the low three
    digits carry the value, and the fold of 2^30 codes onto 10^9 makes some codes twice as likely: 2 * 1000 of
    2^30 (an extended token: 2 * 10^6 of 2^40, which is less).
    """
    if family == wire.FAMILY_MOTO:
        return (FORWARD + BACK) / 2**19
    return (FORWARD + (BACK + 1) // 2) * 2 * 1000 / 2**30


def sync_chance(family: int) -> float:
    """How likely one guessed counter sync ends the tampered state (which gives no credit yet)."""
    if family == wire.FAMILY_MOTO:
        return WIDE_SYNC[family] / 2**19
    return WIDE_SYNC[family] // 2 * 2 * 1000 / 2**30  # only odd counts


def spent_chance(family: int) -> float:
    """How likely a guess has the digits of a spent token after ten years, and so is no wrong entry."""
    if family == wire.FAMILY_MOTO:
        return MOTO_REACH / 2**19
    return _TEN_YEARS_COUNT * 2 * 1000 / 2**30

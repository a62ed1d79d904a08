"""What the display says: two lines of at most 16 characters."""

from protocols.magicbox import wire

SHOW_RESULT_MS = 5_000  # then the idle lines return
WIDTH = 16

_DAY_S = 86_400


def idle_lines(state: int, left_s: int) -> tuple[str, str]:
    if state == wire.STATE_PAYG_DISABLED:
        return "UNLOCKED", ""
    if state == wire.STATE_EXPIRED:
        return "NO CREDIT", "ENTER A TOKEN"
    return "CREDIT", left_text(left_s)


def result_lines(result: int, state: int, left_s: int, wait_ms: int, closed: bool) -> tuple[str, str]:
    """The answer to an entry; `wait_ms` and `closed` are the throttle's."""
    if result == wire.RESULT_ACCEPTED:
        return "ACCEPTED", idle_lines(state, left_s)[1]
    if result == wire.RESULT_ALREADY_USED:
        return "ALREADY USED", idle_lines(state, left_s)[1]
    if result == wire.RESULT_LOCKED:
        return "LOCKED", "CALL SUPPORT" if closed else "WAIT %d MIN" % -(-wait_ms // 60_000)
    return "INVALID", ""


def left_text(left_s: int) -> str:
    """Days left, or hours on the last one."""
    if left_s >= _DAY_S:
        return "%d DAYS LEFT" % (left_s // _DAY_S)
    return "%d H LEFT" % -(-left_s // 3600)

"""The markets of resolutions 25: who is in one by his number, what it speaks, and what it calls its money."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Market:
    """`languages`: codes of languages/, the first is spoken until the customer chooses."""

    code: str
    prefix: str
    languages: tuple[str, ...]
    money: str


MARKETS: dict[str, Market] = {
    market.code: market
    for market in (
        Market("UG", "256", ("en", "sw"), "UGX"),
        Market("RW", "250", ("en", "rw", "fr", "sw"), "RWF"),
        Market("KE", "254", ("en", "sw"), "KSh"),
        Market("TZ", "255", ("sw", "en"), "TSh"),
        Market("BJ", "229", ("fr", "en"), "FCFA"),
        Market("CI", "225", ("fr", "en"), "FCFA"),
        Market("MZ", "258", ("pt", "en", "sw"), "MT"),
        Market("NG", "234", ("en", "fr"), "NGN"),
        Market("ZM", "260", ("en", "sw"), "ZMW"),
    )
}
_BY_PREFIX = {market.prefix: market.code for market in MARKETS.values()}


def market_of(msisdn: str) -> str | None:
    """The market of a number (E.164 without +), or None."""
    return _BY_PREFIX.get(msisdn[:3])

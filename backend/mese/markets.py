"""Market by the country prefix of a phone number (resolutions 25)."""

PREFIXES: dict[str, str] = {
    "256": "UG",
    "250": "RW",
    "254": "KE",
    "255": "TZ",
    "229": "BJ",
    "225": "CI",
    "258": "MZ",
    "234": "NG",
    "260": "ZM",
}


def market_of(msisdn: str) -> str | None:
    """The market of a number (E.164 without +), or None."""
    return PREFIXES.get(msisdn[:3])

"""Which of an account's providers a customer's number pays through.

Where several networks have money of their own, a number is on one of them: the other would refuse it.
"""

from collections.abc import Sequence

# By the regulator's numbering plan; a number keeps its network there (Uganda has no portability).
PREFIXES: dict[str, tuple[str, ...]] = {
    "ug_mtn_mobilemoney": ("25631", "25639", "25676", "25677", "25678"),
    "ug_airtel_money": ("25670", "25674", "25675"),
}


def choose(provider_keys: Sequence[str], msisdn: str | None) -> str:
    """The provider of `msisdn`'s network; else one that takes any network's numbers; else the first."""
    own = [key for key in provider_keys if (msisdn or "").startswith(PREFIXES.get(key, ()))]
    anybody = [key for key in provider_keys if key not in PREFIXES]
    return [*own, *anybody, *provider_keys][0]

"""Where providers call from: their networks by name, and the paths of each one's calls (spec/providers.md).

Most of them sign nothing. Their calls are believed for an unguessable path (or a login), for their address
where the settings name it, and as a hint only: the payment is asked about before it is booked.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from backend.kit.peers import Network, networks_of

# Paths by how they begin. /ussd is mese's in development: AfricasTalking's path without a secret.
PATHS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "daraja": ("/hooks/daraja/", "/hooks/ke/c2b/"),
        "mtn": ("/hooks/mtn/",),
        "airtel": ("/hooks/airtel/",),
        "equity": ("/hooks/equity/", "/hooks/ke/ipn"),
        "halopesa": ("/hooks/halopesa/",),
        "africastalking": ("/hooks/africastalking/", "/ussd"),
        "infobip": ("/hooks/infobip/",),
        "pindo": ("/hooks/pindo/",),
    }
)
# What stands for a list that is known: Daraja's callbacks (spec/providers.md, section 1).
KNOWN: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "safaricom": (
            *("196.201.214.200", "196.201.214.206", "196.201.214.207", "196.201.214.208"),
            *("196.201.213.114", "196.201.213.44", "196.201.212.127", "196.201.212.128"),
            *("196.201.212.129", "196.201.212.132", "196.201.212.136", "196.201.212.138"),
            *("196.201.212.69", "196.201.212.74"),
        )
    }
)


def sources_of(lists: Mapping[str, Sequence[str]]) -> dict[str, tuple[Network, ...]]:
    """By path, the networks that may call it; `lists` by provider. ValueError names what is wrong."""
    found: dict[str, tuple[Network, ...]] = {}
    for provider, texts in lists.items():
        if provider not in PATHS:
            raise ValueError(f"no provider {provider!r}; there are {', '.join(PATHS)}")
        whole = [each for text in texts for each in KNOWN.get(text, (text,))]
        found |= dict.fromkeys(PATHS[provider], networks_of(whole))
    return found

"""TLS for net.py: who vouches for a server.

`ca` holds the certificates of authorities, as PEM or as the path of a file with it. Boards read no PEM, so
each goes to the context as DER. What is wrong with it is noticed with the first connection, not at the start:
the keypad works all the same.
"""

import ssl
from binascii import a2b_base64

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


def client_context(ca: str, is_insecure: bool) -> ssl.SSLContext:
    """A context for all connections; OSError when the certificates of `ca` cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if is_insecure:
        if hasattr(context, "check_hostname"):
            setattr(context, "check_hostname", False)  # noqa: B010 - boards have none
        context.verify_mode = ssl.CERT_NONE
        return context
    context.verify_mode = ssl.CERT_REQUIRED
    for certificate in _certificates(ca):
        context.load_verify_locations(cadata=certificate)
    return context


def _certificates(ca: str) -> "list[bytes]":
    """The certificates in a text or file, as DER: boards read no PEM."""
    try:
        if _BEGIN not in ca:
            with open(ca) as file:
                ca = file.read()
        found = [a2b_base64(part.split(_END)[0].strip()) for part in ca.split(_BEGIN)[1:]]
    except (OSError, ValueError) as error:
        raise OSError("the certificates of ca cannot be read: %s" % error) from None
    if not found:
        raise OSError("ca holds no certificate")
    return found

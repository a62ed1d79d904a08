"""RSA as the providers use it: keys in PEM form, PKCS#1 v1.5 signatures over SHA-256, base64 on the wire."""

import base64
import binascii
import functools

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 2048
KEYS = 16  # kept as loaded; a process has a few


def new_key() -> str:
    """A new private key, PEM. Its randomness is the library's own."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@functools.lru_cache(maxsize=KEYS)  # checking a key when it is loaded takes tens of milliseconds
def private_key(pem: str) -> rsa.RSAPrivateKey:
    """The key of a PEM text. ValueError: it is no RSA key."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def public_pem(pem: str) -> str:
    """The public half of a private key, PEM."""
    return (
        private_key(pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def public_der(pem: str) -> str:
    """The public half of a private key, DER in base64."""
    der = (
        private_key(pem)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return base64.b64encode(der).decode()


@functools.lru_cache(maxsize=KEYS)
def load_public(text: str) -> rsa.RSAPublicKey:
    """A public key, PEM or DER in base64. ValueError: it is none."""
    if "-----BEGIN" in text:
        key = serialization.load_pem_public_key(text.encode())
    else:
        key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def sign(key: rsa.RSAPrivateKey, text: str) -> str:
    """The signature of a text, in base64."""
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def verifies(key: rsa.RSAPublicKey, text: str, signature: str) -> bool:
    """Whether a base64 signature is of `text`."""
    try:
        key.verify(
            base64.b64decode(signature, validate=True), text.encode(), padding.PKCS1v15(), hashes.SHA256()
        )
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def seal(key: rsa.RSAPublicKey, text: str) -> str:
    """A short text encrypted for a key's owner, in base64."""
    return base64.b64encode(key.encrypt(text.encode(), padding.PKCS1v15())).decode()

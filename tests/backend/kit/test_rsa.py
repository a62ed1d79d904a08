"""RSA on the wire, and the Retry-After of an answer."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st

from backend.kit import rsa
from backend.kit.http import HttpAnswer

KEY = rsa.new_key()
PUBLIC = rsa.load_public(rsa.public_pem(KEY))


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_signature_is_of_its_text_alone(text, other):
    signature = rsa.sign(rsa.private_key(KEY), text)
    assert rsa.verifies(PUBLIC, text, signature)
    assert rsa.verifies(PUBLIC, other, signature) == (other == text)


@given(st.text(max_size=100))
def test_no_signature_raises(signature):
    assert not rsa.verifies(PUBLIC, "text", signature)


def test_what_is_sealed_is_opened_by_the_owner():
    sealed = base64.b64decode(rsa.seal(rsa.load_public(rsa.public_der(KEY)), "key:iv"))
    assert rsa.private_key(KEY).decrypt(sealed, padding.PKCS1v15()) == b"key:iv"


@pytest.mark.parametrize("text", ["", "no base64!", "AAAA", "-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_key(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words
        rsa.load_public(text)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "999999"}, None),
        ({"retry-after": "²"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert HttpAnswer(429, headers, b"").retry_after_s == seconds

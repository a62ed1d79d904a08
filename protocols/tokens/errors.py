"""The one error of the token families."""


class TokenError(ValueError):
    """An argument makes no token; the text says what to do instead."""

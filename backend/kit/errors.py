"""The one error root of the services. A route renders it in its service's own documented shape (web.py)."""

from collections.abc import Sequence


class CannotStart(Exception):
    """A process can't start as it is configured, or a command can't be done: one line that says what to do.

    No secret is in it.
    """


class DatabaseUrlError(CannotStart):
    """There is no database at that URL; the text says what to give instead, and no password."""

    def __init__(self, says: str):
        super().__init__(f"--database-url: {says}")


class BackendError(Exception):
    """Something that a caller is told: an HTTP status, a stable code and a sentence that says what to do."""

    status = 500
    code = "internal_error"

    def __init__(
        self, detail: str, *, fields: Sequence[tuple[str, str]] = (), retry_after_s: int | None = None
    ):
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)
        self.retry_after_s = retry_after_s


class BadRequest(BackendError):
    """The request does not fit its schema; `fields` names what and why."""

    status = 400
    code = "bad_request"


class Unauthorized(BackendError):
    """No credential, or a wrong one."""

    status = 401
    code = "unauthorized"


class Forbidden(BackendError):
    """A good credential, but not for this."""

    status = 403
    code = "forbidden"


class NotFound(BackendError):
    """What the request names does not exist."""

    status = 404
    code = "not_found"


class MethodNotAllowed(BackendError):
    """The path exists, the method does not; `method` is the one that was asked for."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, detail: str, *, method: str = ""):
        super().__init__(detail)
        self.method = method


class Conflict(BackendError):
    """It was there already, or another state forbids it."""

    status = 409
    code = "conflict"


class TooLarge(BackendError):
    """The body is over the limit."""

    status = 413
    code = "request_too_large"


class Unprocessable(BackendError):
    """Well-formed, but it can't be done; asking again changes nothing."""

    status = 422
    code = "unprocessable"


class TooManyRequests(BackendError):
    """Over a rate limit; `retry_after_s` says when to come back."""

    status = 429
    code = "too_many_requests"


class InternalError(BackendError):
    """A defect of ours. What it was stands in the log, not in the answer."""

    status = 500
    code = "internal_error"


class Unavailable(BackendError):
    """Not now: another service or the database does not answer. Asking again may help."""

    status = 503
    code = "unavailable"


class DatabaseAway(Unavailable):
    """The database can't be used now; `says` tells the person who runs the process what to do."""

    def __init__(self, says: str):
        super().__init__("the database is busy or away; try again", retry_after_s=1)
        self.says = says


class DatabaseClosed(DatabaseAway):
    """The service is stopping, and has closed its database."""

    def __init__(self) -> None:
        super().__init__("the service is stopping; start it again")


BY_STATUS: dict[int, type[BackendError]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        TooLarge,
        Unprocessable,
        TooManyRequests,
        InternalError,
        Unavailable,
    )
}

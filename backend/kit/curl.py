"""The curl line of an operation of an OpenAPI document, made of its examples.

It leaves to the shell's variables what no document knows: URL, where the service is, and the credentials.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

import msgspec

Schema = Mapping[str, Any]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
FILE = "$FILE"  # a body that no line can show

_VARIABLE = re.compile(r"\$[A-Z][A-Z_]+")


def variables(schemes: Mapping[str, Schema], service: str) -> Iterator[tuple[str, str, str]]:
    """The variables of the security schemes: name, value (of `payg up`, or …), and what each is."""
    for name, scheme in schemes.items():
        match scheme:
            case {"scheme": "bearer"}:
                yield "ACCESS_TOKEN", "…", "of an external client"
            case {"scheme": "basic"}:
                yield "LOGIN", "…", "user name:password"
            case {"name": "webhook-signature"}:
                yield "WEBHOOK_ID", "…", "of what is sent; again with every attempt"
                yield "WEBHOOK_TIMESTAMP", "…", "now, in seconds since 1970"
                yield "WEBHOOK_SIGNATURE", "…", str(scheme.get("description", name))
            case _:
                own = f"$(.venv/bin/payg credentials {service}.api_key)"
                yield "KEY", own, f"an {scheme['name']}; this one is of `payg up`"


def line(method: str, path: str, operation: Schema, document: Schema) -> str:
    """The line, in as many lines as it is readable in."""
    words = [f'curl -s{_method(method, operation)} "$URL{_target(path, operation)}"']
    schemes = document["components"]["securitySchemes"]
    words += [header for need in operation["security"] for name in need for header in _login(schemes[name])]
    for kind, content in list(operation.get("requestBody", {"content": {}})["content"].items())[:1]:
        words += _body(kind, content.get("example"))
    return " \\\n  ".join(words)


def _method(method: str, operation: Schema) -> str:
    """curl's own method is GET, and POST with a body."""
    return "" if method == ("POST" if "requestBody" in operation else "GET") else f" -X {method}"


def _target(path: str, operation: Schema) -> str:
    parameters: list[Schema] = [each for each in operation.get("parameters", ()) if "example" in each]
    query = [(str(each["name"]), str(each["example"])) for each in parameters if each["in"] == "query"]
    for each in parameters:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(str(each["example"]), safe="$"))
    return path if not query else f"{path}?{urlencode(query)}"


def _login(scheme: Schema) -> list[str]:
    match scheme:
        case {"scheme": "bearer"}:
            return ['-H "Authorization: Bearer $ACCESS_TOKEN"']
        case {"scheme": "basic"}:
            return ['-u "$LOGIN"']
        case {"name": "webhook-signature"}:
            return [
                f'-H "{name}: ${name.upper().replace("-", "_")}"'
                for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
            ]
        case _:
            return [f'-H "{scheme["name"]}: $KEY"']


def _body(kind: str, example: Any) -> list[str]:
    if kind == FORM:
        form = cast("Mapping[str, object]", example or {})
        return [f"--data-urlencode {_quoted(f'{name}={value}')}" for name, value in form.items()]
    typed = [] if kind == JSON else [f"-H {shlex.quote(f'Content-Type: {kind}')}"]
    if example is None:
        return [*typed, f'--data-binary "@{FILE}"']
    text = example if isinstance(example, str) else _json(example)
    return [*typed, f"{'-d' if kind == JSON else '--data-binary'} {_quoted(text)}"]


def _json(example: Any) -> str:
    """JSON as people write it: a space behind each colon and comma."""
    return msgspec.json.format(msgspec.json.encode(example), indent=0).decode()


def _quoted(text: str) -> str:
    """One word of the shell, in which its variables still are."""
    return _VARIABLE.sub(lambda found: f"'\"{found[0]}\"'", shlex.quote(text))

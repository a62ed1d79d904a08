"""Draws an OpenAPI document of openapi.py as one HTML page: no scripts, nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; color: #1a1a1a }
h1, h2, h3 { line-height: 1.2 } h2 { border-bottom: 1px solid #ccc; padding-top: 1rem }
code, pre { font-family: ui-monospace, monospace; font-size: .9em } pre { white-space: pre-wrap }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 } caption { text-align: left }
th, td { border: 1px solid #ddd; padding: .3rem .5rem; text-align: left; vertical-align: top }
section { margin: 1.5rem 0; padding: .5rem 1rem; border: 1px solid #ddd; border-radius: .4rem }
.method { background: #1a4d80; color: #fff; padding: .1rem .4rem; border-radius: .2rem }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #eee } a { color: #8bf } }
"""
LIMITS = {  # JSON Schema's words, and ours for people
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "minLength": "characters at least",
    "maxLength": "characters at most",
    "pattern": "pattern",
    "format": "format",
    "default": "default",
}


def page(document: Schema) -> str:
    """The page of a document."""
    info = document["info"]
    title = escape(info["title"])
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body>",
            f"<h1>{title}</h1><pre>{escape(info['description'])}</pre>",
            '<p><a href="openapi.json">openapi.json</a></p><h2>Operations</h2><ul>',
            *(_entry(*each) for each in operations),
            "</ul>",
            *(_operation(*each) for each in operations),
            "<h2>Schemas</h2>",
            *(_component(name, schema) for name, schema in schemas.items()),
            "</body></html>",
        )
    )


def _entry(method: str, path: str, operation: Schema) -> str:
    link = f'<a href="#{escape(operation["operationId"])}">{_head(method, path)}</a>'
    return f"<li>{link} {escape(operation['summary'])}</li>"


def _head(method: str, path: str) -> str:
    return f'<code class="method">{method.upper()}</code> <code>{escape(path)}</code>'


def _operation(method: str, path: str, operation: Schema) -> str:
    keys = " or ".join(escape(name) for need in operation["security"] for name in need)
    parts = [
        f'<section id="{escape(operation["operationId"])}"><h3>{_head(method, path)}</h3>',
        f"<p>{escape(operation['summary'])}</p><p>Credential: {keys or 'none'}</p>",
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (
                f"<code>{escape(each['name'])}</code>",
                each["in"],
                _needed(required=each["required"]),
                _said(each["schema"]),
            )
            for each in parameters
        ]
        parts.append(_table("Parameters", ("name", "in", "", "value"), rows))
    if body := operation.get("requestBody"):
        rows = [(escape(kind), _said(each["schema"])) for kind, each in body["content"].items()]
        caption = "Request" if body["required"] else "Request (may be left out)"
        parts.append(_table(caption, ("content type", "value"), rows))
    parts.append(_table("Answers", ("status", "", "value"), list(_answers(operation["responses"]))))
    return "".join((*parts, "</section>"))


def _answers(responses: Mapping[str, Schema]) -> Iterator[tuple[str, ...]]:
    for status, response in responses.items():
        contents = response.get("content", {})
        said = "<br>".join(f"{escape(kind)}: {_said(each['schema'])}" for kind, each in contents.items())
        yield status, escape(response["description"]), said


def _component(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (f"<code>{escape(field)}</code>", _needed(required=field in required), _said(value))
        for field, value in schema.get("properties", {}).items()
    ]
    about = f"<p>{escape(schema.get('description', ''))}</p>"
    table = _table("", ("name", "", "value"), rows) if rows else _said(schema)
    return f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{about}{table}</section>'


def _table(caption: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><tr>{head}</tr>{lines}</table>"


def _needed(*, required: bool) -> str:
    return "required" if required else "optional"


def _said(schema: Schema) -> str:
    """A schema in words."""
    if reference := schema.get("$ref"):
        name = escape(str(reference).rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("anyOf"):
        return " or ".join(_said(choice) for choice in choices)
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    kind = escape(str(schema.get("type", "any")))
    if kind == "array":
        kind = f"array of {_said(schema.get('items', {}))}"
    limits = [
        f"{said} <code>{escape(str(schema[word]))}</code>" for word, said in LIMITS.items() if word in schema
    ]
    return ", ".join((kind, *limits))

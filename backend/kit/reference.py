"""Draws an OpenAPI document of openapi.py as one HTML page: no scripts, nothing from elsewhere.

Its curl lines (curl.py) take what they need from the shell's variables, URL first: `address` says what that
is where the page is read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from backend.kit import curl

Schema = Mapping[str, Any]

ADDRESS = "@ADDRESS@"  # in the page, for `address`
STYLE = """
:root { --ink: #1c1e21; --soft: #5c6370; --line: #d9dce1; --back: #fff; --shade: #f5f6f8; --link: #1a4d80;
  --post: #1a4d80; --get: #2a6e3f; --put: #8a5a00 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a6b0; --line: #3a3d42;
  --back: #17181a; --shade: #222427; --link: #8bbcff; --post: #2f6cab; --get: #3b8554; --put: #a87412 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 0; color: var(--ink);
  background: var(--back) }
main { max-width: 62rem; margin: 0 auto; padding: 1rem 1.25rem 4rem }
h1, h2, h3 { line-height: 1.25 } h1 { margin-bottom: .25rem }
h2 { margin-top: 3rem; border-bottom: 2px solid var(--line); padding-bottom: .25rem }
h3 { margin: 0 0 .25rem; font-size: 1.05rem; overflow-wrap: anywhere }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .875rem }
code { overflow-wrap: anywhere }
pre { background: var(--shade); border-radius: .4rem; padding: .6rem .8rem; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: .9rem 0 }
caption { text-align: left; font-weight: 600; padding-bottom: .2rem }
th { font-weight: 500; color: var(--soft); font-size: .875rem }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left;
  vertical-align: top }
td:first-child { width: 17rem } td:nth-child(2):not(:last-child) { width: 6.5rem }
section { margin: 1.25rem 0; padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: .5rem }
section p { margin: .25rem 0 } .soft { color: var(--soft) } .required { font-weight: 600 }
nav table td { border: 0; padding: .1rem .6rem .1rem 0 } nav td:first-child { width: 24rem }
.method { display: inline-block; min-width: 3.6rem; text-align: center; color: #fff; border-radius: .25rem;
  padding: 0 .4rem; margin-right: .2rem; background: var(--put) }
.POST { background: var(--post) } .GET { background: var(--get) }
@media (max-width: 40rem) { td:first-child, nav td:first-child { width: auto } nav td + td { display: none } }
"""
LIMITS = {  # JSON Schema's words, and ours for people
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters at most",
    "maxItems": "{} at most",
    "maxProperties": "{} members at most",
    "pattern": "pattern {}",
    "format": "{}",
    "default": "{} if left out",
}
NOT_SAID = (r"^[^\x00]*$", "^[^{}/]+$")  # of nearly every text, of a path's parameter: not worth a word
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}\Z")


def address(scheme: str, host: str, path: str) -> str:
    """Where the service is, of a request of its page; as HTML. A host that is none is shown as such."""
    shown = host if _HOST.match(host) else "HOST"
    return escape(f"{scheme}://{shown}{path.removesuffix('/docs')}")


def page(document: Schema) -> str:
    """The page of a document; its ADDRESS is to be replaced."""
    info = document["info"]
    title = escape(info["title"])
    groups = _groups(document)
    schemas = document["components"]["schemas"]
    variables = curl.variables(document["components"]["securitySchemes"], info["title"])
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{title}</h1>",
            *_paragraphs(info["description"]),
            f'<p class="soft">The examples want these in the shell:</p><pre>URL={ADDRESS}',
            *(
                f"\n{name}={value}   <span class='soft'># {escape(what)}</span>"
                for name, value, what in variables
            ),
            '</pre><p><a href="openapi.json">openapi.json</a> (OpenAPI 3.1) · ',
            '<a href="#Schemas">Schemas</a></p>',
            "<nav>",
            *(_index(tag, operations) for tag, operations in groups.items()),
            "</nav>",
            *(_group(tag, operations, document) for tag, operations in groups.items()),
            '<h2 id="Schemas">Schemas</h2>',
            *(_component(name, schema) for name, schema in schemas.items()),
            "</main></body></html>",
        )
    )


Told = tuple[str, str, Schema]  # method, path, operation


def _groups(document: Schema) -> dict[str, list[Told]]:
    groups: dict[str, list[Told]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append((method.upper(), path, operation))
    return groups


def _paragraphs(text: str) -> Iterator[str]:
    """A paragraph each; one whose lines are indented is shown as it is written."""
    for block in text.strip().split("\n\n"):
        if block.startswith(" "):
            yield f"<pre>{escape(block)}</pre>"
        else:
            yield f"<p>{_marked(block)}</p>"


def _marked(text: str) -> str:
    """With `code` as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _index(tag: str, operations: Iterable[Told]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{escape(operation["operationId"])}">{_head(method, path)}</a></td>'
        f'<td class="soft">{_marked(operation["summary"])}</td></tr>'
        for method, path, operation in operations
    )
    return f"<table><caption>{escape(tag)}</caption>{rows}</table>"


def _head(method: str, path: str) -> str:
    return f'<code class="method {method}">{method}</code> <code>{escape(path)}</code>'


def _group(tag: str, operations: Iterable[Told], document: Schema) -> str:
    return f"<h2>{escape(tag)}</h2>" + "".join(_operation(*each, document) for each in operations)


def _operation(method: str, path: str, operation: Schema, document: Schema) -> str:
    keys = " or ".join(f"<code>{escape(name)}</code>" for need in operation["security"] for name in need)
    parts = [
        f'<section id="{escape(operation["operationId"])}"><h3>{_head(method, path)}</h3>',
        f"<p>{_marked(operation['summary'])}</p>",
        f'<p class="soft">{_marked(operation.get("description", ""))}</p>',
        f'<p class="soft">Credential: {keys or "none"}</p>',
        f'<pre class="curl">{escape(curl.line(method, path, operation, document))}</pre>',
    ]
    if parameters := operation.get("parameters"):
        rows = [
            _field(each["name"], each["schema"], required=each["required"], place=f" in the {each['in']}")
            for each in parameters
        ]
        parts.append(_table("Parameters", ("name", "", "value"), rows))
    if body := operation.get("requestBody"):
        parts += _request(body, document)
    parts.append(_table("Answers", ("status", "body"), list(_answers(operation["responses"]))))
    return "".join((*parts, "</section>"))


def _request(body: Schema, document: Schema) -> Iterator[str]:
    """Each content type's body, an object's members one by one."""
    for kind, each in body["content"].items():
        optional = "" if body["required"] else " — may be left out"
        caption = f"Body: {escape(kind)}{optional}"
        schema = _resolved(each["schema"], document)
        if "properties" in schema:
            about = f'<p class="soft">{_marked(schema.get("description", ""))}</p>'
            yield _table(caption, ("name", "", "value"), _fields(schema)) + about
        else:
            yield _table(caption, ("",), [(_said(each["schema"]),)])


def _resolved(schema: Schema, document: Schema) -> Schema:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _fields(schema: Schema) -> list[tuple[str, ...]]:
    """The members, those that are required first."""
    required = schema.get("required", ())
    named = sorted(schema["properties"].items(), key=lambda each: each[0] not in required)
    return [_field(name, value, required=name in required) for name, value in named]


def _field(name: str, schema: Schema, *, required: bool, place: str = "") -> tuple[str, ...]:
    needed = '<span class="required">required</span>' if required else '<span class="soft">optional</span>'
    return f"<code>{escape(name)}</code>{place}", needed, _said(schema)


def _answers(responses: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    """One line for all statuses that say the same."""
    said: dict[str, list[str]] = {}
    for status, response in responses.items():
        contents = response.get("content", {})
        bodies = "<br>".join(_body(kind, each) for kind, each in contents.items()) or "no body"
        if contents and "without" in response["description"]:
            bodies += "; or no body"
        said.setdefault(bodies, []).append(f"<code>{status}</code> {escape(_phrase(response))}")
    for bodies, statuses in said.items():
        yield "<br>".join(statuses), bodies


def _phrase(response: Schema) -> str:
    return str(response["description"]).partition(";")[0]


def _body(kind: str, content: Schema) -> str:
    shown = "" if kind == "application/json" else f" as <code>{escape(kind)}</code>"
    return f"{_said(content['schema'])}{shown}"


def _component(name: str, schema: Schema) -> str:
    about = f"<p>{_marked(schema.get('description', ''))}</p>"
    table = _table("", ("name", "", "value"), _fields(schema)) if schema.get("properties") else _said(schema)
    return f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{about}{table}</section>'


def _table(caption: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    shown = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{shown}<tr>{head}</tr>{lines}</table>"


def _said(schema: Schema) -> str:
    """A schema in words."""
    if reference := schema.get("$ref"):
        name = escape(str(reference).rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if choices := schema.get("anyOf"):
        said = " or ".join(_said(choice) for choice in choices)
        return ", ".join((said, *_limits(schema)))
    if "enum" in schema:
        said = "one of " + ", ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
        return ", ".join((said, *_limits(schema)))
    kind = escape(str(schema.get("type", schema.get("title", "any value"))))
    if kind == "array":
        kind = f"array of {_said(schema.get('items', {}))}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        kind = f"object of {_said(schema['additionalProperties'])}"
    return ", ".join((kind, *_limits(schema)))


def _limits(schema: Schema) -> Iterator[str]:
    for word, said in LIMITS.items():
        if schema.get(word) == PRINTABLE:
            yield "no control characters"
        elif word in schema and schema[word] not in (*NOT_SAID, None):
            yield said.format(f"<code>{escape(str(schema[word]))}</code>")

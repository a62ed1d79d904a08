"""How the Moto service writes a token's number (spec/moto_token.md, Encodings; checklist 85).

An encoding is `PREFIX+LOW-HIGH+SUFFIX+OPTIONS`; suffix and options may be missing. Options are `padN` and
`spaceN`.
"""


def render(number: int, encoding: str | None) -> str | None:
    """The token as text; without an encoding its decimal digits; None for an encoding that does not parse."""
    digits = str(number)
    if encoding is None:
        return digits
    parts = encoding.split("+")
    # Whatever follows the digit range without a plus is ignored, as the probed service ignores it: "*+0-9#".
    if len(parts) not in (2, 3, 4) or not parts[1].startswith("0-9"):
        return None
    options = _options(parts[3]) if len(parts) == 4 else {}
    if options is None:
        return None
    prefix = parts[0]
    suffix = parts[2] if len(parts) > 2 else ""
    missing = -(len(prefix) + len(digits) + len(suffix)) % options.get("pad", 1)
    return _grouped(prefix + "0" * missing + digits + suffix, options.get("space", 0))


def _options(text: str) -> dict[str, int] | None:
    """Sizes by option name; None unless every option is known, sized 1 to 99 and given once."""
    options: dict[str, int] = {}
    for option in text.split():
        name = option.rstrip("0123456789")
        size = option[len(name) :]
        if name not in ("pad", "space") or name in options or not 1 <= len(size) <= 2 or int(size) == 0:
            return None
        options[name] = int(size)
    return options


def _grouped(text: str, size: int) -> str:
    """A space after every `size` characters from the left; 0: none."""
    if not size:
        return text
    return " ".join([text[start : start + size] for start in range(0, len(text), size)])

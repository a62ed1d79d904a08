"""How many segments a text takes: GSM-7 (3GPP TS 23.038) if every character is in it, else UCS-2.

A segment holds 160 septets or 70 code units alone, 153 or 67 as a part of several. A character is never split
over two parts: neither an escape and its character nor a surrogate pair.
"""

GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_ESCAPED = frozenset("\f^{}\\[~]|€")  # an escape and a character: two septets


def count(text: str) -> int:
    """Segments of `text`; at least 1."""
    if all(character in GSM7 or character in GSM7_ESCAPED for character in text):
        return _packed([2 if character in GSM7_ESCAPED else 1 for character in text], 160, 153)
    return _packed([2 if character > "\uffff" else 1 for character in text], 70, 67)


def _packed(widths: list[int], alone: int, part: int) -> int:
    if sum(widths) <= alone:
        return 1
    segments, used = 1, 0
    for width in widths:
        if used + width > part:
            segments, used = segments + 1, 0
        used += width
    return segments

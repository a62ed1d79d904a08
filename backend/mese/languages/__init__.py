"""The texts of the menu, a module a language, and the languages by their code.

Every module has the same names in TEXTS. `{...}` are filled by rendering.py; `{menu}` and `{exits}` are texts
themselves. All are written in GSM-7 (French without circumflex, Portuguese without tilde, as is the custom
on USSD): any other letter would cut a page from 182 characters to 80.
"""

from dataclasses import dataclass

from backend.mese.languages import english, french, kinyarwanda, portuguese, swahili


@dataclass(frozen=True, slots=True)
class Language:
    """What it calls itself, and its texts by name."""

    name: str
    texts: dict[str, str]


LANGUAGES: dict[str, Language] = {
    "en": Language("English", english.TEXTS),
    "fr": Language("Francais", french.TEXTS),
    "pt": Language("Portugues", portuguese.TEXTS),
    "rw": Language("Kinyarwanda", kinyarwanda.TEXTS),
    "sw": Language("Kiswahili", swahili.TEXTS),
}

"""What a board shows, in every language."""

from firmware import texts, ui
from protocols.magicbox import wire


def test_every_text_fits_in_every_language():
    for language in texts.LANGUAGES:
        for state in wire.STATE_NAMES:
            for name in ("", "Amina", "Jean-Baptiste Habyarimana"):
                for line in ui.idle_lines(state, 49_710 * 86_400, False, language, name):
                    assert len(line) <= ui.WIDTH
            for result in wire.RESULT_NAMES:
                lines = ui.result_lines(result, state, 3_599, 512 * 60_000, False, language=language)
                assert len(lines[0]) <= ui.WIDTH
                assert len(lines[1]) <= ui.WIDTH
                assert ui.result_pattern(result)


def test_what_a_customer_reads():
    assert ui.idle_lines(wire.STATE_ACTIVE, 7 * 86_400, False, "sw", "Amina") == ("Amina", "SIKU 7")
    assert ui.idle_lines(wire.STATE_ACTIVE, 3_601, True) == ("LOW CREDIT", "2 H LEFT")
    assert ui.holder_lines("Zo\u00e9", wire.STATE_EXPIRED, 0) == ("Zo?", "ENTER A TOKEN")
    assert ui.checking_lines("fr")[0] == "VERIFICATION"

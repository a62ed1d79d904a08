"""What the display says: always two lines of at most 16 ASCII characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware import texts, ui
from firmware.credit import MAX_LEFT_MS
from protocols.magicbox import wire

LANGUAGES = sorted(texts.LANGUAGES)
MOST_LEFT_S = MAX_LEFT_MS // 1000
LONGEST_WAIT_MS = 512 * 60_000
DAY_S = 86_400


def fits(lines: tuple[str, str]) -> bool:
    return all(len(line) <= ui.WIDTH and line.isascii() and line.isprintable() for line in lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text(language: str) -> None:
    lines = [texts.text(language, index) for index in range(texts.TEXTS)]
    assert texts.LANGUAGES[language].count("\n") == texts.TEXTS - 1
    assert all(line and line.isascii() and len(line) <= ui.WIDTH for line in lines)
    with_number = [index for index, line in enumerate(lines) if "%d" in line]
    assert with_number == [texts.WAIT_MIN, texts.DAYS_LEFT, texts.HOURS_LEFT]


def test_the_languages_are_the_contract_s() -> None:
    assert LANGUAGES == ["en", "fr", "pt", "rw", "sw"]
    assert texts.text("xx", texts.INVALID) == "INVALID"


@given(
    result=st.sampled_from(sorted(wire.RESULT_NAMES)),
    state=st.sampled_from(sorted(wire.STATE_NAMES)),
    left_s=st.integers(0, MOST_LEFT_S),
    wait_ms=st.integers(0, LONGEST_WAIT_MS),
    closed=st.booleans(),
    is_low=st.booleans(),
    language=st.sampled_from([*LANGUAGES, "xx"]),
    name=st.text(max_size=32),
)
def test_everything_fits_the_display(
    *,
    result: int,
    state: int,
    left_s: int,
    wait_ms: int,
    closed: bool,
    is_low: bool,
    language: str,
    name: str,
) -> None:
    assert fits(ui.idle_lines(state, left_s, is_low, language, name))
    assert fits(ui.result_lines(result, state, left_s, wait_ms, closed, language=language))
    assert fits(ui.holder_lines(name, state, left_s, language))
    assert fits(ui.checking_lines(language))
    assert ui.result_pattern(result)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_largest_numbers_fit(language: str) -> None:
    assert len(ui.left_text(MOST_LEFT_S, language)) <= ui.WIDTH
    lines = ui.result_lines(
        wire.RESULT_LOCKED, wire.STATE_ACTIVE, 0, LONGEST_WAIT_MS, False, language=language
    )
    assert "512" in lines[1]
    assert fits(lines)


def test_what_a_customer_reads() -> None:
    active, expired = wire.STATE_ACTIVE, wire.STATE_EXPIRED
    week_s = 7 * DAY_S
    assert ui.idle_lines(active, week_s) == ("CREDIT", "7 DAYS LEFT")
    assert ui.idle_lines(active, week_s, False, "sw", "Amina") == ("Amina", "SIKU 7")
    assert ui.idle_lines(active, 3_601, True, "en", "Amina") == ("LOW CREDIT", "2 H LEFT")
    assert ui.idle_lines(expired, 0, True, "fr", "Amina") == ("PAS DE CREDIT", "ENTREZ UN CODE")
    assert ui.idle_lines(wire.STATE_PAYG_DISABLED, 0) == ("UNLOCKED", "")
    assert ui.idle_lines(wire.STATE_TAMPERED, 0) == ("NEEDS SERVICE", "CALL SUPPORT")
    accepted = ui.result_lines(wire.RESULT_ACCEPTED, active, week_s, 0, False)
    assert accepted == ("ACCEPTED", "7 DAYS LEFT")
    assert ui.result_lines(wire.RESULT_ALREADY_USED, active, week_s, 0, False)[0] == "ALREADY USED"
    assert ui.result_lines(wire.RESULT_INVALID, active, week_s, 0, False) == ("INVALID", "")
    assert ui.result_lines(wire.RESULT_LOCKED, active, 0, 60_001, False) == ("LOCKED", "WAIT 2 MIN")
    assert ui.result_lines(wire.RESULT_LOCKED, active, 0, 60_001, True) == ("LOCKED", "CALL SUPPORT")
    tampered = ui.result_lines(wire.RESULT_LOCKED, wire.STATE_TAMPERED, 0, 60_001, False)
    assert tampered == ("NEEDS SERVICE", "CALL SUPPORT")
    assert ui.checking_lines("fr") == ("VERIFICATION", "")


def test_a_holder_s_page() -> None:
    active = wire.STATE_ACTIVE
    assert ui.holder_lines("Amina", active, DAY_S) == ("Amina", "1 DAYS LEFT")
    assert ui.holder_lines("Jean-Baptiste Habyarimana", active, 0) == ("Jean-Baptiste Ha", "byarimana")
    assert ui.holder_lines("Zoé", active, DAY_S)[0] == "Zo?"

"""A display of two lines of 16 characters: HD44780 on I2C behind a PCF8574, as sold everywhere.

The expander's bits: RS, RW, E, backlight, D4 to D7. A half byte is taken when E falls. At 100 kHz a byte
takes 90 microseconds on the bus, longer than the display takes for any but clearing, so a line goes out in
one transfer of 7 ms and nothing waits.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine import SoftI2C

ADDRESS = 0x27
WIDTH = 16

_RS = 0x01
_E = 0x04
_LIGHT = 0x08
_ROWS = (0x80, 0xC0)  # set the address of the first and of the second line
_SETUP = b"\x28\x0c\x06\x01"  # 4 bits and two lines; on, no cursor; to the right; clear
_WAKE = b"\x03\x03\x03\x02"  # three times 8 bits, whatever state it is in, then 4 bits


class Lcd:
    """The display; without one, or while it does not answer, nothing is shown and all else goes on."""

    __slots__ = ("_address", "_buffer", "_i2c", "_is_ready", "_lines")

    def __init__(self, i2c: "SoftI2C", address: int = ADDRESS):
        self._i2c = i2c
        self._address = address
        self._buffer = bytearray(4 * (WIDTH + 1))
        self._is_ready = False
        self._lines = ["", ""]
        self.show("", "")

    def show(self, first: str, second: str) -> None:
        """Two lines; only one that is another than before is sent."""
        try:
            if not self._is_ready:
                self._wake()
            for row, line in ((0, first), (1, second)):
                if self._lines[row] != line:
                    self._send_line(row, line)
                    self._lines[row] = line
        except OSError:  # unplugged: it is set up anew with the next text
            self._is_ready = False

    def _wake(self) -> None:
        """10 ms; HD44780, figure 24."""
        for half in _WAKE:
            self._fill(0, half << 4, 0)
            self._i2c.writeto(self._address, memoryview(self._buffer)[:2])
            time.sleep_ms(2 if half == 2 else 5)
        for command in _SETUP:
            self._fill_byte(0, command, 0)
            self._i2c.writeto(self._address, memoryview(self._buffer)[:4])
        time.sleep_ms(2)
        self._lines = ["", ""]
        self._is_ready = True

    def _send_line(self, row: int, line: str) -> None:
        self._fill_byte(0, _ROWS[row], 0)
        for column in range(WIDTH):
            self._fill_byte(4 + 4 * column, ord(line[column]) if column < len(line) else 0x20, _RS)
        self._i2c.writeto(self._address, self._buffer)

    def _fill_byte(self, place: int, octet: int, rs: int) -> None:
        self._fill(place, octet & 0xF0, rs)
        self._fill(place + 2, octet << 4 & 0xF0, rs)

    def _fill(self, place: int, high: int, rs: int) -> None:
        self._buffer[place] = high | rs | _E | _LIGHT
        self._buffer[place + 1] = high | rs | _LIGHT

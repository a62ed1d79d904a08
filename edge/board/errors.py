"""What goes wrong between a workbench and a board. Every text is one line that says what to do."""


class BoardError(Exception):
    """The command could not be done; the text says why, and what to do."""


class NoPort(BoardError):
    """There is no such serial port."""


class PortBusy(BoardError):
    """Another program has the port."""


class NotMicroPython(BoardError):
    """Nothing answers there as MicroPython does."""


class WrongBoard(BoardError):
    """MicroPython answers, but the firmware can't run on it."""


class OutOfMemory(BoardError):
    """What runs on the board leaves no memory for a tool."""


class BoardGone(BoardError):
    """The board stopped answering, or answered with an error."""

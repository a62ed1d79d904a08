"""What plain tests have instead of pytest and the standard library."""


def raises(error, call, *arguments):
    """Whether the call ends in this error."""
    try:
        call(*arguments)
    except error:
        return True
    return False


def from_hex(digits):
    return bytes([int(digits[place : place + 2], 16) for place in range(0, len(digits), 2)])


def to_hex(data):
    return "".join(["%02x" % octet for octet in data])


def without_heap(call, argument):
    """The call's result; on MicroPython it must not allocate (a MemoryError says where it did)."""
    try:
        from micropython import heap_lock, heap_unlock
    except ImportError:  # CPython
        return call(argument)
    heap_lock()
    try:
        return call(argument)
    finally:
        heap_unlock()


class MemoryFiles:
    """The `files` port (firmware.hal) over a dictionary."""

    def __init__(self):
        self.files = {}

    def open(self, path, mode):
        if mode == "wb":
            self.files[path] = b""
        elif path not in self.files:
            raise OSError(2)
        return _File(self.files, path)

    def size(self, path):
        return len(self.files[path]) if path in self.files else -1

    def free(self):
        return -1

    def mkdir(self, path):
        pass


class _File:
    def __init__(self, files, path):
        self._files = files
        self._path = path
        self._at = 0

    def read(self, count):
        data = self._files[self._path][self._at : self._at + count]
        self._at += len(data)
        return data

    def write(self, data):
        self._files[self._path] = self._files[self._path] + bytes(data)
        return len(data)

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

"""Names that the firmware must not rename: those of what it did not make itself (names.py).

A superset does no harm but bytes. Whatever CPython's types and modules call something is in, for MicroPython
follows them; then what only MicroPython has. tests/edge/board/test_names.py holds the list against its stubs.
"""

import array
import binascii
import builtins
import collections
import errno
import gc
import hashlib
import io
import json
import math
import os
import random
import select
import socket
import ssl
import struct
import sys
import time
from types import GeneratorType

_TYPES = (
    *(str, bytes, bytearray, memoryview, int, float, list, tuple, dict, set, frozenset, range, slice, object),
    *(type, property, OSError, StopIteration, UnicodeError, GeneratorType, array.array, collections.deque),
    *(io.FileIO, io.BytesIO, io.TextIOWrapper, socket.socket, ssl.SSLContext, ssl.SSLSocket),
)
_MODULES = (
    *(array, binascii, builtins, collections, errno, gc, hashlib, io, json, math, os, random, select, socket),
    *(ssl, struct, sys, time),
)
_OF_MICROPYTHON = """
    active aes atten callback connect const datetime digest disconnect feed find freq getaddrinfo heap_lock
    heap_unlock hostname ifconfig ilistdir ioctl ipoll isconnected label mode native period poll
    print_exception raw_temperature readblocks read_u16 read_uv reset reset_cause scl sda sleep_ms threshold
    ticks_diff ticks_ms ticks_us unique_id value viper writeblocks writeto
"""

LIBRARY_NAMES = frozenset(
    [name for owner in (*_TYPES, *_MODULES) for name in dir(owner)] + _OF_MICROPYTHON.split()
)

# In every MicroPython's ROM, and only a number in a .mpy file: the small letters of static_qstr_list in its
# tools/mpy-tool.py and py/makeqstrdata.py. Without `const` and `super`, whose calls the compiler does itself.
_ROM = """
    self args end index start stop step key value sep little bytecode native viper abs all any append
    callable chr classmethod clear close copy count dict dir divmod endswith eval exec extend find format
    from_bytes get globals hash id insert int isalpha isdigit islower issubclass isspace isupper items iter
    join keys list locals lower lstrip map next object oct open ord pop popitem pow range read readinto
    readline remove replace repr reverse rfind rindex round rsplit rstrip send setdefault sort sorted split
    startswith staticmethod str strip sum throw to_bytes tuple type union update utf8 values write zip
"""
ROM_NAMES = tuple(_ROM.split())

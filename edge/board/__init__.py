"""From the firmware's sources to a board that works in a home.

build.py compiles, mpremote.py talks to a board, provision.py gives it an identity, flash.py puts the firmware
on it, verify.py compares what is there, virtual.py is a board without hardware.
"""

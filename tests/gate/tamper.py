"""Changes the maps behind the program of the gate on eth0, as whoever may open them can.

tamper.py empty     no address is known any more
tamper.py move      all addresses belong to slot 3
tamper.py disarm    no slot is armed any more

Prints when it began, in nanoseconds of the boot clock.
"""
import ctypes
import os
import re
import struct
import subprocess
import sys
import time

SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
LOOKUP, UPDATE, DELETE, NEXT_KEY = 1, 2, 3, 4
PROGRAM_BY_ID, MAP_BY_ID, INFO = 13, 14, 15
HASH, ARRAY = 1, 2

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(SYS_BPF, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def info(fd, buffer):
    bpf(INFO, struct.pack("IIQ", fd, len(buffer), ctypes.addressof(buffer)))
    return buffer.raw


def maps():
    shown = subprocess.check_output(["tc", "filter", "show", "dev", "eth0", "ingress"], text=True)
    program = bpf(PROGRAM_BY_ID, struct.pack("III", int(re.search(r"\bid (\d+)", shown)[1]), 0, 0))
    ids = (ctypes.c_uint32 * 8)()
    # struct bpf_prog_info: 52 bytes, how many maps, where to write their ids
    asked = ctypes.create_string_buffer(struct.pack("52xIQ", len(ids), ctypes.addressof(ids)), 64)
    (count,) = struct.unpack_from("I", info(program, asked), 52)
    for number in ids[:count]:
        fd = bpf(MAP_BY_ID, struct.pack("III", number, 0, 0))
        kind, _, key, value = struct.unpack("IIII", info(fd, ctypes.create_string_buffer(16)))
        yield fd, kind, key, value


def keys(fd, length):
    key, after = None, ctypes.create_string_buffer(length)
    found = []
    while True:
        at = ctypes.addressof(key) if key else 0
        try:
            bpf(NEXT_KEY, struct.pack("I4xQQ", fd, at, ctypes.addressof(after)))
        except FileNotFoundError:
            return found
        found.append(after.raw)
        key = ctypes.create_string_buffer(after.raw, length)


def element(command, fd, key, value=None):
    at = ctypes.addressof(value) if value else 0
    bpf(command, struct.pack("I4xQQQ", fd, ctypes.addressof(key), at, 0))


way, all_maps = sys.argv[1], list(maps())
print(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
for fd, kind, key_length, value_length in all_maps:
    value = ctypes.create_string_buffer(value_length)
    for raw in keys(fd, key_length):
        key = ctypes.create_string_buffer(raw, key_length)
        if (way, kind) == ("empty", HASH):
            element(DELETE, fd, key)
        elif (way, kind) == ("move", HASH):
            value.raw = struct.pack("I", 3)
            element(UPDATE, fd, key, value)
        elif (way, kind) == ("disarm", ARRAY):
            element(LOOKUP, fd, key, value)
            value.raw = bytes(8) + value.raw[8:]
            element(UPDATE, fd, key, value)

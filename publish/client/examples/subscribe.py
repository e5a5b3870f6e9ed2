#!/usr/bin/env python3
"""Reads anomaly maps from NATS and changes the settings of a camera, using only Python's standard library.

    python3 subscribe.py --url nats://127.0.0.1:4222 --camera front
    python3 subscribe.py --camera front --set '{"timesteps": "auto", "latency_budget": "120ms", "timesteps_max": 10}'

A real program would use nats-py and a module that protoc generates from publish/schema/oodcast.proto
(protoc --python_out=. oodcast.proto); this one shows the bytes on the wire. Compressed maps (header
Content-Encoding: zstd) require Python 3.14, the package "zstandard" or the system's libzstd.so.1.
"""

import argparse
import ctypes
import json
import secrets
import socket
import struct
import urllib.parse

# Field numbers of oodcast.v1.AnomalyMap, see oodcast.proto.
STAMP, SEQ, CAMERA, WIDTH, HEIGHT, ENCODING = 1, 3, 6, 7, 8, 13
DATA, VALUE_MIN, VALUE_MAX, THRESHOLD, MODEL = 15, 16, 17, 20, 22
U8, U16 = 1, 2


def varint(buf, at):
    value = shift = 0
    while True:
        byte = buf[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(buf):
    """Returns a protobuf message as {field number: last value}."""
    out, at = {}, 0
    while at < len(buf):
        key, at = varint(buf, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(buf, at)
        elif kind == 1:
            value, at = struct.unpack_from("<d", buf, at)[0], at + 8
        elif kind == 2:
            size, at = varint(buf, at)
            value, at = buf[at : at + size], at + size
        elif kind == 5:
            value, at = struct.unpack_from("<f", buf, at)[0], at + 4
        else:
            raise ValueError(f"wire type {kind}")
        out[key >> 3] = value
    return out


def packed(buf):
    out, at = [], 0
    while at < len(buf):
        value, at = varint(buf, at)
        out.append(value)
    return out


def values(m):
    """Returns the standardised values of a map, row by row."""
    data, lo, hi = m.get(DATA, b""), m.get(VALUE_MIN, 0.0), m.get(VALUE_MAX, 0.0)
    if m[ENCODING] == U16:
        raw, top = struct.unpack(f"<{len(data) // 2}H", data), 65535
    else:
        raw, top = data, 255
    return [lo + q * (hi - lo) / top for q in raw]


def unzstd(body, limit=16 << 20):
    try:
        from compression import zstd  # Python 3.14

        return zstd.decompress(body)
    except ImportError:
        pass
    try:
        import zstandard

        return zstandard.ZstdDecompressor().decompress(body, max_output_size=limit)
    except ImportError:
        lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    lib.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    size = min(lib.ZSTD_getFrameContentSize(body, ctypes.c_size_t(len(body))), limit)
    out = ctypes.create_string_buffer(size)
    n = lib.ZSTD_decompress(out, ctypes.c_size_t(size), body, ctypes.c_size_t(len(body)))
    if lib.ZSTD_isError(ctypes.c_size_t(n)):
        raise ValueError("not a zstd frame")
    return out.raw[:n]


def decode(headers, body):
    """Returns a map message as {field number: value}."""
    return fields(unzstd(body) if headers.get("Content-Encoding") == "zstd" else body)


def messages(url, *subjects, ask=None):
    """Subscribes to subjects and yields (subject, headers, payload) of each message. The NATS protocol consists of text lines.

    ask is a request (subject, payload) to send; its answer arrives on the first of the subjects.
    """
    at = urllib.parse.urlsplit(url)
    hello = {"verbose": False, "headers": True, "no_responders": True, "name": "subscribe.py", "lang": "python"}
    if at.username:
        hello.update({"user": at.username, "pass": at.password} if at.password else {"auth_token": at.username})
    with socket.create_connection((at.hostname, at.port or 4222), timeout=30) as s, s.makefile("rb") as r:
        s.sendall(f"CONNECT {json.dumps(hello)}\r\n".encode())
        for number, subject in enumerate(subjects, 1):
            s.sendall(f"SUB {subject} {number}\r\n".encode())
        if ask:
            s.sendall(f"PUB {ask[0]} {subjects[0]} {len(ask[1])}\r\n".encode() + ask[1] + b"\r\n")
        while line := r.readline():
            verb, *args = line.decode().split()
            if verb == "PING":
                s.sendall(b"PONG\r\n")
            elif verb == "-ERR":
                raise SystemExit(f"nats: {line.decode().strip()}")
            elif verb in ("MSG", "HMSG"):
                body = r.read(int(args[-1]) + 2)[:-2]
                cut = int(args[-2]) if verb == "HMSG" else 0
                lines = body[:cut].decode().split("\r\n")[1:]
                yield args[0], dict(h.split(": ", 1) for h in lines if ": " in h), body[cut:]


def control(url, camera, change):
    """Changes settings of a camera, {prefix}.v1.{site}.{name}. Returns its state, or a dict with the key "error"."""
    subject, inbox = f"{camera}.ctl.set", f"_INBOX.{secrets.token_hex(11)}"
    _, _, body = next(messages(url, inbox, ask=(subject, change.encode())))
    return json.loads(body) if body else {"error": f"no answer on {subject}"}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--url", default="nats://127.0.0.1:4222")
    p.add_argument("--prefix", default="oodcast")
    p.add_argument("--site", default="default")
    p.add_argument("--camera", default="*")
    p.add_argument("--maps", type=int, default=0, help="stop after this many maps; 0: never")
    p.add_argument("--set", metavar="JSON", help="change settings of the camera, print the settings in force and exit")
    args = p.parse_args()
    camera = f"{args.prefix}.v1.{args.site}.{args.camera}"
    if args.set:
        state = control(args.url, camera, args.set)
        if "error" in state:
            raise SystemExit(state["error"])
        return print(json.dumps(state))
    for n, (_, headers, body) in enumerate(messages(args.url, f"{camera}.map"), 1):
        m = decode(headers, body)
        v, width, height = values(m), m[WIDTH], m[HEIGHT]
        assert len(v) == width * height
        peak = max(range(len(v)), key=v.__getitem__)
        above = sum(x > m.get(THRESHOLD, 0.0) for x in v) / len(v)
        steps = len(packed(fields(m[MODEL]).get(2, b"")))
        print(
            f"{headers['X-Capture-Time']} {m[CAMERA].decode()} #{m.get(SEQ, 0)} {width}x{height} T={steps} "
            f"peak {v[peak]:.2f} at ({peak % width}, {peak // width}), {above:.1%} above threshold",
            flush=True,
        )
        if n == args.maps:
            return


if __name__ == "__main__":
    main()

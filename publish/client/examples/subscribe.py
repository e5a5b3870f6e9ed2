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
import os
import re
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


def state_dir(config=None):
    """Returns the state directory of oodcast run: of its configuration file, of the environment, or the default."""
    if config:
        with open(config, encoding="utf-8") as f:
            found = re.search(r"^publish:.*?\bstate_dir:\s*[\"']?([^\s\"',}#]+)", f.read(), re.M | re.S)
        if found:
            return found[1]
    return os.environ.get("OODCAST_PUBLISH__STATE_DIR", "state")


def login(url, state):
    """Returns user and password for the embedded server of oodcast on this machine, if this user may read them.

    A password goes to the server that made it and to no other: nats.json says where that listens and whether it runs.
    """
    at, local = urllib.parse.urlsplit(url), ("127.0.0.1", "localhost", "::1", "0.0.0.0")
    try:
        with open(os.path.join(state, "nats.json"), encoding="utf-8") as f:
            running = json.load(f)
        server = urllib.parse.urlsplit(running["url"])
        if (server.port or 4222) != (at.port or 4222) or not os.path.exists(f"/proc/{running['pid']}"):
            return {}
        if server.hostname != at.hostname and not (server.hostname in local and at.hostname in local):
            return {}
    except (OSError, ValueError, KeyError):
        return {}
    for user in ("controller", "viewer"):
        try:
            with open(os.path.join(state, user + ".password"), encoding="utf-8") as f:
                return {"user": user, "pass": f.read().strip()}
        except OSError:
            pass
    return {}


def messages(url, *subjects, ask=None, state=None, wait=30):
    """Subscribes to subjects and yields (subject, headers, payload) of each message. The NATS protocol consists of text lines.

    ask is a request (subject, payload) to send; its answer arrives on the first of the subjects.
    """
    at = urllib.parse.urlsplit(url)
    hello = {"verbose": False, "headers": True, "no_responders": True, "name": "subscribe.py", "lang": "python"}
    if at.username:
        hello.update({"user": at.username, "pass": at.password} if at.password else {"auth_token": at.username})
    else:
        hello.update(login(url, state or state_dir()))
    with socket.create_connection((at.hostname, at.port or 4222), timeout=30) as s, s.makefile("rb") as r:
        s.settimeout(wait)
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
                hint = ""
                if b"uthoriz" in line and "user" not in hello:
                    hint = ": name the state directory of oodcast run with --state-dir or --config, or put user:password@ in --url"
                raise SystemExit(f"nats: {line.decode().strip()}{hint}")
            elif verb in ("MSG", "HMSG"):
                body = r.read(int(args[-1]) + 2)[:-2]
                cut = int(args[-2]) if verb == "HMSG" else 0
                lines = body[:cut].decode().split("\r\n")[1:]
                yield args[0], dict(h.split(": ", 1) for h in lines if ": " in h), body[cut:]


def control(url, camera, change, state=None):
    """Changes settings of a camera, {prefix}.v1.{site}.{name}. Returns its state, or a dict with the key "error"."""
    subject, inbox = f"{camera}.ctl.set", f"_INBOX.{secrets.token_hex(11)}"
    _, _, body = next(messages(url, inbox, ask=(subject, change.encode()), state=state))
    return json.loads(body) if body else {"error": f"no answer on {subject}"}


def one_camera(args, state):
    """Returns {prefix}.v1.{site}.{name} of the one camera whose control service answers and which the arguments allow."""
    inbox = f"_INBOX.{secrets.token_hex(11)}"
    found = set()
    try:
        for _, headers, body in messages(args.url, inbox, ask=("$SRV.PING.oodcast", b""), state=state, wait=2):
            about = json.loads(body)["metadata"] if body else {}
            if about.get("prefix") == args.prefix and args.site in ("*", about["site"]) and args.camera in ("*", about["camera"]):
                found.add(f"{args.prefix}.v1.{about['site']}.{about['camera']}")
            elif not body:
                break
    except TimeoutError:
        pass
    if len(found) != 1:
        wanted = f"{args.prefix}.v1.{args.site}.{args.camera}"
        names = ", ".join(sorted(found)) or "nobody"
        raise SystemExit(f"no answer on {wanted}.ctl.set" if not found else f"{names} answer: choose one with --site and --camera")
    return found.pop()


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--url", default="nats://127.0.0.1:4222")
    p.add_argument("--prefix", default="oodcast")
    p.add_argument("--site", default="*", help="only this site; * hears all")
    p.add_argument("--camera", default="*")
    p.add_argument("--state-dir", metavar="DIR", help="state directory of oodcast run, which has the login")
    p.add_argument("--config", metavar="FILE", help="configuration of oodcast run, which names the state directory")
    p.add_argument("--maps", type=int, default=0, help="stop after this many maps; 0: never")
    p.add_argument("--set", metavar="JSON", help="change settings of the camera, print the settings in force and exit")
    args = p.parse_args()
    secrets_in = args.state_dir or state_dir(args.config)
    camera = f"{args.prefix}.v1.{args.site}.{args.camera}"
    if args.set:
        if "*" in (args.site, args.camera):  # a request has one receiver
            camera = one_camera(args, secrets_in)
        state = control(args.url, camera, args.set, secrets_in)
        if "error" in state:
            raise SystemExit(state["error"])
        return print(json.dumps(state))
    for n, (_, headers, body) in enumerate(messages(args.url, f"{camera}.map", state=secrets_in), 1):
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

#!/usr/bin/env python3
"""Publishes the messages of oodcast in ROS 2, as described in docs/ros2-foxglove.md.

    ros2_bridge.py --url nats://127.0.0.1:4222                  publishes (requires rclpy and vision_msgs)
    ros2_bridge.py --url nats://127.0.0.1:4222 --print          prints the messages as JSON, without ROS

Topics of camera "front":
    /front/anomaly/image   sensor_msgs/Image          every map; 32FC1, mono16 or mono8
    /front/anomaly/grid    nav_msgs/OccupancyGrid     every map; latched
    /front/anomaly/events  vision_msgs/Detection2DArray
    /diagnostics           diagnostic_msgs/DiagnosticArray
"""

import argparse
import array
import json
import math
import struct
import sys
from datetime import datetime

from subscribe import CAMERA, HEIGHT, STAMP, THRESHOLD, WIDTH, decode, fields, messages, state_dir, values

FRAME_ID, IMAGE_WIDTH, IMAGE_HEIGHT, ROI = 2, 9, 10, 24


def level(value, threshold):
    """Maps a value to 0..1 on the same scale for every frame: 0.5 is the threshold, 0 the average of normal footage."""
    return min(max(0.5 + (value - threshold) / (2 * max(abs(threshold), 1)), 0), 1)


def judged(m):
    """Returns for every cell whether it lies in the region of interest."""
    bits, n = m.get(ROI, b""), m[WIDTH] * m[HEIGHT]
    return [not bits or bits[i // 8] >> i % 8 & 1 == 1 for i in range(n)]


def rounded(x):
    return math.floor(x + 0.5)


def stamp_of(m):
    t = fields(m.get(STAMP, b""))
    return {"sec": t.get(1, 0), "nanosec": t.get(2, 0)}


def stamp_of_text(text):
    """Converts a time in RFC 3339 with up to nine fractional digits."""
    whole, _, rest = text.rstrip("Z").partition(".")
    sec = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return {"sec": sec, "nanosec": int(rest.ljust(9, "0")) if rest else 0}


def image(m, encoding="32FC1"):
    """sensor_msgs/Image: rows from the top, little-endian."""
    code, size, top = {"32FC1": ("f", 4, None), "mono16": ("H", 2, 65535), "mono8": ("B", 1, 255)}[encoding]
    threshold = m.get(THRESHOLD, 0.0)
    cells = zip(values(m), judged(m))
    if top is None:
        cells = [v if inside else math.nan for v, inside in cells]
    else:
        cells = [rounded(top * level(v, threshold)) if inside else 0 for v, inside in cells]
    return {
        "header": {"stamp": stamp_of(m), "frame_id": m.get(FRAME_ID, b"").decode()},
        "height": m[HEIGHT], "width": m[WIDTH], "encoding": encoding, "is_bigendian": 0,
        "step": m[WIDTH] * size, "data": struct.pack(f"<{len(cells)}{code}", *cells),
    }


def occupancy_grid(m):
    """nav_msgs/OccupancyGrid: rows from the bottom; -1 outside the region of interest, otherwise 0..100 with 50 as threshold."""
    width, height, threshold = m[WIDTH], m[HEIGHT], m.get(THRESHOLD, 0.0)
    cells = [rounded(100 * level(v, threshold)) if inside else -1 for v, inside in zip(values(m), judged(m))]
    flipped = [v for row in range(height - 1, -1, -1) for v in cells[row * width : (row + 1) * width]]
    stamp = stamp_of(m)
    return {
        "header": {"stamp": stamp, "frame_id": m[CAMERA].decode() + "_anomaly_plane"},
        "info": {
            "map_load_time": stamp, "resolution": 1 / width, "width": width, "height": height,
            "origin": {"position": {"x": 0.0, "y": 0.0, "z": 0.0}, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}},
        },
        "data": flipped,
    }


def detections(event, width, height):
    """vision_msgs/Detection2DArray with one event, in pixels of an image of width x height. An end has no detections."""
    header = {"stamp": stamp_of_text(event["time"]), "frame_id": event["camera"] + "_optical_frame"}
    box = event["box"]
    found = {
        "header": header, "id": event["id"],
        "results": [{"hypothesis": {"class_id": "anomaly", "score": level(event["peak"], event["threshold"])}}],
        "bbox": {
            "center": {
                "position": {"x": (box["x"] + box["width"] / 2) * width, "y": (box["y"] + box["height"] / 2) * height},
                "theta": 0.0,
            },
            "size_x": box["width"] * width, "size_y": box["height"] * height,
        },
    }
    return {"header": header, "detections": [] if event["type"] == "end" else [found]}


def diagnostics(status):
    """diagnostic_msgs/DiagnosticArray: OK for live, paused and ended cameras, ERROR for down, WARN otherwise."""
    severity = {"live": 0, "paused": 0, "ended": 0, "down": 2}.get(status["state"], 1)
    keys = ("timesteps_used", "threshold", "bundle", "provider", "width", "height")
    return {
        "header": {"stamp": stamp_of_text(status["time"]), "frame_id": ""},
        "status": [{
            "level": severity, "name": "oodcast: " + status["camera"], "hardware_id": status["camera"],
            "message": status.get("reason", "") or status["state"],
            "values": [{"key": k, "value": str(status[k])} for k in keys if k in status],
        }],
    }


def convert(url, prefix, site, encoding, state=None):
    """Yields (topic, type, message as a dict)."""
    all_of = f"{prefix}.v1.{site}.*."
    sizes = {}
    for subject, headers, body in messages(url, all_of + "map", all_of + "event.*", all_of + "status", state=state):
        camera, kind = subject.split(".")[3:5]
        if kind == "map":
            m = decode(headers, body)
            sizes[camera] = m.get(IMAGE_WIDTH, 0), m.get(IMAGE_HEIGHT, 0)
            yield f"/{camera}/anomaly/image", "sensor_msgs/Image", image(m, encoding)
            yield f"/{camera}/anomaly/grid", "nav_msgs/OccupancyGrid", occupancy_grid(m)
        elif kind == "event" and camera in sizes:  # before the first map, the size of the image is unknown
            yield f"/{camera}/anomaly/events", "vision_msgs/Detection2DArray", detections(json.loads(body), *sizes[camera])
        elif kind == "status":
            yield "/diagnostics", "diagnostic_msgs/DiagnosticArray", diagnostics(json.loads(body))


def print_all(stream, count):
    for n, (topic, kind, message) in enumerate(stream, 1):
        print(json.dumps({"topic": topic, "type": kind, "message": message}, default=lambda b: b.hex()), flush=True)
        if n == count:
            return


def fill(target, message):
    """Copies a dict into a ROS message, field by field."""
    for key, value in message.items():
        old = getattr(target, key)
        if isinstance(value, dict):
            fill(old, value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            setattr(target, key, [fill(element_type(target, key)(), v) for v in value])
        elif isinstance(old, bytes) and isinstance(value, int):  # DiagnosticStatus.level is a byte
            setattr(target, key, bytes([value]))
        elif isinstance(value, bytes):
            setattr(target, key, array.array("B", value))
        else:
            setattr(target, key, value)
    return target


def element_type(target, key):
    from rosidl_runtime_py.utilities import get_message

    kind = target.get_fields_and_field_types()[key]  # "sequence<pkg/Name>"
    return get_message(kind[len("sequence<") : -1].replace("/", "/msg/"))


def publish_all(stream):
    import rclpy
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from rosidl_runtime_py.utilities import get_message

    rclpy.init()
    node = rclpy.create_node("oodcast_bridge")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    qos = {"sensor_msgs/Image": qos_profile_sensor_data, "nav_msgs/OccupancyGrid": latched}
    publishers = {}
    for topic, kind, message in stream:
        full = get_message(kind.replace("/", "/msg/"))
        if topic not in publishers:
            publishers[topic] = node.create_publisher(full, topic, qos.get(kind, 10))
        publishers[topic].publish(fill(full(), message))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--url", default="nats://127.0.0.1:4222")
    p.add_argument("--prefix", default="oodcast")
    p.add_argument("--site", default="*", help="only this site; * hears all")
    p.add_argument("--state-dir", metavar="DIR", help="state directory of oodcast run, which has the login")
    p.add_argument("--config", metavar="FILE", help="configuration of oodcast run, which names the state directory")
    p.add_argument("--encoding", choices=("32FC1", "mono16", "mono8"), default="32FC1")
    p.add_argument("--print", action="store_true", help="print JSON instead of publishing")
    p.add_argument("--count", type=int, default=0, help="with --print: stop after this many messages")
    args = p.parse_args()
    stream = convert(args.url, args.prefix, args.site, args.encoding, args.state_dir or state_dir(args.config))
    if args.print:
        return print_all(stream, args.count)
    try:
        publish_all(stream)
    except ImportError as e:
        sys.exit(f"ros2_bridge.py: {e}: source a ROS 2 environment, or use --print")


if __name__ == "__main__":
    main()

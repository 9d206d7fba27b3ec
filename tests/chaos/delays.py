"""Passes the frames of two network devices to each other, late: `DEVICE DEVICE MILLISECONDS`.

It does what `tc … netem delay` does, in kernels without it. A frame travels with its virtio header,
so that the kernel does checksums and segments as if the devices were one wire.
"""

from __future__ import annotations

import queue
import socket
import sys
import threading
import time
from contextlib import suppress

_ALL_FRAMES = 0x0003
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_OUTGOING = 4
_LONGEST = 2**17


def _device(name: str) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
    found.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**24)
    found.bind((name, _ALL_FRAMES))
    return found


def _pass_on(source: socket.socket, target: socket.socket, seconds: float) -> None:
    late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def send() -> None:
        while True:
            due, frame = late.get()
            time.sleep(max(0.0, due - time.monotonic()))
            with suppress(OSError):  # a wire loses frames, too
                target.send(frame)

    threading.Thread(target=send, daemon=True).start()
    while True:
        frame, about = source.recvfrom(_LONGEST)
        if about[2] != _OUTGOING:
            late.put((time.monotonic() + seconds, frame))


def main(one: str, other: str, milliseconds: str) -> None:
    first, second = _device(one), _device(other)
    back = threading.Thread(
        target=_pass_on, args=(second, first, int(milliseconds) / 1e3), daemon=True
    )
    back.start()
    _pass_on(first, second, int(milliseconds) / 1e3)


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""One end of a TCP connection that sends as fast as it may, for the bench: somebody else on the same radio. The
receiver says "ready"; when it is interrupted, it writes down how many bytes had come at which moment."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import time
from array import array
from pathlib import Path

PORT = 5201
CHUNK = 65_536  # B
CONNECT_LIMIT = 10.0  # s
FIELDS = 2  # of a row: moment, ns; bytes so far


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of the receiver")
    parser.add_argument("--record", type=Path, help="receive, and write the record to this file")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows = array("Q")
    try:
        receive(arguments.address, rows) if arguments.record else send(arguments.address)
    except (KeyboardInterrupt, ConnectionError):
        pass  # the other end was stopped first
    if arguments.record:
        arguments.record.write_bytes(rows)
    return 0


def receive(address: str, rows: array) -> None:
    with socket.create_server((address, PORT)) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
        with connection:
            total = 0
            while chunk := connection.recv(CHUNK):
                total += len(chunk)
                rows.extend((time.monotonic_ns(), total))


def send(address: str) -> None:
    with socket.create_connection((address, PORT), CONNECT_LIMIT) as connection:
        while True:
            connection.sendall(bytes(CHUNK))


def goodput(record: Path, start: float, end: float) -> float:
    """Bytes per second that came from `start` to `end`, s."""
    numbers = array("Q", record.read_bytes())
    moments, totals = numbers[::FIELDS], numbers[1::FIELDS]

    def total_at(moment: float) -> int:
        return max((total for at, total in zip(moments, totals) if at <= moment * 1e9), default=0)

    return (total_at(end) - total_at(start)) / (end - start)


if __name__ == "__main__":
    sys.exit(main())

"""A signaling server that cannot be trusted: between a rover and the real one, it swaps the DTLS fingerprints that the
rover is told."""

from __future__ import annotations

import re
import socket
import struct
import threading

_FINGERPRINT = re.compile(rb"(?<=sha-256 )[0-9A-F]{2}(:[0-9A-F]{2}){31}")
# As long as the one it stands in for, so that no frame changes its length.
_SWAPPED = b":".join([b"5A"] * 32)


class TamperingRelay:
    """Relays the connections to the server at `url`, as a context."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("ws://").rsplit(":", 1)
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.url = "ws://127.0.0.1:{}".format(self._listener.getsockname()[1])
        self.swapped = 0

    def __enter__(self) -> TamperingRelay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                rover, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._sockets += [rover, server]
            threading.Thread(target=self._up, args=[rover, server], daemon=True).start()
            threading.Thread(target=self._down, args=[server, rover], daemon=True).start()

    def _up(self, rover: socket.socket, server: socket.socket) -> None:
        try:
            while data := rover.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _down(self, server: socket.socket, rover: socket.socket) -> None:
        try:
            with server.makefile("rb") as stream:
                while line := stream.readline():
                    rover.sendall(line)
                    if line == b"\r\n":
                        break
                while frame := _read_frame(stream):
                    frame, count = _FINGERPRINT.subn(_SWAPPED, frame)
                    self.swapped += count
                    rover.sendall(frame)
            rover.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def _read_frame(stream) -> bytes:
    """One WebSocket frame of a server, which has no mask (RFC 6455, 5.2)."""
    header = stream.read(2)
    if len(header) < 2:
        return b""
    length = header[1]
    if length >= 126:
        size, form = (2, ">H") if length == 126 else (8, ">Q")
        extended = stream.read(size)
        header += extended
        (length,) = struct.unpack(form, extended)
    return header + stream.read(length)

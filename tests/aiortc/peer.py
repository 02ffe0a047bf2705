"""A standard WebRTC peer on aiortc, which knows of rover_link only what is documented: how signaling speaks, and that
the one data channel carries JSON text about routes and fragments with a header.

It says `ready`, reads one line, SIGNALING_URL TOKEN OWN_ID ROVER_ID, and then sends back each message that it gets,
on a route of its own, until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import uuid

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from websockets.asyncio.client import connect

# Of the first fragment: version, flags, route, epoch, sequence, time taken, length.
HEADER = struct.Struct(">BBHIQII")
VERSION = 1
OWN_ROUTE = 7
ROUTE = {
    "type": "route",
    "id": OWN_ROUTE,
    "revision": 1,
    "topic": "/standard/echo",
    "ros_type": "std_msgs/msg/String",
    "type_hash": "RIHS01_0",
    "delivery": "reliable",
    "qos": {"reliability": "reliable", "durability": "volatile", "history": "keep_last", "depth": 10},
}


class Peer:
    def __init__(self, socket, rover_id: str) -> None:
        self._socket = socket
        self._rover_id = rover_id
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.on("datachannel", self._take_channel)
        self._channel = None
        self._sequence = 0

    def _take_channel(self, channel) -> None:
        self._channel = channel
        channel.on("message", self._take_message)
        print(f"channel {channel.label}", file=sys.stderr)

    def _take_message(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            _, flags, _, _, _, _, length = HEADER.unpack_from(message)
            payload = message[HEADER.size :]
            assert (length, flags) == (len(payload), 0), "the messages of this test fit one fragment"
            self._sequence += 1
            header = HEADER.pack(VERSION, 0, OWN_ROUTE, 0, self._sequence, 0, length)
            self._channel.send(header + payload)
            return
        control = json.loads(message)
        if control["type"] == "route":
            accepted = {"type": "route_accepted", "id": control["id"], "revision": control["revision"]}
            self._channel.send(json.dumps(ROUTE))
            self._channel.send(json.dumps(accepted))

    async def offer(self) -> None:
        self._take_channel(self._connection.createDataChannel("rover_link"))
        await self._connection.setLocalDescription(await self._connection.createOffer())
        await self._signal({"kind": "offer", "sdp": self._connection.localDescription.sdp})

    async def handle_signal(self, body: dict) -> None:
        print(f"signal {body['kind']}", file=sys.stderr)
        if body["kind"] == "offer" and self._connection.remoteDescription is None:
            await self._connection.setRemoteDescription(RTCSessionDescription(body["sdp"], "offer"))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
            await self._signal({"kind": "answer", "sdp": self._connection.localDescription.sdp})
        elif body["kind"] == "answer":
            await self._connection.setRemoteDescription(RTCSessionDescription(body["sdp"], "answer"))
        elif body["kind"] == "candidate":
            candidate = candidate_from_sdp(body["candidate"].removeprefix("a=").removeprefix("candidate:"))
            candidate.sdpMid = self._connection.sctp.mid
            await self._connection.addIceCandidate(candidate)

    async def _signal(self, body: dict) -> None:
        await self._socket.send(json.dumps({"type": "signal", "to": self._rover_id, "body": body}))

    async def close(self) -> None:
        await self._connection.close()


async def take_part(url: str, token: str, own_id: str, rover_id: str) -> None:
    hello = {
        "type": "hello",
        "version": 1,
        "fleet": "default",
        "rover_id": own_id,
        "instance": str(uuid.uuid4()),
        "capabilities": [],
    }
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(url, subprotocols=["rover-link.v1"], additional_headers=headers) as socket:
        await socket.send(json.dumps(hello))
        peer = Peer(socket, rover_id)
        has_offered = False
        try:
            async for text in socket:
                said = json.loads(text)
                members = said.get("peers", []) if said["type"] == "welcome" else [said]
                # The smaller id offers.
                if own_id < rover_id and not has_offered and any(m.get("rover_id") == rover_id for m in members):
                    has_offered = True
                    await peer.offer()
                if said["type"] == "signal" and said["from"] == rover_id:
                    await peer.handle_signal(said["body"])
        finally:
            await peer.close()


async def main() -> None:
    print("ready", flush=True)
    work = asyncio.create_task(take_part(*sys.stdin.readline().split()))
    end = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    await work


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        pass

"""The mixed load of the soak: what each of two rovers sends to the other, and how it is to cross. Some topics are made to
lose messages, one for each reason that there is."""

from __future__ import annotations

from dataclasses import dataclass, field

# Bounds of the queue of each topic, unless it says otherwise.
QUEUE_MESSAGES = 50
QUEUE_BYTES = 1_000_000
# As many as some topics publish during an outage, with room to spare.
OUTAGE_MESSAGES = 1_000

LONGEST_STEADY_PERIOD = 0.05  # s


@dataclass(frozen=True)
class Load:
    """Messages of one topic, the same in both directions."""

    name: str
    period: float  # s
    sizes: tuple[int, ...]  # B, in turn
    burst: int = 1  # messages at once
    reliability: str = "reliable"
    durability: str = "volatile"
    is_compressible: bool = False
    sender: dict = field(default_factory=dict)  # parameters of the topic
    receiver: dict = field(default_factory=dict)
    causes: tuple[str, ...] = ()  # why messages of it have to get lost
    is_held: bool = False  # it leaves by LTE alone, so seldom or never

    @property
    def topic(self) -> str:
        return f"/{self.name}"

    def received_as(self, sender: str) -> str:
        """Where a peer's topics appear by default."""
        return f"/{sender}/{self.name}"

    @property
    def is_reliable(self) -> bool:
        return self.reliability == "reliable"

    @property
    def must_arrive(self) -> bool:
        """Does something of it arrive on a machine that is busy, too?"""
        return not self.is_held and "lifespan" not in self.sender

    @property
    def loses_nothing(self) -> bool:
        """Does each message of it arrive that was published after both ends knew of each other, whatever happens to the
        link? Its queue has room for all that is published during an outage."""
        return self.is_reliable and not set(self.causes) - {"closed"}

    @property
    def is_steady(self) -> bool:
        """Does it tell by its gaps how the link fares?"""
        return self.loses_nothing and self.period <= LONGEST_STEADY_PERIOD

    @property
    def is_latched(self) -> bool:
        return self.durability == "transient_local"

    def parameters(self) -> dict:
        """The parameters of the topic at its sender."""
        return {"name": self.topic, "queue_messages": QUEUE_MESSAGES, "queue_bytes": QUEUE_BYTES, **self.sender}

    def most_waiting(self) -> tuple[int, int]:
        """The most that may wait of it on one side, messages and bytes.

        On their way through a node messages pass queues of these bounds: for compression, for the driver and for the peer,
        and the next one is in work behind each.
        """
        parameters = self.parameters()
        # Of best effort topics only the newest waits, but at the receiver a clump of ten.
        messages = parameters["queue_messages"] if self.is_reliable else 10
        queues = 3 if "compression" in self.sender else 2
        return queues * (messages + 1), queues * (max(parameters["queue_bytes"], max(self.sizes)) + max(self.sizes))


LOADS = (
    Load(
        "cmd", 0.02, (52,), sender={"priority": "critical", "queue_messages": OUTAGE_MESSAGES}, causes=("closed",)
    ),
    Load("odom", 0.01, (720,), sender={"queue_messages": OUTAGE_MESSAGES}),
    Load("scan", 0.1, (8_000,), reliability="best_effort"),
    Load(
        "camera", 0.25, (100_000,), reliability="best_effort",
        sender={"priority": "low", "max_rate": 3.0, "lifespan": 0.5}, causes=("rate",),
    ),
    # More at once than crosses within its lifespan, or waits.
    Load("tiles", 5.0, (50_000,), burst=12, sender={"priority": "low", "lifespan": 0.05}, causes=("expired",)),
    Load("bulk", 3.0, (4_000,), burst=60, sender={"queue_messages": 20}, causes=("queue",)),
    Load("thumbs", 3.0, (30_000,), burst=5, reliability="best_effort", causes=("queue",)),
    Load("grid", 0.5, (40_000,), is_compressible=True, sender={"compression": "zstd"}),
    Load("map", 5.0, (1_000,), durability="transient_local"),
    Load("blob", 1.0, (900, 1_100), sender={"max_message_size": 1_000}, causes=("oversize",)),
    # Here it is the receiver who does not take it.
    Load("snapshot", 1.0, (900, 1_500), receiver={"max_message_size": 1_000}, causes=("oversize",)),
    Load(
        "metered", 1.0, (100,), sender={"interfaces": ["cellular"], "queue_messages": 5}, causes=("interface",),
        is_held=True,
    ),
)  # fmt: skip


def topics(peer: str) -> dict[str, dict]:
    """The topics of a rover with this peer, as its parameters have them."""
    sent = {load.name: load.parameters() for load in LOADS}
    received = {
        f"{load.name}_received": {"name": load.received_as(peer), "direction": "receive", **load.receiver}
        for load in LOADS
        if load.receiver
    }
    return {**sent, **received}

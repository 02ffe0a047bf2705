"""Kinds of NAT in the words of RFC 4787, and the rules of nftables that make a router one of them.

What Linux does by itself is to keep the port of the host behind it while that port is free, for whichever far end, and
to let in from far ends alone that were sent to: a mapping that depends on nothing, a filtering that depends on all. The
rules loosen the filtering or scatter the mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

# The devices of a router: towards its home, and towards the internet.
LAN, WAN = "lan", "wan"


class Dependence(IntEnum):
    """What of the far end a NAT looks at (RFC 4787, sections 4.1 and 5)."""

    NOTHING = 0  # endpoint-independent
    ADDRESS = 1  # address-dependent
    ADDRESS_AND_PORT = 2  # address- and port-dependent


@dataclass(frozen=True)
class Kind:
    """What stands between a host and the internet."""

    name: str
    mapping: Dependence  # which far ends see the host at the same port
    filtering: Dependence  # which far ends may send to that port once the host has sent anything
    routers: int = 1  # one behind the other
    passes_udp: bool = True


PUBLIC = Kind("public", Dependence.NOTHING, Dependence.NOTHING, routers=0)
CONE = Kind("cone", Dependence.NOTHING, Dependence.NOTHING)
ADDRESS_RESTRICTED = Kind("address_restricted", Dependence.NOTHING, Dependence.ADDRESS)
PORT_RESTRICTED = Kind("port_restricted", Dependence.NOTHING, Dependence.ADDRESS_AND_PORT)
SYMMETRIC = Kind("symmetric", Dependence.ADDRESS_AND_PORT, Dependence.ADDRESS_AND_PORT)
DOUBLE = Kind("double", Dependence.NOTHING, Dependence.ADDRESS_AND_PORT, routers=2)
TCP_ONLY = Kind("tcp_only", Dependence.NOTHING, Dependence.ADDRESS_AND_PORT, passes_udp=False)


def is_direct_possible(one: Kind, other: Kind) -> bool:
    """Can connectivity checks (RFC 8445) open a way between hosts behind these?

    Each host tells the other where a STUN server sees it. Where the mapping depends on the far end, checks come from
    another port than was told, and are let in where the filtering does not look at ports.
    """

    def is_heard(sender: Kind, receiver: Kind) -> bool:
        is_as_told = sender.mapping == Dependence.NOTHING
        return is_as_told or receiver.filtering < Dependence.ADDRESS_AND_PORT

    return one.passes_udp and other.passes_udp and is_heard(one, other) and is_heard(other, one)


def rules(kind: Kind) -> str:
    """The whole rule set of a router, for `nft -f`. One host is behind it, so that its ports are free."""
    scatter = " random,fully-random" if kind.mapping else ""
    udp = "" if kind.passes_udp else "meta l4proto udp drop"
    contacted = "ip saddr . udp dport @contacted " if kind.filtering == Dependence.ADDRESS else ""
    let_in = f'iifname "{WAN}" {contacted}dnat to udp dport map @bindings'
    if kind.filtering == Dependence.ADDRESS_AND_PORT:
        let_in = ""
    return f"""\
flush ruleset

table ip nat {{
    # Host behind the router, by the port at which the internet sees it.
    map bindings {{ type inet_service : ipv4_addr; size 65535; flags dynamic, timeout; timeout 5m; }}
    # Far ends that were sent to, and from which port.
    set contacted {{ type ipv4_addr . inet_service; size 65535; flags dynamic, timeout; timeout 5m; }}

    chain outgoing {{
        type nat hook postrouting priority srcnat;
        oifname "{WAN}" masquerade{scatter}
    }}
    chain remember {{
        type filter hook postrouting priority srcnat + 1;
        oifname "{WAN}" meta l4proto udp update @bindings {{ udp sport : ct original ip saddr }}
        oifname "{WAN}" meta l4proto udp update @contacted {{ ip daddr . udp sport }}
    }}
    # Asked for what belongs to no connection yet.
    chain incoming {{
        type nat hook prerouting priority dstnat;
        {let_in}
    }}
}}

table inet filter {{
    chain forward {{
        type filter hook forward priority filter; policy drop;
        {udp}
        ct state established,related accept
        iifname "{LAN}" accept
        ct status dnat accept
    }}
    # What is for nobody behind the router has to be dropped: let in, it would become a connection of the router's own,
    # and take the port that the host behind it is about to use towards the same far end.
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname {{ "lo", "{LAN}" }} accept
    }}
}}
"""

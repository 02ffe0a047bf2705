"""The NAT routers of the lab are of the kinds that they are called by, as a host behind them and servers at two
addresses and ports find out (RFC 5780 does it so)."""

from __future__ import annotations

import socket

import pytest
from demo.namespaces import run
from internet import CLOUD, CLOUD_ADDRESSES, Internet, tool
from nat import (
    ADDRESS_RESTRICTED, CONE, DOUBLE, PORT_RESTRICTED, PUBLIC, SYMMETRIC, TCP_ONLY, Dependence, is_direct_possible,
)  # fmt: skip

KINDS = (PUBLIC, CONE, ADDRESS_RESTRICTED, PORT_RESTRICTED, SYMMETRIC, DOUBLE)
ROUTED = KINDS[1:]
HOST_PORT = 40_000


@pytest.fixture(scope="module")
def internet(tmp_path_factory):
    internet = Internet({kind.name: kind for kind in (*KINDS, TCP_ONLY)}, tmp_path_factory.mktemp("probes"))
    yield internet
    internet.end()


@pytest.fixture
def servers(internet):
    """The one that is spoken to first, one at another port of its address, and one at another address."""
    addresses = (CLOUD_ADDRESSES[0], *CLOUD_ADDRESSES)
    made = [internet.socket(CLOUD, address) for address in addresses]
    yield made
    for server in made:
        server.close()


def named(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


def seen_by(server: socket.socket, host: socket.socket) -> tuple[str, int]:
    """Where a server sees what a host sends to it."""
    host.sendto(b"hello", server.getsockname())
    return server.recvfrom(100)[1]


def heard(host: socket.socket, last: bytes) -> set[bytes]:
    """What a host gets, up to what is sure to come and was sent last."""
    got: set[bytes] = set()
    while last not in got:
        got.add(host.recv(100))
    return got


@named(KINDS)
def test_all_servers_see_a_host_at_one_port_unless_its_mapping_depends_on_them(internet, servers, kind):
    with internet.socket(kind.name) as host:
        seen = [seen_by(server, host) for server in servers]
    assert {address for address, _ in seen} == {internet.public_address(kind.name)}
    assert len(set(seen)) == (1 if kind.mapping == Dependence.NOTHING else len(servers))


@named(KINDS)
def test_a_host_hears_of_those_that_it_has_not_sent_to_whom_its_filtering_does_not_look_at(internet, servers, kind):
    contacted, other_port, other_address = servers
    with internet.socket(kind.name) as host:
        seen = seen_by(contacted, host)
        other_address.sendto(b"other address", seen)
        other_port.sendto(b"other port", seen)
        contacted.sendto(b"contacted", seen)
        got = heard(host, last=b"contacted")
    expected = {
        Dependence.NOTHING: {b"contacted", b"other port", b"other address"},
        Dependence.ADDRESS: {b"contacted", b"other port"},
        Dependence.ADDRESS_AND_PORT: {b"contacted"},
    }
    assert got == expected[kind.filtering]


@named([kind for kind in ROUTED if kind.mapping == Dependence.NOTHING])
def test_what_comes_before_the_host_has_sent_is_not_heard_and_does_not_take_its_port(internet, servers, kind):
    server = servers[0]
    port = (internet.public_address(kind.name), HOST_PORT)
    with internet.socket(kind.name, port=HOST_PORT) as host:
        server.sendto(b"too early", port)
        assert seen_by(server, host) == port
        server.sendto(b"in time", port)
        assert heard(host, last=b"in time") == {b"in time"}


@named(ROUTED)
def test_a_router_that_forgets_lets_nobody_in_until_the_host_sends_again(internet, servers, kind):
    server = servers[0]
    with internet.socket(kind.name) as host:
        before = seen_by(server, host)
        internet.forget(kind.name)
        server.sendto(b"forgotten", before)
        after = seen_by(server, host)
        server.sendto(b"known again", after)
        assert heard(host, last=b"known again") == {b"known again"}
    assert (after == before) == (kind.mapping == Dependence.NOTHING)


def test_two_routers_in_a_row_both_translate(internet, servers):
    with internet.socket(DOUBLE.name) as host:
        seen_by(servers[0], host)
        _, port = host.getsockname()
    routers = [internet.enter(f"{DOUBLE.name}_router_{n}") for n in range(2)]
    tables = [run(*router, tool("conntrack"), "-L", "-p", "udp") for router in routers]
    outer, inner = (next(line for line in table.splitlines() if f"sport={port} " in line) for table in tables)
    assert "src=100.64." in outer and f"dst={internet.public_address(DOUBLE.name)}" in outer
    assert "src=192.168." in inner and "dst=100.64." in inner


def test_where_udp_is_blocked_only_tcp_gets_out(internet, servers):
    server = servers[0]
    with (
        internet.socket(CLOUD, CLOUD_ADDRESSES[0], kind=socket.SOCK_STREAM) as listener,
        internet.socket(TCP_ONLY.name) as udp,
        internet.socket(TCP_ONLY.name, kind=socket.SOCK_STREAM) as tcp,
    ):
        listener.listen()
        udp.sendto(b"hello", server.getsockname())
        tcp.connect(listener.getsockname())
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(100)


def test_a_relay_is_needed_where_the_mapping_of_one_and_the_filtering_of_the_other_depend_on_ports():
    def needing_relay(kind):
        return {other.name for other in (*KINDS, TCP_ONLY) if not is_direct_possible(kind, other)}

    assert needing_relay(SYMMETRIC) == {"port_restricted", "symmetric", "double", "tcp_only"}
    assert needing_relay(PORT_RESTRICTED) == needing_relay(DOUBLE) == {"symmetric", "tcp_only"}
    assert needing_relay(PUBLIC) == needing_relay(CONE) == needing_relay(ADDRESS_RESTRICTED) == {"tcp_only"}

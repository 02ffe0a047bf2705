"""What an operator may ask of a rover: a path by an interface, and that ICE starts anew."""

import pytest
from rovers import wait_until_connected, wait_until_open

STRING = "std_msgs/msg/String"
TALK = {"talk": {"name": "/talk"}}


def select_path(rover, peer, interface):
    return rover.graph.select_path(f"{rover.node}/select_path", peer=peer, interface=interface)


def ice_restart(rover, peer):
    return rover.graph.select_path(f"{rover.node}/ice_restart", peer=peer)


def test_a_path_is_selected_by_its_interface_and_the_choice_is_given_back(fleet):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    wait_until_connected(a, b)
    for interface in ("lo", ""):
        answer = select_path(a, "rover_b", interface)
        assert answer["success"], answer
    assert a.is_connected("rover_b") and a.link_quality("rover_b")["interface"] == "lo"


def test_a_wish_that_cannot_be_fulfilled_is_refused_with_what_there_is(fleet):
    a, b = fleet.rover("rover_a", TALK, peers=["rover_b", "rover_c"]), fleet.rover("rover_b")
    wait_until_connected(a, b)
    for peer, interface, reason in [
        ("rover_x", "lo", "there is no peer `rover_x`; there is rover_b, rover_c"),
        ("rover_c", "lo", "rover_c is not connected"),
        ("rover_b", "wlan9", "there is no usable path to rover_b over wlan9; there is lo"),
    ]:
        answer = select_path(a, peer, interface)
        assert not answer["success"] and answer["message"].startswith(reason), answer
    for peer, reason in [("rover_x", "there is no peer `rover_x`"), ("rover_c", "rover_c is not connected")]:
        answer = ice_restart(a, peer)
        assert not answer["success"] and answer["message"].startswith(reason), answer


@pytest.mark.parametrize("asked", ["rover_a", "rover_b"], ids=["the offering side", "the answering side"])
def test_messages_cross_after_ice_has_started_anew(fleet, asked):
    a, b = fleet.rover("rover_a", TALK), fleet.rover("rover_b")
    a.graph.advertise("/talk", type=STRING)
    b.graph.subscribe("/rover_a/talk", type=STRING)
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    since = a.link_quality("rover_b")["connected_since"]
    rover, peer = (a, "rover_b") if asked == "rover_a" else (b, "rover_a")
    answer = ice_restart(rover, peer)
    assert answer["success"], answer
    wait_until_open(a, "/talk", b, "/rover_a/talk")
    assert a.link_quality("rover_b")["connected_since"] == since, "it is still the same session"

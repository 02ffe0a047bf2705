//! Which routes are opened, and what is said where something does not fit.

use std::time::Duration;

use rover_link::config::{Priority, Reliability, TypeName};
use rover_link::link::{Event, RefusalReason, RouteId, RouteKind, RouteOffer};
use rover_link::ros::rcl::Publisher;
use rover_link::ros::report::TopicReport;

use crate::fake_link;
use crate::graph::*;
use crate::messages::{bridge, config, mirror};

fn offer(topic: &str) -> RouteOffer {
    RouteOffer {
        kind: RouteKind::Topic,
        topic: topic.to_owned(),
        type_name: string_type().name().clone(),
        type_hash: string_type().hash().to_owned(),
        delivery: rover_link::config::Delivery::Reliable,
        qos: RELIABLE,
    }
}

fn offered(peer: &str, id: u16, offer: RouteOffer) -> Event {
    Event::RouteOffered { peer: peer.to_owned(), id: RouteId(id), offer: Box::new(offer) }
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason_and_reported() {
    let _turn = take_turns();
    let parameters = [
        ("topics.number.name", "/routes/number"),
        ("topics.number.direction", "receive"),
        ("topics.number.type", "std_msgs/msg/Int32"),
    ];
    let (bridge, link) = bridge(&config(&["number"], &parameters), &[], mirror);
    let unknown = TypeName::parse("no_such_msgs/msg/Thing").expect("a type name");
    let other = TypeName::parse("std_msgs/msg/Bool").expect("a type name");
    let string_type = string_type();
    let cases = [
        (offer("/elsewhere"), RefusalReason::NotAccepted, "/elsewhere"),
        (offer("/rover_c/odom"), RefusalReason::NotAccepted, "/rover_c/odom"),
        (offer("/routes/number"), RefusalReason::TypeMismatch, "std_msgs/msg/Int32"),
        (
            RouteOffer { type_name: unknown, ..offer("/rover_b/thing") },
            RefusalReason::TypeUnknown,
            "no_such_msgs",
        ),
        (
            RouteOffer { type_name: other, ..offer("/rover_b/bool") },
            RefusalReason::TypeMismatch,
            string_type.hash(),
        ),
    ];
    let count = cases.len();
    for (n, (offer, _, _)) in cases.iter().enumerate() {
        link.event(offered("rover_b", n as u16, offer.clone()));
    }
    link.wait_for("all refusals", |seen| seen.refusals.len() == count);
    for ((_, reason, words), (peer, _, refusal)) in cases.iter().zip(&link.seen().refusals) {
        assert_eq!((peer.as_str(), refusal.reason), ("rover_b", *reason), "{}", refusal.text);
        assert!(refusal.text.contains(words), "{}", refusal.text);
    }
    let report = bridge.report().lock().clone();
    assert_eq!(report.incoming.len(), count);
    let mismatches = report.incoming.values().filter(|topic| topic.type_mismatch).count();
    assert_eq!(mismatches, 3);
    assert!(report.incoming.values().all(|topic| !topic.remark.is_empty()));
}

#[test]
fn a_topic_is_offered_with_its_priority_and_lifespan() {
    let _turn = take_turns();
    let parameters = [
        ("topics.stop.name", "/routes/stop"),
        ("topics.stop.type", "std_msgs/msg/String"),
        ("topics.stop.priority", "critical"),
    ];
    let mut config = config(&["stop"], &parameters);
    config.topics[0].lifespan = Duration::from_millis(200);
    let (_bridge, link) = bridge(&config, &[], mirror);
    link.wait_for("the offer", |seen| seen.offers == 1);
    let route = link.seen().routes[&RouteId(0)].clone();
    assert_eq!((route.priority, route.lifespan), (Priority::Critical, Duration::from_millis(200)));
}

#[test]
fn a_publisher_is_kept_when_its_peer_goes_and_shared_when_another_comes() {
    let _turn = take_turns();
    let parameters = [("topics.chat.name", "/routes/chat"), ("topics.chat.direction", "receive")];
    let (bridge, link) = bridge(&config(&["chat"], &parameters), &[], mirror);
    let others = node("others", &[]);
    link.event(offered("rover_b", 0, offer("/routes/chat")));
    wait_for_publishers(&others, "/routes/chat", 1);
    let id = others.publishers("/routes/chat").expect("the graph")[0].id;
    for _ in 0..10 {
        let (peer, reason) = ("rover_b".to_owned(), "restarted".to_owned());
        link.event(Event::RouteClosed { peer: peer.clone(), id: RouteId(0) });
        link.event(Event::PeerDisconnected { peer, reason });
        link.event(offered("rover_b", 0, offer("/routes/chat")));
    }
    link.event(offered("rover_c", 7, offer("/routes/chat")));
    link.wait_for("all answers", |seen| seen.accepted.len() == 12);
    let found = others.publishers("/routes/chat").expect("the graph");
    assert_eq!(found.iter().map(|publisher| publisher.id).collect::<Vec<_>>(), [id]);
    assert_eq!(bridge.report().lock().incoming.len(), 2);

    let number = TypeName::parse("std_msgs/msg/Int32").expect("a type name");
    let type_hash = load("std_msgs/msg/Int32").hash().to_owned();
    let number = RouteOffer { type_name: number, type_hash, ..offer("/routes/chat") };
    link.event(offered("rover_c", 7, number.clone()));
    link.wait_for("a refusal", |seen| seen.refusals.len() == 1);
    let text = link.seen().refusals[0].2.text.clone();
    assert!(text.contains("another peer sends std_msgs/msg/String"), "{text}");

    // Once nobody else sends, the name is free for the other type.
    link.event(Event::RouteClosed { peer: "rover_b".to_owned(), id: RouteId(0) });
    link.event(offered("rover_c", 7, number));
    link.wait_for("the other type", |seen| seen.accepted.len() == 13);
    wait_for_graph(&others, "the other type", |node| {
        let found = node.publishers("/routes/chat").expect("the graph");
        found.len() == 1 && found[0].type_name == "std_msgs/msg/Int32"
    });
}

#[test]
fn a_subscription_that_asks_for_more_than_is_offered_is_reported() {
    let _turn = take_turns();
    let (bridge, link) = bridge(&config(&[], &[]), &[], mirror);
    let others = node("others", &[]);
    let _receiver = Receiver::new(&others, "/rover_b/scan", RELIABLE);
    link.event(offered("rover_b", 0, RouteOffer { qos: BEST_EFFORT, ..offer("/rover_b/scan") }));
    let report = bridge.report().clone();
    let mut found = TopicReport::default();
    wait_for_graph(&others, "the mismatch", |_| {
        found = report.lock().incoming.values().next().cloned().unwrap_or_default();
        found.qos_mismatch
    });
    assert!(found.remark.contains("requests reliable, volatile"), "{found:?}");
    assert!(found.remark.contains("best_effort, volatile is offered"), "{found:?}");
}

#[test]
fn qos_follows_the_publishers_and_what_does_not_fit_is_reported() {
    let _turn = take_turns();
    let parameters = [
        ("topics.auto.name", "/routes/auto"),
        ("topics.strict.name", "/routes/strict"),
        ("topics.strict.qos.reliability", "reliable"),
    ];
    let (bridge, link) = bridge(&config(&["auto", "strict"], &parameters), &[], mirror);
    let others = node("others", &[]);
    let reliability = |id: u16| {
        move |seen: &fake_link::Seen| {
            seen.routes.get(&RouteId(id)).map(|route| route.offer.qos.reliability)
        }
    };
    let _first = publisher(&others, "/routes/auto", RELIABLE);
    link.wait_for("a reliable offer", |seen| reliability(0)(seen) == Some(Reliability::Reliable));
    let second = publisher(&others, "/routes/auto", BEST_EFFORT);
    link.wait_for("a weaker offer", |seen| reliability(0)(seen) == Some(Reliability::BestEffort));
    drop(second);
    link.wait_for("a reliable offer", |seen| reliability(0)(seen) == Some(Reliability::Reliable));

    let _unfit = publisher(&others, "/routes/strict", BEST_EFFORT);
    let report = bridge.report().clone();
    let mut found = TopicReport::default();
    wait_for_graph(&others, "the mismatch", |_| {
        found = report.lock().outgoing.get(&RouteId(1)).cloned().unwrap_or_default();
        found.qos_mismatch
    });
    assert!(found.remark.contains("offers best_effort, volatile"), "{found:?}");
    link.wait_for("the strict offer", |seen| reliability(1)(seen) == Some(Reliability::Reliable));
}

#[test]
fn a_publisher_of_another_type_is_reported_and_the_others_go_on() {
    let _turn = take_turns();
    let parameters = [("topics.m.name", "/routes/types"), ("topics.m.type", "std_msgs/msg/String")];
    let (bridge, link) = bridge(&config(&["m"], &parameters), &[], mirror);
    let (others, wrong) = (node("others", &[]), node("wrong", &[]));
    link.wait_for("an offer before anybody publishes", |seen| seen.offers == 1);
    let number = load("std_msgs/msg/Int32");
    let _other = Publisher::new(&wrong, &number, "/routes/types", RELIABLE).expect("a publisher");
    let text = publisher(&others, "/routes/types", RELIABLE);
    let report = bridge.report().clone();
    wait_for_graph(&others, "the mismatch", |_| {
        report.lock().outgoing.values().any(|topic| topic.type_mismatch)
    });
    fake_link::meet(&text, &link);
    publish(&text, "hello");
    link.wait_for("a message", |seen| seen.messages.len() == 1);
    assert_eq!(link.seen().messages[0].publisher, text.id());
}

#[test]
fn a_topic_whose_publisher_comes_back_with_another_type_is_offered_anew() {
    let _turn = take_turns();
    let (_bridge, link) =
        bridge(&config(&["m"], &[("topics.m.name", "/routes/changing")]), &[], mirror);
    let others = node("others", &[]);
    let type_name = |seen: &fake_link::Seen| {
        seen.routes.get(&RouteId(0)).map(|route| route.offer.type_name.to_string())
    };
    for name in ["std_msgs/msg/String", "std_msgs/msg/Int32", "std_msgs/msg/String"] {
        let _publisher = Publisher::new(&others, &load(name), "/routes/changing", RELIABLE)
            .expect("a publisher");
        link.wait_for(name, |seen| type_name(seen).as_deref() == Some(name));
    }
}

#[test]
fn a_topic_that_has_to_wait_holds_up_no_other() {
    let _turn = take_turns();
    let parameters = [("topics.busy.name", "/routes/busy"), ("topics.calm.name", "/routes/calm")];
    let (_bridge, link) = bridge(&config(&["busy", "calm"], &parameters), &["rover_b"], mirror);
    let others = node("others", &[]);
    let mut receiver = Receiver::new(&others, "/rover_b/routes/calm", RELIABLE);
    let busy = publisher(&others, "/routes/busy", RELIABLE);
    let calm = publisher(&others, "/routes/calm", RELIABLE);
    meet(&calm, &mut receiver);
    link.seen().messages.clear();
    fake_link::meet(&busy, &link);
    for _ in 0..5000 {
        publish(&busy, "backlog");
    }
    link.wait_for("the backlog", |seen| seen.messages.len() >= 5000);
    publish(&calm, "hello");
    // The backlog takes 5 s.
    let sample = receiver.within(Duration::from_secs(1)).expect("not behind the backlog");
    assert_eq!(text(&sample.data), "hello");
}

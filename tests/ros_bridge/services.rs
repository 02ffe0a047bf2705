//! Which services of peers can be called here, and who may call ours.

use rover_link::config::{Priority, TypeName};
use rover_link::link::{CallTerms, Event, RefusalReason, RouteId, RouteKind, RouteOffer};
use rover_link::ros::rcl::{ServiceClient, ServiceServer, ServiceTypeSupport};

use crate::fake_link::PATIENCE;
use crate::graph::*;
use crate::messages::{bridge, bridge_of, config, config_with};

const TERMS: CallTerms = CallTerms { timeout: PATIENCE, priority: Priority::High };

fn trigger() -> ServiceTypeSupport {
    load_service("std_srvs/srv/Trigger")
}

fn load_service(name: &str) -> ServiceTypeSupport {
    ServiceTypeSupport::load(&TypeName::parse(name).expect("a type name"))
        .expect("an installed type")
}

fn offer(name: &str, kind: RouteKind) -> RouteOffer {
    RouteOffer {
        kind,
        topic: name.to_owned(),
        type_name: trigger().name().clone(),
        type_hash: trigger().hash().to_owned(),
        delivery: rover_link::config::Delivery::Reliable,
        qos: RELIABLE,
    }
}

fn offered(id: u16, offer: RouteOffer) -> Event {
    Event::RouteOffered { peer: "rover_b".to_owned(), id: RouteId(id), offer: Box::new(offer) }
}

fn nothing(_: &str, _: &RouteOffer) -> Option<RouteOffer> {
    None
}

#[test]
fn a_service_that_does_not_fit_is_refused_with_a_reason_and_reported() {
    let _turn = take_turns();
    let (ours, others) = (node("rover_link", &[]), node("others", &[]));
    let (service, trigger) = (RouteKind::Service(TERMS), trigger());
    let _own = ServiceServer::new(&others, &trigger, "/rover_b/own").expect("a server");
    wait_for_graph(&ours, "a server of its own", |node| {
        node.count_servers("/rover_b/own") == Ok(1)
    });
    let (bridge, link) = bridge_of(ours, &config(&[], &[]), &[], nothing);
    let unknown = TypeName::parse("no_such_srvs/srv/Thing").expect("a type name");
    let message = TypeName::parse("std_msgs/msg/String").expect("a type name");
    let cases = [
        (offer("/elsewhere", service), RefusalReason::NotAccepted, "/elsewhere"),
        (offer("/rover_c/reset", service), RefusalReason::NotAccepted, "/rover_c/reset"),
        (offer("/rover_b/own", service), RefusalReason::Failed, "a server of its own"),
        (
            RouteOffer { type_name: unknown, ..offer("/rover_b/thing", service) },
            RefusalReason::TypeUnknown,
            "no_such_srvs",
        ),
        (
            RouteOffer { type_name: message, ..offer("/rover_b/text", service) },
            RefusalReason::TypeUnknown,
            "std_msgs",
        ),
        (
            RouteOffer { type_hash: "RIHS01_0".to_owned(), ..offer("/rover_b/bool", service) },
            RefusalReason::TypeMismatch,
            trigger.hash(),
        ),
        (
            offer("/rover_a/reset", RouteKind::Call),
            RefusalReason::NotAccepted,
            "no service /rover_a/reset of this type is offered to rover_b",
        ),
    ];
    let count = cases.len();
    for (id, (offer, ..)) in cases.iter().enumerate() {
        link.event(offered(id as u16, offer.clone()));
    }
    link.wait_for("all refusals", |seen| seen.refusals.len() == count);
    for ((_, reason, words), (_, _, refusal)) in cases.iter().zip(&link.seen().refusals) {
        assert_eq!(refusal.reason, *reason, "{}", refusal.text);
        assert!(refusal.text.contains(words), "{}", refusal.text);
    }
    let report = bridge.report().lock().clone();
    assert_eq!(report.incoming.len(), count);
    assert!(report.incoming.values().all(|service| !service.remark.is_empty()));
    assert!(link.seen().routes.is_empty(), "nobody is called");
}

#[test]
fn a_service_of_a_peer_is_served_here_until_it_is_closed_or_the_peer_takes_no_calls() {
    let _turn = take_turns();
    let (_bridge, link) = bridge(&config(&[], &[]), &[], nothing);
    let others = node("others", &[]);
    let client = ServiceClient::new(&others, &trigger(), "/rover_b/reset").expect("a client");
    let wait = |what, expected| {
        wait_for_graph(&others, what, |_| client.is_served() == Ok(expected));
    };
    link.event(offered(5, offer("/rover_b/reset", RouteKind::Service(TERMS))));
    link.wait_for("the route of requests", |seen| seen.routes.len() == 1);
    wait("the service is there", true);
    let (call_id, route) = {
        let seen = link.seen();
        let (id, route) = seen.routes.iter().next().expect("the route of requests");
        (*id, route.clone())
    };
    assert_eq!((route.offer.kind, route.offer.topic.as_str()), (RouteKind::Call, "/rover_b/reset"));
    assert_eq!((route.lifespan, route.priority), (TERMS.timeout, TERMS.priority));
    assert!(route.peers.admits("rover_b") && !route.peers.admits("rover_c"));

    link.event(Event::RouteClosed { peer: "rover_b".to_owned(), id: RouteId(5) });
    wait("the service is gone", false);
    link.wait_for("no more calls", |seen| seen.routes.is_empty());

    link.event(offered(6, offer("/rover_b/reset", RouteKind::Service(TERMS))));
    link.wait_for("the same number", |seen| seen.routes.contains_key(&call_id));
    wait("the service is back", true);
    let refusal = rover_link::link::Refusal {
        reason: RefusalReason::NotAccepted,
        text: "not you".to_owned(),
    };
    link.event(Event::RouteRefused { peer: "rover_b".to_owned(), id: call_id, refusal });
    wait("the service is gone again", false);
}

#[test]
fn a_service_is_offered_while_there_is_a_server_and_who_calls_it_by_another_type_is_refused() {
    let _turn = take_turns();
    let parameters = [("services.reset.name", "/services/reset")];
    let config = config_with("service_ids", &["reset"], &parameters);
    let (_bridge, link) = bridge(&config, &[], nothing);
    let others = node("others", &[]);
    let server = ServiceServer::new(&others, &trigger(), "/services/reset").expect("a server");
    link.wait_for("the offer", |seen| seen.routes.len() == 1);
    let route = link.seen().routes.values().next().expect("an offer").clone();
    assert_eq!(route.offer.topic, "/rover_a/services/reset");
    assert_eq!(route.offer.type_hash, trigger().hash());
    assert!(matches!(route.offer.kind, RouteKind::Service(terms) if terms.timeout.as_secs() == 60));

    let call = offer("/rover_a/services/reset", RouteKind::Call);
    link.event(offered(1, call.clone()));
    link.wait_for("the caller is let in", |seen| seen.accepted.len() == 1);
    link.event(offered(2, RouteOffer { type_hash: "RIHS01_0".to_owned(), ..call.clone() }));
    let stranger =
        Event::RouteOffered { peer: "rover_d".to_owned(), id: RouteId(1), offer: Box::new(call) };
    link.event(stranger);
    link.wait_for("the others are not", |seen| seen.refusals.len() == 2);
    drop(server);
    link.wait_for("no offer", |seen| seen.routes.is_empty());
}

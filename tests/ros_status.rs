//! What the node shows of itself, as another node of the same graph sees it.
#![cfg(feature = "ros")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use futures::{Stream, StreamExt};
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::rcl_interfaces::msg::{Log, Parameter, ParameterValue};
use r2r::rcl_interfaces::srv::{GetParameters, SetParameters};
use r2r::rover_link::msg::{HandoverEvent, LinkQuality, PathQuality, TopicStatistics};
use r2r::{Node, QosProfile};
use rover_link::config::{Config, InterfaceKind, Overrides, Parameters, Settings, Sources, Value};
use rover_link::link::{
    CandidateKind, Counts, Handover, HandoverPath, HandoverPhase, HandoverReason, PathSnapshot,
    PathState, PeerSnapshot, PeerState, RefusalReason, RouteDirection, RouteId, RouteSnapshot,
    SignalingState, Snapshot,
};
use rover_link::ros::logging;
use rover_link::ros::params::{self, Start};
use rover_link::ros::report::{BridgeReport, TopicReport};
use rover_link::ros::status::StatusPublisher;

/// Longest wait for anything to arrive; discovery takes most of it on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The node and an observer, in a namespace that no other process uses.
struct Graph {
    node: Node,
    observer: Node,
    namespace: String,
    pool: LocalPool,
}

impl Graph {
    fn new(test: &str) -> Self {
        let namespace = format!("/{test}_{}", std::process::id());
        let context = r2r::Context::create().expect("a ROS context");
        let create = |name| Node::create(context.clone(), name, &namespace).expect("a node");
        let (node, observer) = (create("rover_link"), create("observer"));
        Self { node, observer, namespace, pool: LocalPool::new() }
    }

    fn subscribe<T>(
        &mut self,
        topic: &str,
        qos: QosProfile,
    ) -> impl Stream<Item = T> + Unpin + use<T>
    where
        T: r2r::WrappedTypesupport + 'static,
    {
        self.observer.subscribe(topic, qos).expect("a subscription")
    }

    /// Runs both nodes until the future has its value; `turn` is called again and again meanwhile.
    fn run<T>(&mut self, future: impl Future<Output = T>, mut turn: impl FnMut(&mut Node)) -> T {
        let started = Instant::now();
        let mut future = Box::pin(future);
        loop {
            turn(&mut self.node);
            self.node.spin_once(Duration::from_millis(10));
            self.observer.spin_once(Duration::from_millis(10));
            self.pool.run_until_stalled();
            if let Some(value) = futures::FutureExt::now_or_never(&mut future) {
                return value;
            }
            assert!(started.elapsed() < LIMIT, "nothing arrived within {LIMIT:?}");
        }
    }
}

/// The first item that `is_it` holds for.
async fn first<T>(mut stream: impl Stream<Item = T> + Unpin, is_it: impl Fn(&T) -> bool) -> T {
    loop {
        let item = stream.next().await.expect("an endless stream");
        if is_it(&item) {
            return item;
        }
    }
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn parameters() -> Parameters {
    let texts = |texts: &[&str]| Value::StringList(texts.iter().map(|&t| t.to_owned()).collect());
    Parameters::from([
        ("rover_id".to_owned(), text("rover_a")),
        ("identity_file".to_owned(), text("identity.pem")),
        ("peers".to_owned(), texts(&["rover_b", "rover_c"])),
        ("topic_ids".to_owned(), texts(&["odom"])),
        ("topics.odom.name".to_owned(), text("odom")),
        ("link_quality.publish_rate".to_owned(), Value::Double(20.0)),
    ])
}

fn config() -> Config {
    Config::from_parameters(&parameters(), &Sources::default()).expect("a good configuration")
}

/// A peer with one path and one route, whose counters grow with `seconds`.
fn snapshot(seconds: f64) -> Snapshot {
    let bytes = (seconds * 1000.0) as u64;
    let path = PathSnapshot {
        id: 1,
        interface: "eth0.100".to_owned(),
        interface_kind: InterfaceKind::Ethernet,
        state: PathState::Good,
        local_candidate: CandidateKind::Host,
        remote_candidate: CandidateKind::Host,
        local_address: ([10, 0, 0, 1], 5000).into(),
        remote_address: ([10, 0, 0, 2], 6000).into(),
        selected: true,
        round_trip_time: 0.02,
        round_trip_time_min: 0.01,
        round_trip_time_max: 0.03,
        jitter: 0.001,
        loss_ratio_sent: 0.25,
        loss_ratio_received: f64::NAN,
        signal_strength: -70.0,
        time_since_received: 0.1,
        bytes_sent: bytes,
        bytes_received: bytes,
    };
    let route = RouteSnapshot {
        id: RouteId(0),
        direction: RouteDirection::Send,
        topic: "/rover_a/odom".to_owned(),
        open: false,
        remark: "refused\0 there".to_owned(),
        refusal: Some(RefusalReason::NotAccepted),
        counts: Counts {
            messages: (seconds * 50.0) as u64,
            bytes,
            dropped_expired: 5,
            dropped_queue: 2,
            ..Counts::default()
        },
        waiting: 0,
        waiting_bytes: 0,
    };
    let peer = PeerSnapshot {
        peer: "rover_b".to_owned(),
        state: PeerState::Connected,
        authenticated: true,
        reason: String::new(),
        connected_since: Some(Instant::now()),
        time_since_received: 0.1,
        bytes_sent: bytes,
        bytes_received: bytes,
        messages_sent: 1,
        messages_received: 2,
        messages_dropped: 3,
        datagrams_sent: 10,
        datagrams_repaired: 6,
        duplicates_received: 0,
        frames_rejected: 0,
        datagrams_refused: 0,
        bytes_first: 1000,
        bytes_duplicated: 7,
        handovers: 8,
        buffered_bytes: 4,
        routes: vec![route],
        paths: vec![path],
    };
    Snapshot { signaling: SignalingState::Connected, peers: vec![peer] }
}

fn report(namespace: &str) -> BridgeReport {
    let odom = TopicReport {
        topic: format!("{namespace}/odom"),
        type_name: "nav_msgs/msg/Odometry".to_owned(),
        qos_mismatch: true,
        ..TopicReport::default()
    };
    BridgeReport { outgoing: BTreeMap::from([(RouteId(0), odom)]), ..BridgeReport::default() }
}

#[test]
fn peers_paths_and_topics_are_published_as_they_are() {
    let mut graph = Graph::new("status");
    let namespace = graph.namespace.clone();
    let name = |topic: &str| format!("{namespace}/rover_link/{topic}");
    let reliable = || QosProfile::default().reliable();
    let up = graph.subscribe::<LinkQuality>(&name("rover_b/link_quality"), reliable());
    let down = graph.subscribe::<LinkQuality>(&name("rover_c/link_quality"), reliable());
    let path = graph.subscribe::<PathQuality>(&name("rover_b/eth0_100/path_quality"), reliable());
    let topics = graph.subscribe::<TopicStatistics>(&name("topic_statistics"), reliable());
    let diagnostics = graph.subscribe::<DiagnosticArray>("/diagnostics", reliable());

    let report = report(&namespace);
    let mut status = StatusPublisher::new(&mut graph.node, &config()).expect("publishers");
    let arrivals = async move {
        futures::join!(
            first(up, |link| link.outgoing_bitrate > 0.0),
            first(down, |_| true),
            first(path, |path| path.outgoing_bitrate > 0.0),
            first(topics, |topic| topic.peer_id == "rover_b" && topic.rate > 0.0),
            first(diagnostics, |all| all.status.iter().any(|one| one.hardware_id == "rover_a")),
        )
    };
    let started = Instant::now();
    let (up, down, path, topic, diagnostics) = graph.run(arrivals, |node| {
        let snapshot = snapshot(started.elapsed().as_secs_f64());
        status.publish(node, &snapshot, &report, BTreeMap::new);
    });

    assert_eq!(up.state, LinkQuality::STATE_CONNECTED as u8);
    assert_eq!((up.interface.as_str(), up.round_trip_time), ("eth0.100", 0.02));
    assert!((1_000.0..64_000.0).contains(&up.outgoing_bitrate), "{} bit/s", up.outgoing_bitrate);
    assert!(up.loss_ratio_received.is_nan() && up.header.stamp.sec > 0);
    assert_eq!((up.loss_ratio_sent, up.datagrams_repaired, up.handovers), (0.25, 6, 8));
    assert_eq!((down.peer_id.as_str(), down.state), ("rover_c", LinkQuality::STATE_DOWN as u8));
    assert!(down.round_trip_time.is_nan());
    assert_eq!((path.interface.as_str(), path.path_count), ("eth0.100", 1));
    assert_eq!(path.interface_type, PathQuality::INTERFACE_ETHERNET as u8);
    assert_eq!((path.signal_strength, path.round_trip_time_max), (-70.0, 0.03));
    assert_eq!(topic.topic, format!("{namespace}/odom"));
    assert_eq!((topic.remote_topic.as_str(), topic.dropped_queue), ("/rover_a/odom", 2));
    assert_eq!(topic.dropped_expired, 5);
    assert_eq!(topic.remark, "refused\u{fffd} there");
    assert!(topic.qos_mismatch);
    let names: Vec<&str> = diagnostics.status.iter().map(|one| one.name.as_str()).collect();
    let peers = ["rover_link: peer rover_b", "rover_link: peer rover_c"];
    assert_eq!(names, ["rover_link: signaling", peers[0], peers[1], "rover_link: topics"]);
}

fn handover(id: u32, phase: HandoverPhase) -> Handover {
    let path = |interface: &str, host| HandoverPath {
        interface: interface.to_owned(),
        remote_address: ([10, 0, 0, host], 6000).into(),
        round_trip_time: 0.02,
        loss_ratio: 0.0,
    };
    Handover {
        id,
        peer: "rover_b".to_owned(),
        phase,
        reason: HandoverReason::InterfaceDown,
        reason_text: "eth0 has no carrier".to_owned(),
        from: Some(path("eth0", 2)),
        to: Some(path("wlan0", 3)),
        make_before_break: false,
        ice_restart: false,
        session_preserved: true,
        detection_duration: 0.002,
        switch_duration: 0.04,
        outage_duration: 0.05,
        messages_lost: 0,
        datagrams_repeated: 3,
    }
}

#[test]
fn handovers_are_told_to_late_joiners_too_with_the_time_they_happened() {
    let mut graph = Graph::new("handover");
    let mut status = StatusPublisher::new(&mut graph.node, &config()).expect("publishers");
    let ago = Duration::from_secs(100);
    let at = Instant::now().checked_sub(ago).expect("a machine that has run for long enough");
    let phases = [HandoverPhase::Started, HandoverPhase::Completed];
    status.publish_handovers((1..=15).flat_map(|id| phases.map(|phase| (at, handover(id, phase)))));

    let name = format!("{}/rover_link/handover_event", graph.namespace);
    let qos = QosProfile::default().reliable().transient_local().keep_last(100);
    let events = graph.subscribe::<HandoverEvent>(&name, qos);
    let diagnostics = graph.subscribe("/diagnostics", QosProfile::default().reliable());
    let is_told = |all: &DiagnosticArray| {
        let mut values = all.status.iter().flat_map(|one| &one.values);
        values.any(|value| value.key == "last_handover_to" && value.value == "wlan0")
    };
    let arrivals = async {
        let events: Vec<HandoverEvent> = events.take(20).collect().await;
        first(diagnostics, is_told).await;
        events
    };
    let events = graph.run(arrivals, |node| {
        status.publish(node, &snapshot(0.0), &BridgeReport::default(), BTreeMap::new);
    });

    let ids: Vec<u32> = events.iter().map(|event| event.handover_id).collect();
    assert_eq!(ids, (6..=15).flat_map(|id| [id, id]).collect::<Vec<_>>(), "the last twenty");
    let event = &events[19];
    assert_eq!(event.phase, HandoverEvent::PHASE_COMPLETED as u8);
    assert_eq!(event.reason, HandoverEvent::REASON_INTERFACE_DOWN as u8);
    assert_eq!((event.from_interface.as_str(), event.to_interface.as_str()), ("eth0", "wlan0"));
    assert_eq!(event.to_remote_address, "10.0.0.3:6000");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let stamp = Duration::new(u64::try_from(event.header.stamp.sec).expect("a time"), 0);
    let age = now - stamp;
    assert!(age >= ago && age < ago + 2 * LIMIT, "{age:?}");
}

#[test]
fn the_log_reaches_rosout_under_the_name_of_the_node() {
    let mut graph = Graph::new("rosout");
    logging::start(["node".to_owned()]);
    let text = format!("logged before the node was ready, pid={}", std::process::id());
    log::info!(target: "rover_link", "{text}\0");
    let qos = QosProfile::default().reliable().transient_local().keep_last(1000);
    let records = graph.subscribe::<Log>("/rosout", qos);
    let rosout = logging::Rosout::new(&mut graph.node).expect("a publisher");
    let record = graph.run(first(records, |record| record.msg.starts_with(&text)), |_| {
        rosout.publish();
    });
    assert_eq!(record.level, Log::INFO as u8);
    assert_eq!(record.name, format!("{}.rover_link", &graph.namespace[1..]));
    assert_eq!(record.file, file!());
}

#[test]
fn parameters_show_what_is_in_force_and_those_of_the_start_cannot_be_set() {
    let mut graph = Graph::new("params");
    let settings = Settings::new(parameters(), Sources::default()).expect("nothing wrong");
    let node = format!("{}/rover_link", graph.namespace);
    let start = Start { arguments: Vec::new(), node, overrides: Overrides::default() };
    let (served, _) = params::serve(&mut graph.node, settings, start, Box::new(|_| Ok(())))
        .expect("the services");
    graph.pool.spawner().spawn_local(served).expect("a running pool");
    let service = |name: &str| format!("{}/rover_link/{name}", graph.namespace);
    let get = graph
        .observer
        .create_client::<GetParameters::Service>(&service("get_parameters"), QosProfile::default())
        .expect("a client");
    let set = graph
        .observer
        .create_client::<SetParameters::Service>(&service("set_parameters"), QosProfile::default())
        .expect("a client");
    let reachable =
        [Node::is_available(&get), Node::is_available(&set)].map(|r| r.expect("a graph"));
    for available in reachable {
        graph.run(available, |_| {}).expect("a service");
    }

    let names = ["fleet", "peers", "topics.odom.qos.depth"].map(str::to_owned).to_vec();
    let values = get.request(&GetParameters::Request { names }).expect("a request");
    let values = graph.run(values, |_| {}).expect("a response").values;
    assert_eq!(values[0].string_value, "default");
    assert_eq!(values[1].string_array_value, ["rover_b", "rover_c"]);
    assert_eq!(values[2].string_value, "auto");

    let value =
        ParameterValue { type_: 4, string_value: "north".to_owned(), ..ParameterValue::default() };
    let parameters = vec![Parameter { name: "fleet".to_owned(), value }];
    let results = set.request(&SetParameters::Request { parameters }).expect("a request");
    let results = graph.run(results, |_| {}).expect("a response").results;
    assert!(!results[0].successful);
    assert!(results[0].reason.contains("start the node again"), "{}", results[0].reason);
}

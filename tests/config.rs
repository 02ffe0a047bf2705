//! Parameter files as people write them: what ships with the package, and each way to be wrong.
//!
//! A wrong file in `tests/config/` begins with the errors that it must give, one comment
//! `# error:LINE: KEY: TEXT` each (no line for what is not there); no other error may be reported.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rover_link::config::{
    Compression, Config, ConfigError, Delivery, Direction, Duplicate, Durability, HandoverSettings,
    InterfaceKind, Overrides, Parameters, PeerFilter, Priority, Sources, Value, description, known,
    known_parameters,
};
use serde_yaml_ng::Value as Yaml;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn sources(file: &Path) -> Sources {
    let args = ["node", "--ros-args", "--params-file", &file.display().to_string()];
    Sources::new(args.map(str::to_owned), |name| (name == "HOME").then(|| "/home/user".into()))
}

/// The parameters of a file, flattened as ROS does it.
fn parameters(file: &Path) -> Parameters {
    let text = std::fs::read_to_string(file).expect("a readable file");
    let yaml: Yaml = serde_yaml_ng::from_str(&text).expect("YAML");
    let mut flat = Parameters::new();
    flatten("", &yaml["/**"]["ros__parameters"], &mut flat);
    flat
}

fn flatten(prefix: &str, yaml: &Yaml, flat: &mut Parameters) {
    let Yaml::Mapping(mapping) = yaml else {
        flat.insert(prefix.to_owned(), value(yaml));
        return;
    };
    for (key, inner) in mapping {
        let key = key.as_str().expect("a text as key");
        let joined = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        flatten(&joined, inner, flat);
    }
}

fn value(yaml: &Yaml) -> Value {
    fn all<T>(list: &[Yaml], item: impl Fn(&Yaml) -> Option<T>) -> Option<Vec<T>> {
        list.iter().map(item).collect()
    }
    let scalar = |yaml: &Yaml| {
        let text = || yaml.as_str().map(|text| Value::String(text.to_owned()));
        let integer = || yaml.as_i64().map(Value::Integer);
        let double = || yaml.as_f64().map(Value::Double);
        yaml.as_bool().map(Value::Bool).or_else(text).or_else(integer).or_else(double)
    };
    match yaml.as_sequence() {
        None => scalar(yaml),
        Some(list) if list.is_empty() => Some(Value::Unset),
        Some(list) => all(list, |item| item.as_str().map(str::to_owned))
            .map(Value::StringList)
            .or_else(|| all(list, Yaml::as_bool).map(Value::BoolList))
            .or_else(|| all(list, Yaml::as_i64).map(Value::IntegerList))
            .or_else(|| all(list, Yaml::as_f64).map(Value::DoubleList)),
    }
    .expect("a value that ROS has")
}

fn read(name: &str) -> Result<Config, ConfigError> {
    let file = file(name);
    Config::from_parameters(&parameters(&file), &sources(&file))
}

/// Parameters with nothing but what has no default.
fn least() -> Parameters {
    let text = |text: &str| Value::String(text.to_owned());
    let ids = |id: &str| Value::StringList(vec![id.to_owned()]);
    Parameters::from([
        ("rover_id".to_owned(), text("rover")),
        ("topic_ids".to_owned(), ids("odom")),
        ("topics.odom.name".to_owned(), text("odom")),
        ("service_ids".to_owned(), ids("get_map")),
        ("services.get_map.name".to_owned(), text("get_map")),
        ("action_ids".to_owned(), ids("navigate")),
        ("actions.navigate.name".to_owned(), text("navigate_to_pose")),
    ])
}

#[test]
fn each_wrong_file_gives_the_errors_it_names_and_no_others() {
    let mut files = 0;
    for entry in std::fs::read_dir(file("tests/config")).expect("the folder of wrong files") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let expected: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# error"))
            .map(|error| format!("{}{error}", path.display()))
            .collect();
        assert!(!expected.is_empty(), "{} names no error", path.display());
        let error = Config::from_parameters(&parameters(&path), &sources(&path))
            .expect_err(&path.display().to_string());
        let found: BTreeSet<String> = error.problems.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
        assert_eq!(error.to_string().lines().count(), error.problems.len());
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn rover_yaml_holds_every_parameter_and_every_value_is_the_default() {
    let path = file("config/rover.yaml");
    let (written, sources) = (parameters(&path), sources(&path));
    let known = known_parameters(&least(), &sources).expect("nothing wrong");
    let keys = |parameters: &Parameters| parameters.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&written), keys(&known));
    assert_eq!(
        Config::from_parameters(&written, &sources),
        Config::from_parameters(&least(), &sources)
    );
}

#[test]
fn the_demo_rovers_are_peers_and_share_their_topics() {
    let [a, b] = ["a", "b"]
        .map(|rover| read(&format!("config/demo_rover_{rover}.yaml")).expect("nothing wrong"));
    assert!(a.peers.admits(&b.rover_id) && b.peers.admits(&a.rover_id));
    assert!(a.interfaces.filter.allows("lo") && b.interfaces.filter.allows("lo"));
    let sent: Vec<&str> = a
        .topics
        .iter()
        .filter(|topic| topic.direction == Direction::Send)
        .filter_map(|topic| topic.remote_name.as_deref())
        .collect();
    assert_eq!(
        sent,
        ["/rover_a/odom", "/rover_a/scan", "/rover_a/camera/image_raw", "/rover_a/map"]
    );
    for name in sent {
        assert!(b.accept.iter().any(|glob| glob.matches(&a.rover_id, name)), "{name}");
    }
    assert_eq!(a.topics[3].qos.durability, Some(Durability::TransientLocal));
    for chat in [&a.topics[4], &b.topics[0]] {
        assert_eq!((chat.name.as_str(), chat.direction), ("/chat", Direction::Both));
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let values = Parameters::from([("rover_id".to_owned(), Value::String("rover_a".to_owned()))]);
    let sources = Sources::new([], |name| (name == "ROS_HOME").then(|| "/var/ros".into()));
    let config = Config::from_parameters(&values, &sources).expect("nothing wrong");
    assert_eq!(config.fleet, "default");
    assert_eq!(config.signaling_url, "ws://127.0.0.1:3001");
    assert_eq!(config.identity_file, Path::new("/var/ros/rover_link/rover_a.pem"));
    assert_eq!(config.peers, PeerFilter::Only(Vec::new()));
    assert!(config.accept[0].matches("rover_b", "/rover_b/odom"));
    assert!(config.topics.is_empty() && config.services.is_empty());
    assert!(config.peer_fingerprints.is_empty());
    assert_eq!(config.link_quality_publish_rate, 2.0);
    assert_eq!(config.handover, HandoverSettings::default());
    let interfaces = &config.interfaces;
    assert!(interfaces.kinds.is_empty() && interfaces.preference.is_empty());
    assert_eq!(interfaces.metered, [InterfaceKind::Cellular, InterfaceKind::Satellite]);
}

#[test]
fn duplication_can_be_off_without_quotes() {
    let mut values = least();
    // What ROS makes of it.
    values.insert("handover.duplicate".to_owned(), Value::Bool(false));
    let sources = sources(&file("config/rover.yaml"));
    let config = Config::from_parameters(&values, &sources).expect("nothing wrong");
    assert_eq!(config.handover.duplicate, Duplicate::Off);
    let known = known_parameters(&values, &sources).expect("nothing wrong");
    assert_eq!(known["handover.duplicate"], Value::String("off".to_owned()));
}

#[test]
fn a_full_file_is_read_as_it_is_written() {
    let mut values = least();
    let fingerprint = format!("sha-256 {}", ["0f"; 32].join(":"));
    let texts = |texts: &[&str]| Value::StringList(texts.iter().map(|&t| t.to_owned()).collect());
    let text = |text: &str| Value::String(text.to_owned());
    for (key, value) in [
        ("peers", texts(&["rover_b", "rover_c"])),
        ("peer_fingerprints.rover_b", text(&fingerprint)),
        ("accept", Value::Unset),
        ("identity_file", text("~/keys/rover.pem")),
        ("link_quality.publish_rate", Value::Integer(5)),
        ("topics.odom.direction", text("both")),
        ("topics.odom.remote_name", text("/fleet/{peer}/odom")),
        ("topics.odom.type", text("nav_msgs/msg/Odometry")),
        ("topics.odom.peers", texts(&["rover_c"])),
        ("topics.odom.delivery", text("latest")),
        ("topics.odom.priority", text("critical")),
        ("topics.odom.lifespan", Value::Double(0.2)),
        ("topics.odom.max_rate", Value::Double(20.0)),
        ("topics.odom.interfaces", texts(&["wifi", "ethernet"])),
        ("topics.odom.compression", text("zstd")),
        ("topics.odom.max_message_size", Value::Integer(1000)),
        ("topics.odom.queue_messages", Value::Integer(7)),
        ("topics.odom.queue_bytes", Value::Integer(9000)),
        ("topics.odom.qos.depth", Value::Integer(3)),
        ("interfaces.kind_ids", texts(&["cellular", "vpn"])),
        ("interfaces.kinds.cellular", texts(&["usb*", "eth1"])),
        ("interfaces.kinds.vpn", Value::Unset),
        ("interfaces.preference", texts(&["ethernet", "cellular"])),
        ("interfaces.metered", texts(&["satellite"])),
        ("handover.duplicate", text("always")),
        ("handover.suspect_silence", Value::Double(0.05)),
        ("handover.dead_silence", Value::Integer(1)),
        ("handover.max_loss_ratio", Value::Double(0.1)),
        ("handover.min_dwell", Value::Integer(5)),
        ("use_sim_time", Value::Bool(true)),
        ("qos_overrides./parameter_events.publisher.depth", Value::Integer(10)),
    ] {
        values.insert(key.to_owned(), value);
    }
    let config = Config::from_parameters(&values, &sources(&file("config/rover.yaml")))
        .expect("nothing wrong");
    assert!(config.accept.is_empty());
    assert_eq!(config.identity_file, Path::new("/home/user/keys/rover.pem"));
    assert_eq!(
        config.peer_fingerprints["rover_b"],
        fingerprint.to_uppercase().replace("SHA", "sha")
    );
    assert_eq!(config.link_quality_publish_rate, 5.0);
    assert_eq!(
        config.handover,
        HandoverSettings {
            duplicate: Duplicate::Always,
            suspect_silence: Duration::from_millis(50),
            dead_silence: Duration::from_secs(1),
            max_loss_ratio: 0.1,
            min_dwell: Duration::from_secs(5),
        }
    );
    let interfaces = &config.interfaces;
    assert_eq!(interfaces.kind_of("usb0"), Some(InterfaceKind::Cellular));
    assert_eq!(interfaces.kinds[1], (InterfaceKind::Vpn, Vec::new()));
    assert_eq!(interfaces.preference, [InterfaceKind::Ethernet, InterfaceKind::Cellular]);
    assert_eq!(interfaces.metered, [InterfaceKind::Satellite]);
    let topic = &config.topics[0];
    assert_eq!(topic.direction, Direction::Both);
    assert_eq!(topic.remote_name.as_deref(), Some("/fleet/rover/odom"));
    assert_eq!(
        topic.type_name.as_ref().map(ToString::to_string).as_deref(),
        Some("nav_msgs/msg/Odometry")
    );
    assert!(topic.peers.admits("rover_c") && !topic.peers.admits("rover_b"));
    assert_eq!(topic.delivery, Some(Delivery::Latest));
    assert_eq!((topic.priority, topic.lifespan), (Priority::Critical, Duration::from_millis(200)));
    assert_eq!(topic.min_period, Duration::from_millis(50));
    assert_eq!(topic.interfaces, [InterfaceKind::Wifi, InterfaceKind::Ethernet]);
    assert_eq!(topic.compression, Compression::Zstd);
    assert_eq!((topic.max_message_size, topic.queue.messages, topic.queue.bytes), (1000, 7, 9000));
    assert_eq!(topic.qos.depth, Some(3));
}

#[test]
fn the_name_at_the_receiver_follows_the_name_as_it_is_written() {
    let remote_name = |name: &str, direction: &str| {
        let mut values = least();
        values.insert("topics.odom.name".to_owned(), Value::String(name.to_owned()));
        values.insert("topics.odom.direction".to_owned(), Value::String(direction.to_owned()));
        let config = Config::from_parameters(&values, &sources(&file("config/rover.yaml")));
        config.expect("nothing wrong").topics[0].remote_name.clone()
    };
    assert_eq!(remote_name("camera/image", "send").as_deref(), Some("/rover/camera/image"));
    assert_eq!(remote_name("/camera/image", "send").as_deref(), Some("/rover/camera/image"));
    assert_eq!(remote_name("~/image", "send").as_deref(), Some("/rover/image"));
    assert_eq!(remote_name("odom", "both"), None);
    assert_eq!(remote_name("odom", "receive"), None);
}

#[test]
fn a_pattern_leaves_the_matched_name_open_in_the_name_at_the_receiver() {
    let remote_name = |direction: &str, remote: Option<&str>| {
        let mut values = least();
        let text = |text: &str| Value::String(text.to_owned());
        values.insert("topics.odom.name".to_owned(), text("sensors/**"));
        values.insert("topics.odom.direction".to_owned(), text(direction));
        if let Some(remote) = remote {
            values.insert("topics.odom.remote_name".to_owned(), text(remote));
        }
        let config = Config::from_parameters(&values, &sources(&file("config/rover.yaml")));
        let topic = config.expect("nothing wrong").topics.remove(0);
        topic.remote_name_of("/ns/sensors/imu").expect("not too long")
    };
    assert_eq!(remote_name("send", None), "/rover/ns/sensors/imu");
    assert_eq!(remote_name("both", None), "/ns/sensors/imu");
    assert_eq!(remote_name("both", Some("/fleet/{name}")), "/fleet/ns/sensors/imu");
    assert_eq!(remote_name("send", Some("/{peer}/x_{name}_y")), "/rover/x_ns/sensors/imu_y");
    let mut topic = read("config/rover.yaml").expect("nothing wrong").topics.remove(0);
    topic.remote_name = Some("/rover/{name}".to_owned());
    assert_eq!(topic.remote_name_of(&format!("/{}", "a".repeat(246))), None);
}

#[test]
fn two_patterns_may_have_the_same_remote_name() {
    let mut values = least();
    let text = |text: &str| Value::String(text.to_owned());
    let ids = ["odom", "all"].map(str::to_owned).to_vec();
    values.insert("topic_ids".to_owned(), Value::StringList(ids));
    values.insert("topics.odom.name".to_owned(), text("/odom*"));
    values.insert("topics.all.name".to_owned(), text("/**"));
    assert!(Config::from_parameters(&values, &sources(&file("config/rover.yaml"))).is_ok());
}

#[test]
fn every_parameter_is_described() {
    let path = file("config/rover.yaml");
    let known = known(&parameters(&path), &sources(&path)).expect("nothing wrong");
    for key in known.keys() {
        let text = description(key);
        assert!(text.len() >= 10 && !text.contains('#'), "{key}: {text:?}");
    }
}

#[test]
fn the_command_line_wins_over_files_and_is_named_in_errors() {
    let path = file("config/rover.yaml");
    let with = |rover_id: Option<&str>| {
        let (mut values, mut sources) = (parameters(&path), sources(&path));
        let overrides =
            Overrides { rover_id: rover_id.map(str::to_owned), signaling_url: Some(String::new()) };
        overrides.apply(&mut values, &mut sources);
        Config::from_parameters(&values, &sources)
    };
    assert_eq!(with(Some("rover_7")).expect("nothing wrong").rover_id, "rover_7");
    assert_eq!(with(None).expect("nothing wrong").rover_id, "rover");
    assert_eq!(with(Some("")).expect("nothing wrong").rover_id, "rover");
    let error = with(Some("Rover 7")).expect_err("an illegal id").to_string();
    assert!(
        error.starts_with("command line, --rover-id: rover_id: `Rover 7` is no id;"),
        "{error}"
    );
}

#[test]
fn a_missing_rover_id_is_reported_with_the_files_that_could_hold_it() {
    let nowhere = Config::from_parameters(&Parameters::new(), &Sources::default());
    let error = nowhere.expect_err("no rover_id").to_string();
    assert!(
        error.contains("no --params-file given: rover_id: is missing; set it in a parameter file"),
        "{error}"
    );
}

#[test]
fn more_topics_than_a_session_carries_are_refused() {
    let mut values = least();
    values.retain(|key, _| key == "rover_id");
    let ids: Vec<String> = (0..2049).map(|i| format!("topic_{i}")).collect();
    for id in &ids {
        values.insert(format!("topics.{id}.name"), Value::String(id.clone()));
    }
    values.insert("topic_ids".to_owned(), Value::StringList(ids));
    let error = Config::from_parameters(&values, &sources(&file("config/rover.yaml")))
        .expect_err("too many topics");
    assert_eq!(error.problems.len(), 1, "{error}");
    assert!(
        error.to_string().contains("topic_ids: brings the routes to 2049, and at most 2048"),
        "{error}"
    );
}

#[test]
fn services_and_actions_count_as_routes_too() {
    let mut values = Parameters::from([("rover_id".to_owned(), Value::String("a".to_owned()))]);
    let lists = [("topic", "topics", 2000), ("service", "services", 40), ("action", "actions", 2)];
    for (noun, block, count) in lists {
        let ids: Vec<String> = (0..count).map(|i| format!("{noun}_{i}")).collect();
        for id in &ids {
            values.insert(format!("{block}.{id}.name"), Value::String(id.clone()));
        }
        values.insert(format!("{noun}_ids"), Value::StringList(ids));
    }
    let error = Config::from_parameters(&values, &sources(&file("config/rover.yaml")));
    let error = error.expect_err("too many routes").to_string();
    assert!(error.contains("action_ids: brings the routes to 2050, and at most 2048"), "{error}");
    values.insert("action_ids".to_owned(), Value::StringList(vec!["action_0".to_owned()]));
    values.remove("actions.action_1.name");
    let config = Config::from_parameters(&values, &sources(&file("config/rover.yaml")));
    let config = config.expect("as many as there may be");
    assert_eq!((config.topics.len(), config.services.len()), (2002, 43));
}

#[test]
fn a_service_is_read_as_it_is_written() {
    let mut values = least();
    let text = |text: &str| Value::String(text.to_owned());
    for (key, value) in [
        ("peers", Value::StringList(vec!["rover_b".to_owned(), "rover_c".to_owned()])),
        ("services.get_map.type", text("nav_msgs/srv/GetMap")),
        ("services.get_map.remote_name", text("/maps/{peer}")),
        ("services.get_map.peers", Value::StringList(vec!["rover_c".to_owned()])),
        ("services.get_map.priority", text("low")),
        ("services.get_map.timeout", Value::Integer(5)),
    ] {
        values.insert(key.to_owned(), value);
    }
    let sources = sources(&file("config/rover.yaml"));
    let config = Config::from_parameters(&values, &sources).expect("nothing wrong");
    let service = &config.services[0];
    assert_eq!((service.id.as_str(), service.name.as_str()), ("get_map", "get_map"));
    assert_eq!(service.key(), "services.get_map");
    let type_name = service.type_name.as_ref().map(ToString::to_string);
    assert_eq!(type_name.as_deref(), Some("nav_msgs/srv/GetMap"));
    assert_eq!(service.remote_name, "/maps/rover");
    assert!(service.peers.admits("rover_c") && !service.peers.admits("rover_b"));
    assert_eq!(service.priority, Priority::Low);
    assert_eq!(service.timeout, Duration::from_secs(5));
}

#[test]
fn an_action_is_three_services_and_two_topics() {
    let mut values = least();
    values.insert("actions.navigate.type".to_owned(), Value::String("nav/action/Go".to_owned()));
    values.insert("actions.navigate.priority".to_owned(), Value::String("critical".to_owned()));
    let sources = sources(&file("config/rover.yaml"));
    let config = Config::from_parameters(&values, &sources).expect("nothing wrong");
    let services: Vec<_> = config.services[1..]
        .iter()
        .map(|part| {
            assert_eq!(
                (part.key().as_str(), part.priority),
                ("actions.navigate", Priority::Critical)
            );
            let type_name = part.type_name.as_ref().expect("a type").to_string();
            (part.name.as_str(), part.remote_name.as_str(), type_name, part.timeout.as_secs())
        })
        .collect();
    let part =
        |name, remote, type_name: &str, timeout| (name, remote, type_name.to_owned(), timeout);
    assert_eq!(
        services,
        [
            part(
                "navigate_to_pose/_action/send_goal",
                "/rover/navigate_to_pose/_action/send_goal",
                "nav/action/Go_SendGoal",
                60
            ),
            part(
                "navigate_to_pose/_action/cancel_goal",
                "/rover/navigate_to_pose/_action/cancel_goal",
                "action_msgs/srv/CancelGoal",
                60
            ),
            part(
                "navigate_to_pose/_action/get_result",
                "/rover/navigate_to_pose/_action/get_result",
                "nav/action/Go_GetResult",
                0
            ),
        ]
    );
    let topics: Vec<_> = config.topics[1..]
        .iter()
        .map(|part| {
            assert_eq!(
                (part.key().as_str(), part.priority),
                ("actions.navigate", Priority::Critical)
            );
            (part.name.as_str(), part.remote_name.as_deref().expect("a name"))
        })
        .collect();
    assert_eq!(
        topics,
        [
            ("navigate_to_pose/_action/feedback", "/rover/navigate_to_pose/_action/feedback"),
            ("navigate_to_pose/_action/status", "/rover/navigate_to_pose/_action/status"),
        ]
    );
}

//! The simulator itself: the same seed gives the same run, and what is wrong in a file is said.

use crate::sim::policy::Policy;
use crate::sim::scenario::Scenario;
use crate::sim::world::run;

const SMALL: &str = r#"
name = "small"
duration = 3.0

[[path]]
name = "wifi"
kind = "wifi"
delay = 0.005
jitter = 0.001
loss = 0.02
rate = 6.25e6

[[path]]
name = "cell"
kind = "cellular"
delay = 0.030

[[traffic]]
name = "control"
priority = "critical"
rate = 50.0
size = 64
from = "both"

[[event]]
at = 2.0
path = "wifi"
set = { loss = 0.1 }
ramp = 0.5
"#;

#[test]
fn the_same_seed_gives_the_same_run() {
    let scenario = Scenario::parse("small.toml", SMALL).unwrap();
    for policy in Policy::ALL {
        let (first, again) = (run(&scenario, policy, 7), run(&scenario, policy, 7));
        assert!(first.setup.is_some(), "{policy:?} connects");
        assert_eq!(first.classes, again.classes, "{policy:?}");
        assert_ne!(first.classes, run(&scenario, policy, 8).classes, "{policy:?}");
    }
}

/// An event's last line, and a TCP transfer by this path.
fn transfer(path: &str, rest: &str) -> String {
    format!("ramp = 0.5\n[[tcp]]\nname = \"update\"\npath = \"{path}\"\nfrom = \"a\"\n{rest}")
}

#[test]
fn what_is_wrong_in_a_scenario_is_said_with_file_and_key() {
    for (good, bad, said) in [
        ("delay = 0.030", "dlay = 0.030", "dlay"),
        ("size = 64", "size = 64\nszie = 1", "szie"),
        ("duration = 3.0", "duration = -3.0", "duration"),
        ("duration = 3.0", "duration = 1.0", "`warm_up` leaves nothing"),
        ("set = { loss = 0.1 }", "set = { los = 0.1 }", "los"),
        ("set = { loss = 0.1 }", "", "at 2 has to have either `set` or `action`"),
        ("at = 2.0\npath = \"wifi\"", "at = 2.0\npath = \"wlan\"", "wlan"),
        ("size = 64", "size = 8", "`size` of traffic `control`"),
        ("kind = \"wifi\"", "kind = \"wlan\"", "unknown kind `wlan`"),
        ("ramp = 0.5", "ramp = 0.5\n[target.video]\nlost = 0", "[target.video]"),
        ("ramp = 0.5", "ramp = 0.5\n[target.control]\nlsot = 0", "lsot"),
        ("ramp = 0.5", "ramp = 0.5\n[target]\nswtiches = 0", "swtiches"),
        ("ramp = 0.5", &transfer("wlan", ""), "`update` names no path that exists"),
        ("ramp = 0.5", &transfer("wifi", "[target.update]\nlost = 0"), "only goodput"),
        ("delay = 0.030", "delay = 0.030\ndiscipline = \"lifo\"", "lifo"),
    ] {
        assert!(SMALL.contains(good), "{good}");
        let error = Scenario::parse("small.toml", &SMALL.replace(good, bad)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("small.toml") && text.contains(said), "{bad}: {text}");
    }
}

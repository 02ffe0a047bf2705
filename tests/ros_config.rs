//! The node with a wrong parameter file, read by ROS itself: it says all that is wrong, and ends
//! with the status for configuration errors.
#![cfg(feature = "ros")]

use std::path::Path;
use std::process::{Command, Output};

/// Exit status for a wrong configuration.
const CONFIGURATION_ERROR: i32 = 2;

fn node(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rover_link_node"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("ROVER_LINK_TOKEN")
        .env_remove("ROVER_LINK_FLEET_KEY")
        .output()
        .expect("the node runs")
}

#[test]
fn each_wrong_file_ends_the_node_with_the_errors_it_names() {
    let folder = Path::new("tests/config");
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = 0;
    for entry in std::fs::read_dir(absolute).expect("the folder of wrong files") {
        let file = folder.join(entry.expect("an entry").file_name()).display().to_string();
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file))
            .expect("a readable file");
        let output = node(&["--ros-args", "--params-file", &file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(CONFIGURATION_ERROR), "{file}: {said}");
        for error in text.lines().filter_map(|line| line.strip_prefix("# error")) {
            assert!(said.contains(&format!("{file}{error}\n")), "{file}: {error}\nnot in: {said}");
        }
        files += 1;
    }
    assert!(files > 0);
}

#[test]
fn an_option_that_is_wrong_is_named_and_one_that_is_empty_is_passed_over() {
    let file = ["--ros-args", "--params-file", "config/rover.yaml"];
    let wrong = node(&[&["--rover-id", "Rover 7", "--signaling-url", ""], &file[..]].concat());
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(CONFIGURATION_ERROR), "{said}");
    assert!(said.contains("command line, --rover-id: rover_id: `Rover 7` is no id"), "{said}");
    assert!(!said.contains("signaling_url"), "{said}");
}

#[test]
fn a_token_that_cannot_be_sent_is_refused_and_not_repeated() {
    let output = Command::new(env!("CARGO_BIN_EXE_rover_link_node"))
        .args(["--ros-args", "--params-file", "config/rover.yaml"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("ROVER_LINK_TOKEN", "hush hush")
        .output()
        .expect("the node runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(CONFIGURATION_ERROR), "{said}");
    assert!(said.contains("environment: ROVER_LINK_TOKEN: holds characters"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

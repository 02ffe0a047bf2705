//! Tests that run in a network namespace of their own: the test runs its program again there.

use std::process::{Command, Output};

/// Set in the process that runs in the namespace.
const INSIDE: &str = "ROVER_LINK_TEST_INSIDE";

/// Runs the calling test in a new network namespace, which holds nothing but a loopback interface
/// that is down. Where none can be made, says so.
pub(super) fn run_inside(test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let possible = inside("ip", &["link", "set", "lo", "up"]);
    if !possible.status.success() {
        let cause = String::from_utf8_lossy(&possible.stderr).into_owned();
        return println!("not tested, for no network namespace can be made: {cause}");
    }
    let name = std::thread::current().name().unwrap().to_owned();
    let program = std::env::current_exe().unwrap().display().to_string();
    let output = inside(&program, &[&name, "--exact", "--nocapture"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
    // What it has measured.
    println!("{said}");
}

/// Runs `ip` with these arguments, and gives what it says.
pub(super) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn inside(program: &str, arguments: &[&str]) -> Output {
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", program])
        .args(arguments)
        .env(INSIDE, "")
        .output()
        .unwrap()
}

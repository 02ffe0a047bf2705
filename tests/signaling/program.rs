//! The program `signaling_server`: arguments, start-up line, exit statuses, signals.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rover_link::signaling::client::{ClientEvent, ClientOptions, spawn};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::stage::{connect, patiently};

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signaling_server"));
    command.args(arguments).env_remove("ROVER_LINK_TOKEN").env("RUST_LOG", "info");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Runs a program that ends by itself.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).expect("text"))
}

pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Running {
    /// Starts the program and reads its start-up line.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        let address = line.strip_prefix("Server listening on ").expect(&line).trim_end();
        Self { child, url: format!("ws://{address}"), stdout }
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the program runs");
    }

    /// The exit status, and what else it wrote to standard output.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended already, as it should.
        let _ = self.child.kill();
    }
}

fn token_file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("the file is written");
    file
}

/// The first event of a client that presents `token`.
async fn first_event(url: &str, token: Option<&str>) -> ClientEvent {
    let options = ClientOptions {
        url: url.to_owned(),
        token: token.map(str::to_owned),
        fleet: String::from("default"),
        rover_id: String::from("rover_a"),
        instance: Uuid::new_v4(),
        capabilities: Vec::new(),
    };
    let (_handle, mut events) = spawn(options).expect("options that can work");
    patiently("an event", events.recv()).await.expect("a client that runs")
}

#[tokio::test]
async fn it_serves_until_a_signal_and_then_ends_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Running::start(program(&["--bind", "127.0.0.1:0"]));
        let member = connect(&server.url).await;
        let started = Instant::now();
        server.signal(signal);
        member.hear_end().await;
        assert_eq!(server.wait(), (Some(0), String::new()));
        assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn it_survives_more_connections_than_it_may_have_files() {
    let mut command = Command::new("sh");
    let script = "ulimit -n 32 && exec \"$0\" --bind 127.0.0.1:0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_signaling_server")]);
    command.env_remove("ROVER_LINK_TOKEN").stdout(Stdio::piped());
    let mut server = Running::start(command);
    let address = server.url.strip_prefix("ws://").expect("a URL").to_owned();
    let mut crowd = Vec::new();
    for _ in 0..64 {
        crowd.push(TcpStream::connect(&address).await.expect("the system accepts it"));
    }
    // Whoever comes now has to wait, but gets in when the others are gone.
    let waiting = tokio::spawn(async move { connect(&format!("ws://{address}")).await });
    drop(crowd);
    patiently("a free place", waiting).await.expect("no panic");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0, Some(0));
}

#[tokio::test]
async fn the_token_comes_from_the_file_before_the_environment() {
    let file = token_file("from_file\n");
    let path = file.path().to_str().expect("a path");
    let mut command = program(&["--bind", "127.0.0.1:0", "--token-file", path]);
    command.env("ROVER_LINK_TOKEN", "from_environment");
    let server = Running::start(command);
    let welcome = first_event(&server.url, Some("from_file")).await;
    assert!(matches!(welcome, ClientEvent::Welcome { .. }), "{welcome:?}");
    let refused = first_event(&server.url, Some("from_environment")).await;
    assert!(matches!(refused, ClientEvent::Refused { .. }), "{refused:?}");

    let mut command = program(&["--bind", "127.0.0.1:0", "--token-file", ""]);
    command.env("ROVER_LINK_TOKEN", "from_environment");
    let server = Running::start(command);
    let welcome = first_event(&server.url, Some("from_environment")).await;
    assert!(matches!(welcome, ClientEvent::Welcome { .. }), "{welcome:?}");
    let refused = first_event(&server.url, None).await;
    assert!(matches!(refused, ClientEvent::Refused { .. }), "{refused:?}");
}

#[test]
fn what_ros_passes_is_ignored() {
    let ros = ["--ros-args", "-r", "__node:=signaling", "--log-level", "info", "--"];
    let arguments = [&ros[..], &["--bind", "127.0.0.1:0"], &ros[..3]].concat();
    let mut server = Running::start(program(&arguments));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_configuration_that_cannot_work_ends_with_status_2_and_says_why() {
    let empty = token_file(" \n");
    let empty = empty.path().to_str().expect("a path");
    for (arguments, reason) in [
        (&["--bind", "0.0.0.0:0"][..], "no token is configured"),
        (&["--token-file", "/nonexistent/token"], "/nonexistent/token"),
        (&["--token-file", empty], "the token is empty"),
        (&["--turn-url", "turn:192.0.2.1"], "--turn-url needs --turn-secret-file"),
        (&["--turn-secret-file", empty], "without --turn-url"),
        (&["--turn-url", "turn:192.0.2.1", "--turn-secret-file", empty], "no TURN secret"),
        (&["--turn-url", "turns:192.0.2.1", "--turn-secret-file", empty], "turns:192.0.2.1"),
        (&["--turn-url", "stun:192.0.2.1", "--turn-secret-file", empty], "is no TURN server"),
        (&["--bind", "localhost"], "--bind"),
        (&["--bind", "127.0.0.1:99999"], "--bind"),
        (&["--colour"], "--colour"),
        (&["argument"], "argument"),
    ] {
        let (status, text) = ended(program(arguments));
        assert_eq!(status, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(reason), "{arguments:?}: {text}");
    }
    let mut command = program(&[]);
    command.env("ROVER_LINK_TOKEN", "two words");
    let (status, text) = ended(command);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("ROVER_LINK_TOKEN"), "{text}");
}

#[test]
fn an_address_that_is_taken_ends_with_status_3() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("the address").to_string();
    let (status, text) = ended(program(&["--bind", &address]));
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains(&address), "{text}");
}

#[test]
fn it_explains_itself() {
    let (status, help) = ended(program(&["--help"]));
    assert_eq!(status, Some(0));
    for word in ["--bind", "127.0.0.1:3001", "--token-file", "ROVER_LINK_TOKEN"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    let (status, version) = ended(program(&["--version"]));
    assert_eq!(
        (status, version.as_str()),
        (Some(0), concat!("signaling_server ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

//! The log: to stderr in ROS's format, at the level that `--log-level` asks for, and to `/rosout`.
//!
//! Records may come from any thread. Those for `/rosout` wait in a bounded backlog until the thread
//! that owns the node publishes them; a record that publishing itself gives rise to goes to stderr
//! only, or each would beget the next.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use r2r::QosProfile;
use r2r::builtin_interfaces::msg::Time;
use r2r::rcl_interfaces::msg;

use super::text::ros_text;

/// The node's name, with which the names of our crates (library and binary) begin.
const OWN_NAME: &str = "rover_link";

/// Most records that wait for `/rosout`: what the topic keeps for late joiners.
const BACKLOG: usize = 1000;

/// How long `/rosout` keeps a record for late joiners, as `rcl` has it.
const ROSOUT_LIFESPAN: Duration = Duration::from_secs(10);

static LOGGER: OnceLock<Logger> = OnceLock::new();

thread_local! {
    /// Is this thread publishing to `/rosout`?
    static IS_PUBLISHING: Cell<bool> = const { Cell::new(false) };
}

/// Makes this log the one of the process, at the levels that the command line asks for. Later
/// calls do nothing.
pub fn start(args: impl IntoIterator<Item = String>) {
    let logger = LOGGER.get_or_init(|| Logger {
        levels: Levels::from_args(args),
        node_name: OnceLock::new(),
        backlog: Mutex::default(),
    });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(logger.levels.own.max(logger.levels.foreign));
    }
}

/// The publisher of `/rosout`. Its node gives the log its name.
pub struct Rosout {
    publisher: r2r::Publisher<msg::Log>,
}

impl Rosout {
    /// Makes the publisher.
    ///
    /// # Errors
    /// When ROS cannot.
    pub fn new(node: &mut r2r::Node) -> r2r::Result<Self> {
        let qos = QosProfile::default()
            .reliable()
            .transient_local()
            .keep_last(BACKLOG)
            .lifespan(ROSOUT_LIFESPAN);
        let publisher = node.create_publisher("/rosout", qos)?;
        if let Some(logger) = LOGGER.get() {
            // A second node in one process would keep the first one's name.
            let _ = logger.node_name.set(node.logger().to_owned());
        }
        Ok(Self { publisher })
    }

    /// Publishes what was logged since the last call.
    pub fn publish(&self) {
        let Some(logger) = LOGGER.get() else { return };
        let (entries, dropped) = logger.backlog().drain();
        IS_PUBLISHING.set(true);
        for entry in entries {
            // r2r logs why it could not.
            let _ = self.publisher.publish(&entry.into_message(logger.node_name()));
        }
        IS_PUBLISHING.set(false);
        if dropped > 0 {
            log::warn!("log: /rosout was too slow, records are missing there dropped={dropped}");
        }
    }
}

struct Logger {
    levels: Levels,
    node_name: OnceLock<String>,
    backlog: Mutex<Backlog>,
}

impl Logger {
    fn node_name(&self) -> &str {
        self.node_name.get().map_or(OWN_NAME, String::as_str)
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.levels.of(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let entry = Entry::new(record, SystemTime::now());
        // Nobody is left to be told when stderr is closed.
        let _ = writeln!(std::io::stderr().lock(), "{}", entry.line(self.node_name()));
        if !IS_PUBLISHING.get() {
            self.backlog().push(entry);
        }
    }

    fn flush(&self) {}
}

/// What is logged: our own records, and those of the libraries beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Levels {
    own: LevelFilter,
    foreign: LevelFilter,
}

impl Levels {
    /// Reads `--log-level LEVEL` and `--log-level rover_link:=LEVEL` from ROS's arguments; other
    /// loggers are not ours, and a level that is none stops ROS itself. Libraries are heard from
    /// warnings on, unless the level for all asks for more than we say by default.
    fn from_args(args: impl IntoIterator<Item = String>) -> Self {
        let (mut all, mut own) = (LevelFilter::Info, None);
        let mut args = args.into_iter().skip_while(|arg| arg != "--ros-args");
        while let Some(arg) = args.next() {
            if arg != "--log-level" {
                continue;
            }
            let rule = args.next().unwrap_or_default();
            match rule.split_once(":=") {
                Some((logger, level)) if logger.rsplit('.').next() == Some(OWN_NAME) => {
                    own = level_filter(level).or(own);
                }
                Some(_) => {}
                None => all = level_filter(&rule).unwrap_or(all),
            }
        }
        let foreign = if all > LevelFilter::Info { all } else { all.min(LevelFilter::Warn) };
        Self { own: own.unwrap_or(all), foreign }
    }

    fn of(&self, target: &str) -> LevelFilter {
        if is_own(target) { self.own } else { self.foreign }
    }
}

/// ROS's levels; it has none below debug, and nothing of ours is fatal and goes on to say so.
fn level_filter(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "unset" | "info" => Some(LevelFilter::Info),
        "debug" => Some(LevelFilter::Debug),
        "warn" => Some(LevelFilter::Warn),
        "error" => Some(LevelFilter::Error),
        "fatal" => Some(LevelFilter::Off),
        _ => None,
    }
}

fn is_own(target: &str) -> bool {
    crate_of(target).starts_with(OWN_NAME)
}

fn crate_of(target: &str) -> &str {
    target.split("::").next().unwrap_or(target)
}

/// One record, detached from whoever logged it.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    stamp: Duration,
    level: Level,
    /// The library that it comes from, unless it is our own.
    foreign: Option<String>,
    text: String,
    file: String,
    line: u32,
}

impl Entry {
    fn new(record: &Record<'_>, now: SystemTime) -> Self {
        let target = record.target();
        Self {
            stamp: now.duration_since(UNIX_EPOCH).unwrap_or_default(),
            level: record.level(),
            foreign: (!is_own(target)).then(|| crate_of(target).to_owned()),
            text: ros_text(&record.args().to_string()),
            file: record.file().unwrap_or_default().to_owned(),
            line: record.line().unwrap_or_default(),
        }
    }

    /// Name of the logger: the node's, with the library's beneath it.
    fn logger(&self, node_name: &str) -> String {
        match &self.foreign {
            Some(library) => format!("{node_name}.{library}"),
            None => node_name.to_owned(),
        }
    }

    /// The line for stderr, as `rcutils` writes it.
    fn line(&self, node_name: &str) -> String {
        let (level, _) = ros_level(self.level);
        let (seconds, nanoseconds) = (self.stamp.as_secs(), self.stamp.subsec_nanos());
        let logger = self.logger(node_name);
        format!("[{level}] [{seconds}.{nanoseconds:09}] [{logger}]: {}", self.text)
    }

    fn into_message(self, node_name: &str) -> msg::Log {
        msg::Log {
            stamp: Time {
                sec: i32::try_from(self.stamp.as_secs()).unwrap_or(i32::MAX),
                nanosec: self.stamp.subsec_nanos(),
            },
            level: ros_level(self.level).1,
            name: self.logger(node_name),
            msg: self.text,
            file: self.file,
            function: String::new(),
            line: self.line,
        }
    }
}

/// ROS's word and number for a level.
fn ros_level(level: Level) -> (&'static str, u8) {
    match level {
        Level::Error => ("ERROR", msg::Log::ERROR as u8),
        Level::Warn => ("WARN", msg::Log::WARN as u8),
        Level::Info => ("INFO", msg::Log::INFO as u8),
        Level::Debug | Level::Trace => ("DEBUG", msg::Log::DEBUG as u8),
    }
}

/// Records that wait for `/rosout`: beyond the bound the oldest goes and is counted.
#[derive(Debug, Default)]
struct Backlog {
    entries: VecDeque<Entry>,
    dropped: u64,
}

impl Backlog {
    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= BACKLOG {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }

    fn drain(&mut self) -> (VecDeque<Entry>, u64) {
        (std::mem::take(&mut self.entries), std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(args: &[&str]) -> (LevelFilter, LevelFilter) {
        let levels = Levels::from_args(args.iter().map(|&arg| arg.to_owned()));
        (levels.own, levels.foreign)
    }

    fn entry(target: &str, text: &str) -> Entry {
        let record = Record::builder()
            .level(Level::Info)
            .target(target)
            .file(Some("a.rs"))
            .line(Some(7))
            .build();
        let now = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        Entry { text: text.to_owned(), ..Entry::new(&record, now) }
    }

    #[test]
    fn the_level_is_the_one_that_ros_is_asked_for() {
        assert_eq!(levels(&["node"]), (LevelFilter::Info, LevelFilter::Warn));
        assert_eq!(
            levels(&["node", "--ros-args", "--log-level", "DEBUG"]),
            (LevelFilter::Debug, LevelFilter::Debug)
        );
        assert_eq!(
            levels(&["node", "--ros-args", "--log-level", "error"]),
            (LevelFilter::Error, LevelFilter::Error)
        );
        assert_eq!(
            levels(&["--ros-args", "--log-level", "a.rover_link:=debug", "--log-level", "warn"]),
            (LevelFilter::Debug, LevelFilter::Warn)
        );
        assert_eq!(
            levels(&["--log-level", "debug", "--ros-args", "--log-level", "rcl:=debug"]),
            (LevelFilter::Info, LevelFilter::Warn)
        );
    }

    #[test]
    fn a_line_has_the_format_of_ros() {
        assert_eq!(
            entry("rover_link::net", "rover_b: connected").line("a.rover_link"),
            "[INFO] [1700000000.123456789] [a.rover_link]: rover_b: connected"
        );
        assert_eq!(
            entry("rover_link_node", "ready").line("rover_link"),
            "[INFO] [1700000000.123456789] [rover_link]: ready"
        );
        assert_eq!(
            entry("str0m::ice", "lost").line("rover_link"),
            "[INFO] [1700000000.123456789] [rover_link.str0m]: lost"
        );
    }

    #[test]
    fn a_record_becomes_a_message_of_rosout() {
        let message = entry("rover_link", "hello").into_message("rover_link");
        assert_eq!((message.stamp.sec, message.stamp.nanosec), (1_700_000_000, 123_456_789));
        assert_eq!((message.level, message.line), (20, 7));
        assert_eq!((message.name.as_str(), message.msg.as_str()), ("rover_link", "hello"));
        assert_eq!(message.file, "a.rs");
    }

    #[test]
    fn the_backlog_keeps_the_newest_and_counts_the_rest() {
        let mut backlog = Backlog::default();
        for i in 0..BACKLOG + 3 {
            backlog.push(entry("rover_link", &i.to_string()));
        }
        let (entries, dropped) = backlog.drain();
        assert_eq!((entries.len(), dropped), (BACKLOG, 3));
        assert_eq!(entries.front().map(|entry| entry.text.as_str()), Some("3"));
        assert_eq!(backlog.drain(), (VecDeque::new(), 0));
    }
}

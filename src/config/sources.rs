//! Where parameters come from, so that an error can say which file to open and at which line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value was given, or could have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In this file.
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// By this option on the command line.
    CommandLine(String),
    /// By a parameter service, while the node ran.
    RunTime,
    /// In none of these files, which were read.
    Files(Vec<PathBuf>),
    /// In the environment.
    Environment,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::CommandLine(option) => write!(f, "command line, {option}"),
            Self::RunTime => f.write_str("set at run time"),
            Self::Files(files) if files.is_empty() => f.write_str("no --params-file given"),
            Self::Files(files) => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                f.write_str(&files.join(", "))
            }
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// The parameter files and options that a node was started with, and its user's folders.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Path and text, in the order given.
    files: Vec<(PathBuf, String)>,
    /// Parameter and the option that set it.
    options: Vec<(String, String)>,
    /// Parameters that were set while the node ran.
    at_run_time: BTreeSet<String>,
    /// Home folder of the user.
    pub(super) home: Option<PathBuf>,
    /// Where ROS keeps what belongs to the user.
    pub(super) ros_home: Option<PathBuf>,
}

impl Sources {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self::new(std::env::args(), |name| std::env::var_os(name))
    }

    /// Reads the ROS arguments of a command line, the files they name, and the folders of the user
    /// from the environment. A file that cannot be read is passed over: ROS itself stops at it.
    pub fn new(
        args: impl IntoIterator<Item = String>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let folder = |name| variable(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = folder("HOME");
        let ros_home = folder("ROS_HOME").or_else(|| home.as_ref().map(|home| home.join(".ros")));
        let mut sources = Self { home, ros_home, ..Self::default() };
        sources.read_args(args);
        sources
    }

    fn read_args(&mut self, args: impl IntoIterator<Item = String>) {
        let mut args = args.into_iter();
        let mut is_ros = false;
        while let Some(arg) = args.next() {
            let (option, value) = match arg.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value)),
                _ => (arg.as_str(), None),
            };
            match option {
                "--ros-args" => is_ros = true,
                "--" => is_ros = false,
                "--params-file" if is_ros => {
                    let file = value.map(str::to_owned).or_else(|| args.next()).map(PathBuf::from);
                    self.files.extend(file.map(|file| {
                        let text = std::fs::read_to_string(&file).unwrap_or_default();
                        (file, text)
                    }));
                }
                "-p" | "--param" if is_ros => {
                    let rule = value.map(str::to_owned).or_else(|| args.next());
                    if let Some((target, _)) = rule.as_deref().and_then(|r| r.split_once(":=")) {
                        let key = target.rsplit(':').next().unwrap_or(target);
                        self.set_by_option(key, &format!("{option} {key}"));
                    }
                }
                _ => {}
            }
        }
    }

    /// Notes that an option of the command line has set a parameter.
    pub(super) fn set_by_option(&mut self, key: &str, option: &str) {
        self.options.push((key.to_owned(), option.to_owned()));
    }

    /// Notes that a parameter was set while the node ran.
    pub(super) fn set_at_run_time(&mut self, key: &str) {
        self.at_run_time.insert(key.to_owned());
    }

    /// Where a parameter was given; for one that was not, the block that should hold it.
    pub fn locate(&self, key: &str) -> Location {
        // What is said of a whole block is about what was set in it last.
        let was_set = |set: &String| {
            set.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.at_run_time.iter().any(was_set) {
            return Location::RunTime;
        }
        if let Some((_, option)) = self.options.iter().rfind(|(set, _)| set == key) {
            return Location::CommandLine(option.clone());
        }
        // Of files that hold the key, the last one counts, as it does for ROS.
        let found = |(file, text): &(PathBuf, String)| Some((find(text, key)?, file.clone()));
        match self.files.iter().filter_map(found).max_by_key(|((depth, _), _)| *depth) {
            Some(((_, line), file)) => Location::Line { file, line },
            None => Location::Files(self.paths().map(Path::to_owned).collect()),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }
}

/// The line on which a parameter file gives `key` or, failing that, the innermost block around it
/// that begins a line, with the depth found. This follows indentation, not all of YAML: enough to
/// lead a reader to the place.
fn find(text: &str, key: &str) -> Option<(usize, usize)> {
    const PARAMETERS: &str = "ros__parameters";
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut best = None;
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.trim_start();
        let Some((name, _)) = content.split_once(':').filter(|_| !content.starts_with('#')) else {
            continue;
        };
        let indent = line.len() - content.len();
        open.retain(|(other, _)| *other < indent);
        open.push((indent, name.trim().trim_matches(['"', '\''])));
        let Some(top) = open.iter().position(|(_, name)| *name == PARAMETERS) else { continue };
        let path = open[top + 1..].iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".");
        let leads_there =
            path == key || key.strip_prefix(&path).is_some_and(|r| r.starts_with('.'));
        if !path.is_empty() && leads_there && best.is_none_or(|(depth, _)| depth <= path.len()) {
            best = Some((path.len(), number));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
/**:
  ros__parameters:
    rover_id: rover_a
    # fleet: north
    topics:
      odom: {name: odom, qos: {depth: 5}}
      scan:
        name: \"scan\"
        qos:
          depth: 5
    topics.map.name: map
";

    #[test]
    fn a_key_is_found_on_its_line_however_it_is_nested() {
        let line = |key| find(FILE, key).map(|(_, line)| line);
        assert_eq!(line("rover_id"), Some(4));
        assert_eq!(line("topics.scan.name"), Some(9));
        assert_eq!(line("topics.scan.qos.depth"), Some(11));
        assert_eq!(line("topics.map.name"), Some(12));
    }

    #[test]
    fn a_key_within_braces_or_missing_is_led_to_the_block_around_it() {
        let line = |key| find(FILE, key).map(|(_, line)| line);
        assert_eq!(line("topics.odom.qos.depth"), Some(7));
        assert_eq!(line("topics.scan.qos.history"), Some(10));
        assert_eq!(line("topics.chat.name"), Some(6));
        assert_eq!(line("fleet"), None);
    }

    #[test]
    fn files_and_parameters_are_read_from_ros_arguments_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let first = file("first.yaml", FILE);
        let second = file("second.yaml", "/**:\n  ros__parameters:\n    rover_id: rover_b\n");
        let sources = Sources::new(
            [
                "node",
                "--params-file",
                "ignored.yaml",
                "--ros-args",
                "--params-file",
                &first.display().to_string(),
                "-p",
                "rover_link:peers:=[rover_b]",
                "-r",
                "odom:=x",
                &format!("--params-file={}", second.display()),
                "--",
                "-p",
                "fleet:=north",
            ]
            .map(str::to_owned),
            |_| None,
        );
        let line = |file: &PathBuf, line| Location::Line { file: file.clone(), line };
        assert_eq!(sources.locate("rover_id"), line(&second, 3));
        assert_eq!(sources.locate("topics.scan.name"), line(&first, 9));
        assert_eq!(sources.locate("peers"), Location::CommandLine("-p peers".to_owned()));
        assert_eq!(sources.locate("fleet"), Location::Files(vec![first, second]));
    }
}

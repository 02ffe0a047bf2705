//! What was done to the links, and when, for whoever compares it with what the rovers noticed.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where it is written down, if anywhere.
pub(crate) struct Journal(Option<File>);

impl Journal {
    /// Begins a new one in this file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn create(file: Option<&Path>) -> io::Result<Self> {
        file.map(File::create).transpose().map(Self)
    }

    /// Adds a command that was carried out from this moment on: a line with the Unix time, seconds
    /// to the microsecond, and the command.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&mut self, at: SystemTime, command: &str) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        // A clock before 1970 is as good as one that stands there.
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        writeln!(file, "{}.{:06} {command}", since.as_secs(), since.subsec_micros())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_command_stands_on_a_line_after_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        let mut journal = Journal::create(Some(&file)).unwrap();
        for (micros, command) in
            [(1_000_002, "carrier r a off"), (2_500_000, "set r both up=false")]
        {
            journal.add(UNIX_EPOCH + Duration::from_micros(micros), command).unwrap();
        }
        let expected = "1.000002 carrier r a off\n2.500000 set r both up=false\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
        assert!(Journal::create(None).unwrap().add(UNIX_EPOCH, "show").is_ok());
    }
}

//! What can be wrong with a configuration. All of it is reported at once, each with the place, the
//! key and the remedy.

use std::fmt;
use std::time::Duration;

use super::names::NameError;
use super::sources::Location;
use super::topic_pattern::PatternError;

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", one_line_each(problems))]
pub struct ConfigError {
    /// All that is wrong, never empty.
    pub problems: Vec<Problem>,
}

fn one_line_each(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Where the value was given, or should have been.
    pub location: Location,
    /// The parameter or environment variable.
    pub key: String,
    /// What is wrong, and what would help.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.location, self.key, self.fault)
    }
}

/// What is wrong with a value, and what would help.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The key is one letter or two beside a known one.
    #[error("there is no such parameter; did you mean `{nearest}`?")]
    Misspelt {
        /// What was probably meant.
        nearest: String,
    },
    /// The key is not like any that is known.
    #[error("there is no such parameter; remove it (config/rover.yaml shows all there are)")]
    Unknown,
    /// The value is of another kind.
    #[error("must be {expected}, not {found}; write it as `{example}`")]
    WrongType {
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
        /// How such a value is written.
        example: String,
    },
    /// The number is too small or too large.
    #[error("must be {range}, not {found}; give a value in that range")]
    OutOfRange {
        /// The values that are allowed.
        range: String,
        /// The value given.
        found: String,
    },
    /// The text is none of those that mean something.
    #[error("`{found}` is none of the choices; use one of {choices}")]
    NoChoice {
        /// The value given.
        found: String,
        /// The values that are allowed.
        choices: String,
    },
    /// The text does not follow the rules of its kind.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A pattern of topic names, or what goes with one, is wrong.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A value without which the node cannot work is not given.
    #[error("is missing; {remedy}")]
    Missing {
        /// How to give it.
        remedy: &'static str,
    },
    /// `topic_ids` or the like names something that is not described.
    #[error("is missing, though `{id}` is in {list}; add the block, or take the id out")]
    MissingBlock {
        /// The id.
        id: String,
        /// The list of ids.
        list: &'static str,
    },
    /// Something is described that `topic_ids` or the like does not name.
    #[error("is not bridged, for `{id}` is not in {list}; add the id there, or remove the block")]
    MissingId {
        /// The id.
        id: String,
        /// The list of ids.
        list: &'static str,
    },
    /// `interfaces.kind_ids` names a kind for which no names are given.
    #[error(
        "is missing, though `{id}` is in interfaces.kind_ids; list the names of its interfaces, or \
         take the id out"
    )]
    MissingKind {
        /// The id.
        id: String,
    },
    /// Names are given for a kind that `interfaces.kind_ids` does not name.
    #[error(
        "counts for nothing, for `{id}` is not in interfaces.kind_ids; add the id there, or remove \
         the list"
    )]
    UnlistedKind {
        /// The id.
        id: String,
    },
    /// A list holds the same entry twice.
    #[error("holds `{entry}` twice; remove one of them")]
    Duplicate {
        /// The entry.
        entry: String,
    },
    /// `*` does not stand alone.
    #[error("`*` is everybody already; leave `*` alone, or name the peers without it")]
    MoreThanEverybody,
    /// `remote_name` on a topic that is received only.
    #[error(
        "the sender chooses the name under which a topic arrives; remove it here, and set \
         remote_name at the sender or remap `name`"
    )]
    RemoteNameOfReceived,
    /// Two topics, or two services, would have the same name at the peers.
    #[error("`{name}` is the remote name of {noun} `{other}` too; give one of them another")]
    SameRemoteName {
        /// The remote name.
        name: String,
        /// What the other one is.
        noun: &'static str,
        /// The id of the other one.
        other: String,
    },
    /// A path could be dead that was never suspect.
    #[error(
        "must be longer than handover.suspect_silence, and {dead_silence:?} is not longer than \
         {suspect_silence:?}; raise it, or lower the other"
    )]
    DeadBeforeSuspect {
        /// The silence after which a path is dead.
        dead_silence: Duration,
        /// The silence after which it is suspect.
        suspect_silence: Duration,
    },
    /// More than a session can carry.
    #[error(
        "brings the routes to {found}, and at most {most} can be bridged (an action has 5 of them); \
         remove some"
    )]
    TooManyRoutes {
        /// Routes that were asked for so far.
        found: usize,
        /// Routes allowed.
        most: usize,
    },
    /// A secret that cannot be sent.
    #[error("holds characters that no HTTP header can carry; use printable ASCII without spaces")]
    UnsendableToken,
}

impl From<std::convert::Infallible> for Fault {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

//! What the emulator can be told, one command a line.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use super::link::Conditions;
use super::queue::Discipline;

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Change the links of a radio, in some directions: from A to B, and back.
    Set { radio: String, directions: [bool; 2], changes: Vec<Change> },
    /// Let the kernels of some sides, A and B, say that a device has a carrier or none.
    Carrier { radio: String, sides: [bool; 2], is_on: bool },
    /// Tell how the links are.
    Show,
    /// Write the line to the log.
    Note,
}

/// One new value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    Delay(Duration),
    Jitter(Duration),
    Reorder(f64),
    Loss(f64),
    Burst(f64),
    Rate(f64),
    Queue(u64),
    Discipline(Discipline),
    Up(bool),
    Held(bool),
}

/// Why a command is not obeyed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CommandError {
    #[error("no such command; there are: set, carrier, show, note")]
    Unknown,
    #[error("`{0}` is none of {1}")]
    Word(String, &'static str),
    #[error("`{0}` is no KEY=VALUE that fits; see --help")]
    Change(String),
    #[error("there is no radio `{0}`")]
    Radio(String),
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["set", radio, direction, ref changes @ ..] => {
                const DIRECTIONS: &str = "a_to_b, b_to_a, both";
                let directions = either(direction, ["a_to_b", "b_to_a"], DIRECTIONS)?;
                let changes = changes.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
                Ok(Self::Set { radio: radio.to_owned(), directions, changes })
            }
            ["carrier", radio, side, state] => {
                let sides = either(side, ["a", "b"], "a, b, both")?;
                let is_on = match state {
                    "on" => true,
                    "off" => false,
                    other => return Err(CommandError::Word(other.to_owned(), "on, off")),
                };
                Ok(Self::Carrier { radio: radio.to_owned(), sides, is_on })
            }
            ["show"] => Ok(Self::Show),
            ["note", _, ..] => Ok(Self::Note),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// Which of two is meant by a word that may also be `both`.
fn either(word: &str, names: [&str; 2], choices: &'static str) -> Result<[bool; 2], CommandError> {
    let meant = names.map(|name| word == name || word == "both");
    if meant.contains(&true) {
        Ok(meant)
    } else {
        Err(CommandError::Word(word.to_owned(), choices))
    }
}

impl FromStr for Change {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let parsed = || {
            let (key, value) = text.split_once('=')?;
            let number = || value.parse::<f64>().ok().filter(|number| *number >= 0.0);
            let time = || Duration::try_from_secs_f64(number()?).ok();
            let ratio = || number().filter(|ratio| *ratio <= 1.0);
            Some(match key {
                "delay" => Self::Delay(time()?),
                "jitter" => Self::Jitter(time()?),
                "reorder" => Self::Reorder(ratio()?),
                "loss" => Self::Loss(ratio()?),
                "burst" => Self::Burst(number()?),
                "rate" => Self::Rate(number()?),
                "queue" => Self::Queue(value.parse().ok()?),
                "discipline" => Self::Discipline(match value {
                    "fifo" => Discipline::Fifo,
                    "fair" => Discipline::Fair,
                    _ => return None,
                }),
                "up" => Self::Up(value.parse().ok()?),
                "held" => Self::Held(value.parse().ok()?),
                _ => return None,
            })
        };
        parsed().ok_or_else(|| CommandError::Change(text.to_owned()))
    }
}

impl Change {
    /// Makes the change.
    pub(crate) fn apply(self, conditions: &mut Conditions) {
        match self {
            Self::Delay(value) => conditions.delay = value,
            Self::Jitter(value) => conditions.jitter = value,
            Self::Reorder(value) => conditions.reorder = value,
            Self::Loss(value) => conditions.loss = value,
            Self::Burst(value) => conditions.burst = value,
            Self::Rate(value) => conditions.rate = value,
            Self::Queue(value) => conditions.queue = value,
            Self::Discipline(value) => conditions.discipline = value,
            Self::Up(value) => conditions.up = value,
            Self::Held(value) => conditions.held = value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_changed_key_by_key() {
        let command: Command = "set wlan0 a_to_b delay=0.5 loss=0.02 up=false".parse().unwrap();
        let Command::Set { radio, directions, changes } = command else { panic!("another one") };
        assert_eq!((radio.as_str(), directions), ("wlan0", [true, false]));
        let mut conditions = Conditions::default();
        changes.iter().for_each(|change| change.apply(&mut conditions));
        let delay = Duration::from_millis(500);
        let expected = Conditions { delay, loss: 0.02, up: false, ..Conditions::default() };
        assert_eq!(conditions, expected);
    }

    #[test]
    fn a_carrier_goes_at_one_side_or_both() {
        for (line, sides) in [("carrier r a off", [true, false]), ("carrier r both off", [true; 2])]
        {
            let expected = Command::Carrier { radio: "r".to_owned(), sides, is_on: false };
            assert_eq!(line.parse::<Command>().unwrap(), expected);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "show me",
            "note",
            "set r",
            "set r up up=true",
            "set r both up=perhaps",
            "set r both loss=1.5",
            "set r both delay=-1",
            "set r both speed=1",
            "set r both discipline=lifo",
            "carrier r c on",
            "carrier r a maybe",
        ] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}

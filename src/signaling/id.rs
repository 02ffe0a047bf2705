//! The name of a rover or of a fleet, checked once where it enters.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest [`Id`], in bytes. Ids become parts of ROS names, which have to stay short enough to read in a table.
pub const MAX_ID_BYTES: usize = 64;

/// The id of a rover or of a fleet: `[a-z][a-z0-9_]*`, at most [`MAX_ID_BYTES`] long.
///
/// Every id is also a legal part of a ROS name. Ids compare bytewise, as all sides must agree on which is the smaller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(String);

/// Why a text is not an [`Id`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// It holds nothing.
    #[error("an id must not be empty")]
    Empty,
    /// It is longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// It holds something else than the few characters that ROS names allow.
    #[error("`{0}` is no id: use a lower-case letter, then lower-case letters, digits and `_`")]
    IllegalCharacter(String),
}

impl Id {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Id {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        let first = *text.as_bytes().first().ok_or(IdError::Empty)?;
        if text.len() > MAX_ID_BYTES {
            return Err(IdError::TooLong(text.len()));
        }
        let is_legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !first.is_ascii_lowercase() || !text.bytes().all(is_legal) {
            return Err(IdError::IllegalCharacter(text));
        }
        Ok(Self(text))
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl Deref for Id {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Id {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Id {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_lower_case_letter_and_then_letters_digits_and_underscores() {
        for text in ["a", "rover_a", "r2_d2", &"x".repeat(MAX_ID_BYTES)] {
            assert_eq!(text.parse::<Id>().map(String::from), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_ros_would_not_take_as_part_of_a_name_is_no_id() {
        assert_eq!("".parse::<Id>(), Err(IdError::Empty));
        assert_eq!("x".repeat(65).parse::<Id>(), Err(IdError::TooLong(65)));
        for text in ["_a", "1a", "Rover", "rover-a", "rover/a", "rover a", "rövér", "a\n", "a\0"]
        {
            assert_eq!(text.parse::<Id>(), Err(IdError::IllegalCharacter(text.to_owned())));
        }
    }

    #[test]
    fn json_cannot_carry_an_illegal_id() {
        assert!(serde_json::from_str::<Id>("\"rover_a\"").is_ok());
        assert!(serde_json::from_str::<Id>("\"Rover A\"").is_err());
    }
}

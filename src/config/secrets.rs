//! What nobody else may know. It comes from the environment, never from parameters, for any node
//! of the ROS graph can read those.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

use super::error::{ConfigError, Fault, Problem};
use super::sources::Location;

/// A fleet key of fewer bytes is warned of: at random, 16 have the 128 bits below which a key can be
/// searched for.
pub const STRONG_FLEET_KEY_BYTES: usize = 16;

const TOKEN: &str = "ROVER_LINK_TOKEN";
const FLEET_KEY: &str = "ROVER_LINK_FLEET_KEY";

/// The secrets of a node.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// Lets us in at the signaling server; sent in an HTTP header.
    pub token: Option<String>,
    /// Proves to peers, end to end, that we belong to the fleet.
    pub fleet_key: Option<Vec<u8>>,
}

impl Secrets {
    /// Reads `ROVER_LINK_TOKEN` and `ROVER_LINK_FLEET_KEY`; empty is as good as unset.
    ///
    /// # Errors
    /// A token that no HTTP header can carry.
    pub fn from_environment() -> Result<Self, ConfigError> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let bytes = |name| variable(name).map(OsString::into_vec).filter(|v| !v.is_empty());
        let mut problems = Vec::new();
        let token = bytes(TOKEN).and_then(|bytes| {
            let token = String::from_utf8(bytes).ok();
            let token = token.filter(|t| t.chars().all(|c| c.is_ascii_graphic()));
            if token.is_none() {
                problems.push(Problem {
                    location: Location::Environment,
                    key: TOKEN.to_owned(),
                    fault: Fault::UnsendableToken,
                });
            }
            token
        });
        if problems.is_empty() {
            Ok(Self { token, fleet_key: bytes(FLEET_KEY) })
        } else {
            Err(ConfigError { problems })
        }
    }
}

/// Tells which secrets there are, never what they are.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |is_set: bool| if is_set { "set" } else { "unset" };
        f.debug_struct("Secrets")
            .field("token", &hidden(self.token.is_some()))
            .field("fleet_key", &hidden(self.fleet_key.is_some()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(token: &str, fleet_key: &str) -> Result<Secrets, ConfigError> {
        Secrets::from_variables(|name| Some(if name == TOKEN { token } else { fleet_key }.into()))
    }

    #[test]
    fn secrets_are_read_and_empty_ones_are_none() {
        let secrets = read("let-me-in", "0123456789abcdef").expect("two good secrets");
        assert_eq!(secrets.token.as_deref(), Some("let-me-in"));
        assert_eq!(secrets.fleet_key.as_deref(), Some(&b"0123456789abcdef"[..]));
        assert_eq!(read("", ""), Ok(Secrets::default()));
        assert_eq!(Secrets::from_variables(|_| None), Ok(Secrets::default()));
    }

    #[test]
    fn debug_hides_them() {
        let secrets = read("let-me-in", "0123456789abcdef").expect("two good secrets");
        let text = format!("{secrets:?}");
        assert_eq!(text, r#"Secrets { token: "set", fleet_key: "set" }"#);
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_reported_and_not_shown() {
        let text = read("let me in", "0123456789").expect_err("a bad token").to_string();
        assert!(text.contains("ROVER_LINK_TOKEN: holds characters"), "{text}");
        assert!(!text.contains("let me in") && !text.contains("0123456789"), "{text}");
    }
}

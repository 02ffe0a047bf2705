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
const TURN_USERNAME: &str = "ROVER_LINK_TURN_USERNAME";
const TURN_CREDENTIAL: &str = "ROVER_LINK_TURN_CREDENTIAL";

/// The secrets of a node.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// Lets us in at the signaling server; sent in an HTTP header.
    pub token: Option<String>,
    /// Proves to peers, end to end, that we belong to the fleet.
    pub fleet_key: Option<Vec<u8>>,
    /// Username and credential for the TURN servers of `ice_servers`.
    pub turn: Option<(String, String)>,
}

impl Secrets {
    /// Reads `ROVER_LINK_TOKEN`, `ROVER_LINK_FLEET_KEY`, `ROVER_LINK_TURN_USERNAME` and
    /// `ROVER_LINK_TURN_CREDENTIAL`; empty is as good as unset.
    ///
    /// # Errors
    /// A token that no HTTP header can carry; one of the last two without the other.
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
        let text = |name| bytes(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let turn = match (text(TURN_USERNAME), text(TURN_CREDENTIAL)) {
            (Some(username), Some(credential)) => Some((username, credential)),
            (None, None) => None,
            (username, _) => {
                let missing = if username.is_some() { TURN_CREDENTIAL } else { TURN_USERNAME };
                problems.push(Problem {
                    location: Location::Environment,
                    key: missing.to_owned(),
                    fault: Fault::Missing { remedy: "set both, or neither" },
                });
                None
            }
        };
        if problems.is_empty() {
            Ok(Self { token, fleet_key: bytes(FLEET_KEY), turn })
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
            .field("turn", &hidden(self.turn.is_some()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(token: &str, fleet_key: &str) -> Result<Secrets, ConfigError> {
        Secrets::from_variables(|name| match name {
            TOKEN => Some(token.into()),
            FLEET_KEY => Some(fleet_key.into()),
            _ => None,
        })
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
    fn the_credential_for_turn_servers_needs_its_username() {
        let read =
            |set: &[&str]| Secrets::from_variables(|name| set.contains(&name).then(|| "x".into()));
        let both = read(&[TURN_USERNAME, TURN_CREDENTIAL]).expect("two good secrets");
        assert_eq!(both.turn, Some(("x".to_owned(), "x".to_owned())));
        for (one, other) in [(TURN_USERNAME, TURN_CREDENTIAL), (TURN_CREDENTIAL, TURN_USERNAME)] {
            let text = read(&[one]).expect_err("one of two").to_string();
            assert!(text.contains(&format!("{other}: is missing")), "{text}");
        }
    }

    #[test]
    fn debug_hides_them() {
        let secrets = read("let-me-in", "0123456789abcdef").expect("two good secrets");
        let text = format!("{secrets:?}");
        assert_eq!(text, r#"Secrets { token: "set", fleet_key: "set", turn: "unset" }"#);
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_reported_and_not_shown() {
        let text = read("let me in", "0123456789").expect_err("a bad token").to_string();
        assert!(text.contains("ROVER_LINK_TOKEN: holds characters"), "{text}");
        assert!(!text.contains("let me in") && !text.contains("0123456789"), "{text}");
    }
}

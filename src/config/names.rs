//! Names that come from people or from the network, checked once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not `package/msg/Name` made of identifiers.
    #[error(
        "`{0}` is no message type; write it as `package/msg/Name`, for example `std_msgs/msg/String`"
    )]
    Type(String),
    /// Not `package/srv/Name` made of identifiers.
    #[error(
        "`{0}` is no service type; write it as `package/srv/Name`, for example `std_srvs/srv/Trigger`"
    )]
    ServiceType(String),
    /// Not `package/action/Name` made of identifiers.
    #[error(
        "`{0}` is no action type; write it as `package/action/Name`, for example \
         `nav2_msgs/action/NavigateToPose`"
    )]
    ActionType(String),
    /// Not `[a-z][a-z0-9_]*`, or too long.
    #[error(
        "`{0}` is no id; use a lower-case letter, then lower-case letters, digits and `_`, at most \
         {MAX_ID_BYTES} of them"
    )]
    Id(String),
    /// Not an identifier.
    #[error("`{0}` is no {1} id; use a letter, then letters, digits and `_`")]
    EntryId(String, &'static str),
    /// Not a name that a topic can have.
    #[error(
        "`{0}` is no {1} name; use letters, digits and `_`, parted by single `/`, no part \
         starting with a digit, after `/` (absolute), `~/` (private) or nothing (relative)"
    )]
    Name(String, &'static str),
    /// Not absolute.
    #[error("`{0}` is no absolute {1} name; start it with `/`, as in `/{{peer}}/odom`")]
    NotAbsolute(String, &'static str),
    /// Holds something in braces that is not replaced here.
    #[error("`{0}` holds a placeholder that is not known here; {1}")]
    Placeholder(String, &'static str),
    /// Not a pattern over absolute topic names.
    #[error(
        "`{0}` is no pattern of topic names; start it with `/`, and use letters, digits, `_`, `/`, \
         `*`, `**` and `{{peer}}`, as in `/{{peer}}/**`"
    )]
    Glob(String),
    /// Not a pattern over names of network interfaces.
    #[error("`{0}` is no pattern of interface names; write a name like `wlan0` or `wlan*`")]
    Interface(String),
    /// Not a fingerprint.
    #[error(
        "`{0}` is no fingerprint; write `sha-256` and 32 bytes in hexadecimal, as in \
         `sha-256 AB:CD:…`"
    )]
    Fingerprint(String),
    /// Not an address of a WebSocket server.
    #[error("`{0}` is no WebSocket address; write `ws://HOST:PORT` or `wss://HOST:PORT`")]
    Url(String),
    /// Not a STUN or TURN server.
    #[error(
        "`{0}` is no STUN or TURN server; write `stun:HOST:PORT` or \
         `turn:HOST:PORT?transport=udp` (or `tcp`); TLS is not used, for all is encrypted end to end"
    )]
    IceServer(String),
}

/// Longest id of a rover or fleet, bytes: it becomes one part of topic names, which have
/// [`MAX_NAME_BYTES`] in all. The signaling server has the same limit.
pub const MAX_ID_BYTES: usize = 64;

/// Longest absolute topic name, bytes: what `rmw` lets pass (255 less 8 for its prefixes).
pub const MAX_NAME_BYTES: usize = 247;

/// Longest part of a type name, bytes: what file systems take as a file name, with room for the
/// parts that a library's name adds.
const MAX_IDENTIFIER: usize = 128;

/// Longest piece of a wrong text that an error repeats, characters.
const MAX_QUOTED: usize = 128;

/// The text as far as an error repeats it.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

fn is_identifier(text: &str) -> bool {
    text.len() <= MAX_IDENTIFIER
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Is this an absolute topic name that ROS would take?
pub fn is_absolute_name(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && text.strip_prefix('/').is_some_and(is_path)
}

/// Parts of a name, joined by single slashes.
fn is_path(text: &str) -> bool {
    text.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Checks the id of a rover or a fleet: `[a-z][a-z0-9_]*`.
pub(super) fn id(text: &str) -> Result<String, NameError> {
    let is_id = text.len() <= MAX_ID_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_id { Ok(text.to_owned()) } else { Err(NameError::Id(quoted(text))) }
}

/// Checks an entry of `topic_ids` or the like, of this `noun`; a dot in it would part the names of
/// its parameters.
pub(super) fn entry_id(text: &str, noun: &'static str) -> Result<String, NameError> {
    if is_identifier(text) {
        Ok(text.to_owned())
    } else {
        Err(NameError::EntryId(quoted(text), noun))
    }
}

/// Checks a name (of a topic, a service: `noun`) as people write it: absolute, private or relative.
/// ROS's own substitutions (`{node}`) are refused, for the names of far rovers are derived from what
/// is written.
pub(super) fn ros_name(text: &str, noun: &'static str) -> Result<String, NameError> {
    if text.contains(['{', '}']) {
        return Err(NameError::Placeholder(quoted(text), "write the name out"));
    }
    let path = text.strip_prefix("~/").or_else(|| text.strip_prefix('/')).unwrap_or(text);
    if text.len() <= MAX_NAME_BYTES && is_path(path) {
        Ok(text.to_owned())
    } else {
        Err(NameError::Name(quoted(text), noun))
    }
}

/// Checks an absolute name in which `{peer}` stands for `rover_id`, and replaces that.
pub(super) fn remote_name(
    text: &str,
    noun: &'static str,
    rover_id: &str,
) -> Result<String, NameError> {
    let name = text.replace("{peer}", rover_id);
    if name.contains(['{', '}']) {
        return Err(NameError::Placeholder(quoted(text), "`{peer}` is the only one"));
    }
    if !name.starts_with('/') {
        return Err(NameError::NotAbsolute(quoted(text), noun));
    }
    if is_absolute_name(&name) { Ok(name) } else { Err(NameError::Name(quoted(text), noun)) }
}

/// The absolute name at the peers of what is called `name` here, unless another one is given: it
/// lies under our own id.
pub(super) fn default_remote_name(
    name: &str,
    noun: &'static str,
    rover_id: &str,
) -> Result<String, NameError> {
    let path = name.strip_prefix("~/").or(name.strip_prefix('/')).unwrap_or(name);
    remote_name(&format!("/{{peer}}/{path}"), noun, rover_id)
}

/// Checks a certificate's fingerprint, and writes it as str0m and SDP do: `sha-256 AB:CD:…`.
pub(super) fn fingerprint(text: &str) -> Result<String, NameError> {
    let is_byte = |part: &str| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit());
    text.split_once(' ')
        .filter(|(function, _)| function.eq_ignore_ascii_case("sha-256"))
        .map(|(_, bytes)| bytes.trim())
        .filter(|bytes| bytes.split(':').count() == 32 && bytes.split(':').all(is_byte))
        .map(|bytes| format!("sha-256 {}", bytes.to_ascii_uppercase()))
        .ok_or_else(|| NameError::Fingerprint(quoted(text)))
}

/// Checks the address of a WebSocket server, as far as can be told without connecting. A user name
/// is refused: other nodes can read parameters, so secrets come from the environment.
pub(super) fn websocket_url(text: &str) -> Result<String, NameError> {
    let is_url = text
        .strip_prefix("ws://")
        .or_else(|| text.strip_prefix("wss://"))
        .map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(rest))
        .is_some_and(|authority| {
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
                _ => (authority, None),
            };
            !host.is_empty()
                && !authority.contains('@')
                && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        });
    if is_url && text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(NameError::Url(quoted(text)))
    }
}

/// A type written `package/msg/Name`, `package/srv/Name` or `package/action/Name`, each part an
/// identifier. The parts of an action have types of their own: `package/action/Name_SendGoal`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypeName {
    package: String,
    folder: Folder,
    name: String,
}

/// Where a package keeps a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Folder {
    Msg,
    Srv,
    Action,
}

impl Folder {
    fn parse(text: &str) -> Option<Self> {
        [Self::Msg, Self::Srv, Self::Action].into_iter().find(|folder| folder.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Msg => "msg",
            Self::Srv => "srv",
            Self::Action => "action",
        }
    }
}

impl TypeName {
    /// Reads a type of any kind, as the ROS graph or a peer tells it.
    ///
    /// # Errors
    /// [`NameError::Type`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split('/');
        let (package, folder, name) = (parts.next(), parts.next(), parts.next());
        match (package, folder.and_then(Folder::parse), name, parts.next()) {
            (Some(package), Some(folder), Some(name), None)
                if is_identifier(package) && is_identifier(name) =>
            {
                Ok(Self { package: package.to_owned(), folder, name: name.to_owned() })
            }
            _ => Err(NameError::Type(quoted(text))),
        }
    }

    /// Reads `package/msg/Name`.
    pub(super) fn of_message(text: &str) -> Result<Self, NameError> {
        Self::in_folder(text, Folder::Msg).ok_or_else(|| NameError::Type(quoted(text)))
    }

    /// Reads `package/srv/Name`.
    pub(super) fn of_service(text: &str) -> Result<Self, NameError> {
        Self::in_folder(text, Folder::Srv).ok_or_else(|| NameError::ServiceType(quoted(text)))
    }

    /// Reads `package/action/Name`.
    pub(super) fn of_action(text: &str) -> Result<Self, NameError> {
        Self::in_folder(text, Folder::Action).ok_or_else(|| NameError::ActionType(quoted(text)))
    }

    fn in_folder(text: &str, folder: Folder) -> Option<Self> {
        Self::parse(text).ok().filter(|name| name.folder == folder)
    }

    /// The type of a part of this action, or of a message of this service: `Name_suffix`.
    pub fn part(&self, suffix: &str) -> Self {
        Self { name: format!("{}_{suffix}", self.name), ..self.clone() }
    }

    /// The package.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// Where the package keeps it: `msg`, `srv` or `action`.
    pub fn folder(&self) -> &'static str {
        self.folder.as_str()
    }

    /// The type's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.package, self.folder(), self.name)
    }
}

impl From<TypeName> for String {
    fn from(name: TypeName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for TypeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topic_names_follow_the_rules_of_ros() {
        for name in ["odom", "/odom", "~/odom", "camera/image_raw", "_hidden", "a/_b/c9"] {
            assert_eq!(ros_name(name, "topic"), Ok(name.to_owned()));
        }
        for name in ["", "/", "~", "~odom", "a//b", "a/", "9a", "a/9", "a b", "a-b", "ä", "//a"] {
            assert_eq!(
                ros_name(name, "topic"),
                Err(NameError::Name(name.to_owned(), "topic")),
                "{name}"
            );
        }
        assert!(matches!(ros_name("{node}/odom", "topic"), Err(NameError::Placeholder(..))));
    }

    #[test]
    fn a_remote_name_is_absolute_once_the_peer_is_put_in() {
        assert_eq!(remote_name("/{peer}/odom", "topic", "rover_a"), Ok("/rover_a/odom".to_owned()));
        assert!(matches!(
            remote_name("{peer}/odom", "topic", "rover_a"),
            Err(NameError::NotAbsolute(..))
        ));
        assert!(matches!(
            remote_name("/{me}/odom", "topic", "rover_a"),
            Err(NameError::Placeholder(..))
        ));
        assert!(matches!(remote_name("/odom/", "topic", "rover_a"), Err(NameError::Name(..))));
    }

    #[test]
    fn an_address_needs_a_scheme_a_host_and_a_port_that_is_one() {
        for url in ["ws://127.0.0.1:3001", "wss://fleet.example/link?x=1", "ws://[::1]:3001"] {
            assert_eq!(websocket_url(url), Ok(url.to_owned()));
        }
        for url in [
            "",
            "http://a",
            "ws://",
            "ws://:3001",
            "ws://a:0",
            "ws://a:x",
            "ws://u:p@a",
            "ws://a b",
        ] {
            assert!(websocket_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_fingerprint_is_written_one_way() {
        let bytes = ["ab"; 32].join(":");
        assert_eq!(
            fingerprint(&format!("SHA-256 {bytes}")),
            Ok(format!("sha-256 {}", bytes.to_uppercase()))
        );
        assert!(fingerprint(&format!("sha-1 {bytes}")).is_err());
        assert!(fingerprint(&format!("sha-256 {bytes}:ab")).is_err());
        assert!(fingerprint("sha-256").is_err());
    }

    #[test]
    fn a_type_is_of_one_kind_and_has_parts() {
        for text in ["std_msgs/msg/String", "std_srvs/srv/Trigger", "a/action/Go_SendGoal"] {
            assert_eq!(TypeName::parse(text).map(String::from), Ok(text.to_owned()));
        }
        for text in ["a/b/C", "a/srv", "a/srv/", "a/srv/B/C", "../srv/A", "a/srv/B.C", "a/SRV/B"] {
            assert!(TypeName::parse(text).is_err(), "{text}");
        }
        let go = TypeName::of_action("a/action/Go").expect("an action type");
        assert_eq!(go.part("SendGoal").part("Request").to_string(), "a/action/Go_SendGoal_Request");
        assert!(TypeName::of_service("a/action/Go").is_err());
        assert!(TypeName::of_message("std_srvs/srv/Trigger").is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_check(text in any::<String>()) {
            let _ = (id(&text), ros_name(&text, "topic"), fingerprint(&text), websocket_url(&text));
            let _ = TypeName::parse(&text);
            if let Ok(name) = remote_name(&text, "topic", "rover_a") {
                prop_assert!(is_absolute_name(&name));
            }
        }
    }
}

//! Which peers, names and network interfaces something applies to.

use super::names::{NameError, quoted};

/// Which peers something applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerFilter {
    /// The whole fleet: written `["*"]`.
    All,
    /// These rover ids; an empty list admits nobody.
    Only(Vec<String>),
}

impl PeerFilter {
    /// Does the filter admit this rover id?
    pub fn admits(&self, rover_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|id| id == rover_id),
        }
    }
}

/// A pattern over absolute ROS names: `*` stands for any run of characters but `/`, `**` for any
/// run of characters, `{peer}` for the sender's rover id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameGlob(String);

impl NameGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`NameError::Glob`] when no absolute topic name could match it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let literal = text.replace("{peer}", "");
        let is_glob = text.starts_with('/')
            && !text.contains("//")
            && text.len() <= super::MAX_NAME_BYTES
            && literal.chars().all(|c| c.is_ascii_alphanumeric() || "_/*".contains(c));
        if is_glob { Ok(Self(text.to_owned())) } else { Err(NameError::Glob(quoted(text))) }
    }

    /// Does the pattern match `name` when `peer` sends it?
    pub fn matches(&self, peer: &str, name: &str) -> bool {
        // The id is put in after the stars are read, so that nothing in it can act as one.
        let mut tokens = Vec::new();
        for (i, piece) in self.0.split("{peer}").enumerate() {
            if i > 0 {
                tokens.extend(peer.chars().map(Token::Char));
            }
            tokenize(piece, &mut tokens);
        }
        is_match(&tokens, name)
    }
}

/// Why an interface may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceRefusal {
    /// No pattern of `allow` matches.
    NotAllowed,
    /// A pattern of `deny` matches.
    Denied,
    /// It is `lo`, which `allow` does not write out.
    Loopback,
}

/// Which network interfaces are used; globs over their names. `deny` wins; `lo` is used only when
/// `allow` writes it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceFilter {
    /// Interfaces that may be used.
    pub allow: Vec<String>,
    /// Interfaces that are never used.
    pub deny: Vec<String>,
}

impl InterfaceFilter {
    /// May the interface of this name be used?
    pub fn allows(&self, name: &str) -> bool {
        self.refusal(name).is_none()
    }

    /// Why the interface of this name may not be used; `None` where it may.
    pub fn refusal(&self, name: &str) -> Option<InterfaceRefusal> {
        let any = |globs: &[String]| globs.iter().any(|glob| matches_interface(glob, name));
        if any(&self.deny) {
            Some(InterfaceRefusal::Denied)
        } else if name == "lo" {
            let is_written_out = self.allow.iter().any(|glob| glob == "lo");
            (!is_written_out).then_some(InterfaceRefusal::Loopback)
        } else {
            (!any(&self.allow)).then_some(InterfaceRefusal::NotAllowed)
        }
    }
}

/// Checks a pattern over interface names, in which `*` stands for any run of characters. The
/// kernel takes any name without slash and white space.
pub(super) fn interface_glob(text: &str) -> Result<String, NameError> {
    let is_glob = !text.is_empty() && !text.contains(|c: char| c == '/' || c.is_whitespace());
    if is_glob { Ok(text.to_owned()) } else { Err(NameError::Interface(quoted(text))) }
}

pub(super) fn matches_interface(glob: &str, name: &str) -> bool {
    let mut tokens = Vec::new();
    tokenize(glob, &mut tokens);
    is_match(&tokens, name)
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Itself.
    Char(char),
    /// Any run of characters but `/`.
    Part,
    /// Any run of characters.
    Parts,
}

fn tokenize(pattern: &str, tokens: &mut Vec<Token>) {
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => Token::Parts,
            '*' => Token::Part,
            c => Token::Char(c),
        });
    }
}

/// Follows all ways through the pattern at once: the work is at most its length times the length
/// of the text, whatever either holds.
fn is_match(tokens: &[Token], text: &str) -> bool {
    /// A star may also stand for nothing: whoever reaches it has reached what follows.
    fn skip_stars(tokens: &[Token], reached: &mut [bool]) {
        for (i, token) in tokens.iter().enumerate() {
            if reached[i] && !matches!(token, Token::Char(_)) {
                reached[i + 1] = true;
            }
        }
    }

    let mut reached = vec![false; tokens.len() + 1];
    reached[0] = true;
    skip_stars(tokens, &mut reached);
    for c in text.chars() {
        let mut next = vec![false; tokens.len() + 1];
        for (i, token) in tokens.iter().enumerate().filter(|(i, _)| reached[*i]) {
            match token {
                Token::Char(expected) if *expected == c => next[i + 1] = true,
                Token::Part if c != '/' => next[i] = true,
                Token::Parts => next[i] = true,
                Token::Char(_) | Token::Part => {}
            }
        }
        skip_stars(tokens, &mut next);
        reached = next;
    }
    reached[tokens.len()]
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn glob(pattern: &str) -> NameGlob {
        NameGlob::parse(pattern).expect("a legal pattern")
    }

    #[test]
    fn one_star_stays_within_a_part_and_two_cross_parts() {
        assert!(glob("/a/*/c").matches("p", "/a/b/c"));
        assert!(!glob("/a/*/c").matches("p", "/a/b/b/c"));
        assert!(glob("/a/**/c").matches("p", "/a/b/b/c"));
        assert!(glob("/a/im*_raw").matches("p", "/a/image_raw"));
        assert!(glob("/**").matches("p", "/anything/at/all"));
        assert!(!glob("/a/**").matches("p", "/a"));
        assert!(glob("/*/b*/**x").matches("p", "/a/bb/c/x"));
    }

    #[test]
    fn the_peer_matches_its_own_id_only_and_brings_no_stars() {
        assert!(glob("/{peer}/**").matches("rover_a", "/rover_a/odom"));
        assert!(!glob("/{peer}/**").matches("rover_a", "/rover_b/odom"));
        assert!(!glob("/{peer}/odom").matches("*", "/rover_b/odom"));
    }

    #[test]
    fn a_pattern_is_absolute_and_made_of_what_names_are_made_of() {
        for text in ["", "odom", "{peer}/odom", "/a b", "/{me}/odom", "/{peer", "//a", "/a?"] {
            assert_eq!(NameGlob::parse(text), Err(NameError::Glob(text.to_owned())));
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "/".to_owned() + &"a**".repeat(82);
        let name = "/".to_owned() + &"a".repeat(20_000);
        let started = Instant::now();
        assert!(glob(&pattern).matches("p", &name));
        assert!(!glob(&pattern).matches("p", &name.replace('a', "b")));
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn deny_wins_over_allow() {
        let filter = InterfaceFilter {
            allow: vec!["*".to_owned()],
            deny: vec!["docker*".to_owned(), "br-*".to_owned()],
        };
        assert!(filter.allows("wlan0") && filter.allows("eth0.100") && filter.allows("br0"));
        assert!(!filter.allows("docker0") && !filter.allows("br-12ab"));
        assert_eq!(filter.refusal("docker0"), Some(InterfaceRefusal::Denied));
    }

    #[test]
    fn loopback_is_used_only_when_it_is_written_out() {
        let allow = |globs: &[&str]| InterfaceFilter {
            allow: globs.iter().map(|&glob| glob.to_owned()).collect(),
            deny: Vec::new(),
        };
        assert!(!allow(&["*"]).allows("lo") && !allow(&["l*"]).allows("lo"));
        assert!(allow(&["*", "lo"]).allows("lo"));
        assert!(!allow(&["lo"]).allows("wlan0"));
        assert_eq!(allow(&["*"]).refusal("lo"), Some(InterfaceRefusal::Loopback));
        assert_eq!(allow(&["lo"]).refusal("wlan0"), Some(InterfaceRefusal::NotAllowed));
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "/[a-z/*{}er_p]{0,40}", peer in ".{0,8}", name in ".{0,40}") {
            if let Ok(glob) = NameGlob::parse(&pattern) {
                glob.matches(&peer, &name);
            }
        }

        #[test]
        fn a_name_matches_itself_and_any_star_put_in(name in "/[a-z]{1,9}(/[a-z]{1,9}){0,3}", at in 1usize..9) {
            prop_assert!(glob(&name).matches("p", &name));
            let at = at.min(name.len());
            let starred = format!("{}**{}", &name[..at], &name[at..]);
            prop_assert!(glob(&starred).matches("p", &name));
        }
    }
}

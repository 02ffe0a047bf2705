//! Entries of `topics` whose name is a pattern: how it is written, and which topics it stands for.

use super::filter::NameGlob;
use super::names::quoted;
use super::topic::{Direction, Topic};

/// What a pattern's `remote_name` must hold: it stands for the matched name without its first `/`.
pub(super) const NAME: &str = "{name}";

/// What a pattern may hold where topics arrive: the sender's rover id.
const PEER: &str = "{peer}";

/// Topics that every node or no rover but this one has a use for.
const NEVER_MATCHED: &[&str] = &["/rosout", "/parameter_events", "/diagnostics", "/clock"];

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Not made of what topic names and patterns are made of.
    #[error(
        "`{0}` is no pattern of topic names; use letters, digits, `_`, single `/`, `*` and `**`, \
         after `/` (absolute) or nothing (relative), as in `/sensors/**`"
    )]
    Form(String),
    /// Private.
    #[error(
        "`{0}` lies under the node's own topics, which no pattern matches; write names out there"
    )]
    Private(String),
    /// `{peer}` where topics leave.
    #[error(
        "`{0}` holds a placeholder that is not known here; `{{peer}}` stands for the sender where \
         direction is receive, and there is no other"
    )]
    Placeholder(String),
    /// `remote_name` would be the same for all topics that match.
    #[error(
        "`{0}` would be the name of all topics that match; put `{{name}}` into it, which stands for \
         the matched name without its first `/`, as in `/{{peer}}/{{name}}`"
    )]
    RemoteName(String),
    /// `remote_name` gives no name that ROS takes.
    #[error(
        "`{0}` is no absolute topic name; start it with `/`, and use nothing but `{{peer}}` and \
         `{{name}}` besides what names are made of, as in `/{{peer}}/{{name}}`"
    )]
    RemoteForm(String),
    /// `exclude` on an entry with an exact name.
    #[error("counts for nothing, for the entry's name is no pattern; remove it")]
    ExcludeWithoutPattern,
}

/// Is the name of an entry a pattern?
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

/// Checks a pattern, or what is to be left out of one, as people write it: absolute or relative.
pub(super) fn parse(text: &str, direction: Direction) -> Result<String, PatternError> {
    if text.starts_with('~') {
        return Err(PatternError::Private(quoted(text)));
    }
    let is_received = direction == Direction::Receive;
    let literal = if is_received { text.replace(PEER, "") } else { text.to_owned() };
    if literal.contains(['{', '}']) {
        return Err(PatternError::Placeholder(quoted(text)));
    }
    let is_legal = !text.is_empty() && !text.ends_with('/') && absolute(text, "/").is_some();
    if is_legal { Ok(text.to_owned()) } else { Err(PatternError::Form(quoted(text))) }
}

/// The pattern as it is within a namespace.
fn absolute(text: &str, namespace: &str) -> Option<NameGlob> {
    let text = match text.starts_with('/') {
        true => text.to_owned(),
        false => format!("{}/{text}", namespace.trim_end_matches('/')),
    };
    NameGlob::parse(&text).ok()
}

/// Which topics an entry stands for, once the node's name is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern {
    glob: NameGlob,
    exclude: Vec<NameGlob>,
    /// The only type that counts.
    type_name: Option<String>,
    /// What the node's own topics begin with.
    own: String,
}

impl TopicPattern {
    /// The pattern of an entry; `None` if its name is none, or would be too long in the namespace.
    /// `node` is the full name of the node.
    pub fn new(topic: &Topic, node: &str) -> Option<Self> {
        if !is_pattern(&topic.name) {
            return None;
        }
        let namespace = node.rsplit_once('/').map_or("", |(namespace, _)| namespace);
        Some(Self {
            glob: absolute(&topic.name, namespace)?,
            exclude: topic.exclude.iter().filter_map(|text| absolute(text, namespace)).collect(),
            type_name: topic.type_name.as_ref().map(ToString::to_string),
            own: format!("{node}/"),
        })
    }

    /// Does it match a topic of this rover, which has these types?
    pub fn matches(&self, name: &str, types: &[String]) -> bool {
        let fits = self.type_name.as_ref().is_none_or(|wanted| types.contains(wanted));
        fits && self.matches_name("", name)
    }

    /// Does it match a topic that `peer` offers under this name?
    pub fn admits(&self, peer: &str, name: &str, type_name: &str) -> bool {
        let fits = self.type_name.as_ref().is_none_or(|wanted| wanted == type_name);
        fits && self.matches_name(peer, name)
    }

    fn matches_name(&self, peer: &str, name: &str) -> bool {
        let is_hidden = name.split('/').any(|part| part.starts_with('_'));
        let is_left_out = NEVER_MATCHED.contains(&name) || name.starts_with(&self.own);
        !is_hidden
            && !is_left_out
            && self.glob.matches(peer, name)
            && !self.exclude.iter().any(|glob| glob.matches(peer, name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::topic;
    use super::super::{NameError, TypeName};
    use super::*;

    const NODE: &str = "/ns/rover_link";

    fn pattern(name: &str, exclude: &[&str]) -> TopicPattern {
        let mut topic = topic(name, Direction::Receive);
        topic.exclude = exclude.iter().map(|&text| text.to_owned()).collect();
        TopicPattern::new(&topic, NODE).expect("a pattern")
    }

    fn matches(pattern: &TopicPattern, name: &str) -> bool {
        pattern.matches(name, &[])
    }

    #[test]
    fn a_relative_pattern_follows_the_namespace() {
        let sensors = pattern("sensors/**", &["sensors/raw/*"]);
        assert!(matches(&sensors, "/ns/sensors/imu"));
        assert!(!matches(&sensors, "/sensors/imu"));
        assert!(!matches(&sensors, "/ns/sensors/raw/imu"));
        assert!(matches(&sensors, "/ns/sensors/raw/imu/x"));
        assert!(matches(&pattern("/*/imu", &[]), "/any/imu"));
    }

    #[test]
    fn what_is_hidden_of_the_node_or_of_the_system_is_never_matched() {
        let all = pattern("/**", &[]);
        assert!(matches(&all, "/odom") && matches(&all, "/ns/rover_link_2/odom"));
        for name in [
            "/_hidden",
            "/a/_action/feedback",
            "/ns/rover_link/topic_statistics",
            "/rosout",
            "/parameter_events",
            "/diagnostics",
            "/clock",
        ] {
            assert!(!matches(&all, name), "{name}");
        }
        assert!(matches(&all, "/sim/clock"));
    }

    #[test]
    fn a_type_leaves_topics_of_others_out() {
        let mut topic = topic("/cameras/*", Direction::Send);
        topic.type_name = Some(TypeName::parse("sensor_msgs/msg/Image").expect("a type"));
        let pattern = TopicPattern::new(&topic, NODE).expect("a pattern");
        let types = |types: &[&str]| types.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert!(pattern.matches("/cameras/a", &types(&["sensor_msgs/msg/Image"])));
        assert!(pattern.matches("/cameras/a", &types(&["x/msg/Y", "sensor_msgs/msg/Image"])));
        assert!(!pattern.matches("/cameras/a", &types(&["sensor_msgs/msg/CameraInfo"])));
        assert!(!pattern.matches("/cameras/a", &[]));
        assert!(pattern.admits("p", "/cameras/a", "sensor_msgs/msg/Image"));
        assert!(!pattern.admits("p", "/cameras/a", "sensor_msgs/msg/CameraInfo"));
    }

    #[test]
    fn the_sender_is_known_only_where_topics_arrive() {
        let sender = pattern("/{peer}/**", &["/{peer}/debug"]);
        assert!(sender.admits("rover_b", "/rover_b/odom", ""));
        assert!(!sender.admits("rover_b", "/rover_c/odom", ""));
        assert!(!sender.admits("rover_b", "/rover_b/debug", ""));
        for direction in [Direction::Send, Direction::Both] {
            let error = parse("/{peer}/**", direction);
            assert_eq!(error, Err(PatternError::Placeholder("/{peer}/**".to_owned())));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["/a b*", "a//*", "/*/", "a-*", "//*", "ä*", ""] {
            let error = parse(text, Direction::Receive);
            assert_eq!(error, Err(PatternError::Form(text.to_owned())), "{text}");
        }
        assert!(matches!(parse("~/*", Direction::Send), Err(PatternError::Private(_))));
        assert!(matches!(parse("/{me}/*", Direction::Receive), Err(PatternError::Placeholder(_))));
        assert!(TopicPattern::new(&topic("/odom", Direction::Send), NODE).is_none());
        let _: NameError = NameGlob::parse("odom").expect_err("relative");
    }
}

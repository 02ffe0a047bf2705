//! Which entry of `topics` a local topic belongs to: a pure decision, taken for each name that shows
//! up in the graph.
//!
//! An entry with an exact name wins over patterns, whichever way it goes: what is written out is not
//! to be shared in other ways by the way. Of patterns the first one counts, in the order of
//! `topic_ids`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::topic::Topic;
use super::topic_pattern::TopicPattern;

/// An entry of `topics`, and what it stands for here.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedTopic {
    /// The entry.
    pub topic: Arc<Topic>,
    /// Its name here.
    pub name: LocalName,
}

/// What the name of an entry stands for here.
#[derive(Debug, Clone, PartialEq)]
pub enum LocalName {
    /// This absolute name, after namespace and remaps.
    Exact(String),
    /// All names that match.
    Pattern(TopicPattern),
}

/// The entries that send, ready to be asked about names.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    exact: Vec<(String, Arc<Topic>)>,
    patterns: Vec<(TopicPattern, Arc<Topic>)>,
    /// Names of all entries that are no patterns.
    written_out: BTreeSet<String>,
}

impl Selection {
    /// That of these entries, in the order of `topic_ids`.
    pub fn new(topics: &[ResolvedTopic]) -> Self {
        let mut selection = Self::default();
        for ResolvedTopic { topic, name } in topics {
            let sends = topic.direction.sends();
            match name {
                LocalName::Exact(name) => {
                    selection.written_out.insert(name.clone());
                    if sends {
                        selection.exact.push((name.clone(), topic.clone()));
                    }
                }
                LocalName::Pattern(pattern) if sends => {
                    selection.patterns.push((pattern.clone(), topic.clone()));
                }
                LocalName::Pattern(_) => {}
            }
        }
        selection
    }

    /// The topics that are written out, each with its absolute name.
    pub fn exact(&self) -> &[(String, Arc<Topic>)] {
        &self.exact
    }

    /// The entry by whose pattern a topic of these types is sent.
    pub fn pattern_of(&self, name: &str, types: &[String]) -> Option<&Arc<Topic>> {
        if self.written_out.contains(name) {
            return None;
        }
        let found = self.patterns.iter().find(|(pattern, _)| pattern.matches(name, types));
        found.map(|(_, topic)| topic)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::topic;
    use super::super::{Direction, TypeName};
    use super::*;

    fn resolved(name: &str, direction: Direction) -> ResolvedTopic {
        typed(name, direction, None)
    }

    fn typed(name: &str, direction: Direction, type_name: Option<&str>) -> ResolvedTopic {
        let mut topic = topic(name, direction);
        topic.type_name = type_name.map(|text| TypeName::parse(text).expect("a type"));
        let local = match TopicPattern::new(&topic, "/rover_link") {
            Some(pattern) => LocalName::Pattern(pattern),
            None => LocalName::Exact(name.to_owned()),
        };
        ResolvedTopic { topic: Arc::new(topic), name: local }
    }

    fn entry(selection: &Selection, name: &str, types: &[&str]) -> Option<String> {
        let types: Vec<_> = types.iter().map(|&text| text.to_owned()).collect();
        selection.pattern_of(name, &types).map(|topic| topic.id.clone())
    }

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let selection = Selection::new(&[
            typed("/a/*", Direction::Send, Some("x/msg/Y")),
            resolved("/a/b*", Direction::Both),
            resolved("/**", Direction::Send),
        ]);
        assert_eq!(entry(&selection, "/a/bc", &["x/msg/Y"]).as_deref(), Some("/a/*"));
        assert_eq!(entry(&selection, "/a/bc", &["x/msg/Z"]).as_deref(), Some("/a/b*"));
        assert_eq!(entry(&selection, "/c", &[]).as_deref(), Some("/**"));
    }

    #[test]
    fn what_is_written_out_belongs_to_no_pattern_whichever_way_it_goes() {
        let selection = Selection::new(&[
            resolved("/**", Direction::Send),
            resolved("/odom", Direction::Send),
            resolved("/cmd_vel", Direction::Receive),
        ]);
        assert_eq!(entry(&selection, "/odom", &[]), None);
        assert_eq!(entry(&selection, "/cmd_vel", &[]), None);
        assert_eq!(entry(&selection, "/scan", &[]).as_deref(), Some("/**"));
        let exact: Vec<_> = selection.exact().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(exact, ["/odom"]);
    }

    #[test]
    fn a_pattern_that_only_receives_sends_nothing() {
        let selection = Selection::new(&[resolved("/**", Direction::Receive)]);
        assert_eq!(entry(&selection, "/odom", &[]), None);
    }
}

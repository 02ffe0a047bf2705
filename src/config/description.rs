//! What each parameter is for, as `config/rover.yaml` says it: that file is the one place where
//! parameters are documented, and `ros2 param describe` shows the same.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Every parameter with a comment above it, or beside it.
const DOCUMENTED: &str = include_str!("../../config/rover.yaml");

/// The blocks whose entries have names of the user's choice, each with the file's example of one.
const EXAMPLES: [(&str, &str); 3] =
    [("topics.", "odom"), ("services.", "get_map"), ("actions.", "navigate")];

/// The parameters of ROS itself, which are not for the file to explain.
const USE_SIM_TIME: &str = "Stamps of the status topics follow the topic /clock.";

/// The description of a parameter, on one line; empty for one that there is not.
pub fn description(key: &str) -> &'static str {
    static DESCRIPTIONS: LazyLock<BTreeMap<String, String>> =
        LazyLock::new(|| descriptions(DOCUMENTED));
    if key == "use_sim_time" {
        return USE_SIM_TIME;
    }
    let as_written = |(block, example)| {
        let (_, field) = key.strip_prefix(block)?.split_once('.')?;
        Some(format!("{block}{example}.{field}"))
    };
    let written = EXAMPLES.into_iter().find_map(as_written).unwrap_or_else(|| key.to_owned());
    let found = DESCRIPTIONS.get(&written);
    // Blocks whose names are free have one description for all of them.
    let block = || DESCRIPTIONS.get(written.rsplit_once('.')?.0);
    found.or_else(block).map_or("", String::as_str)
}

/// The comment above each key, or else beside it, or else that of the key before it. A key that is
/// commented out belongs to the comment above it too.
fn descriptions(yaml: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut comment = Vec::new();
    // Whether a key that is commented out has had the comment.
    let mut is_used = false;
    for line in yaml.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if content.is_empty() {
            comment.clear();
            is_used = false;
        } else if let Some(text) = content.strip_prefix('#') {
            let text = text.strip_prefix(' ').unwrap_or(text);
            if let Some(name) = text.strip_suffix(':').filter(|name| is_name(name)) {
                open.retain(|(other, _)| *other < indent);
                found.insert(path(&open, name), comment.join(" "));
                is_used = true;
            } else if !is_used {
                comment.push(text.trim());
            }
        } else if let Some((name, value)) = content.split_once(':') {
            open.retain(|(other, _)| *other < indent);
            if let Some((_, beside)) = value.split_once(" # ") {
                found.insert(path(&open, name), beside.trim().to_owned());
            } else if !comment.is_empty() {
                found.insert(path(&open, name), comment.join(" "));
            }
            open.push((indent, name));
            // The comment stays for keys that follow at once: they share it.
            if value.trim().is_empty() {
                comment.clear();
            }
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// The dotted name of a parameter within the open blocks.
fn path(open: &[(usize, &str)], name: &str) -> String {
    let blocks = open.iter().map(|(_, name)| *name).filter(|block| !block.contains('*'));
    let names = blocks.filter(|block| *block != "ros__parameters").chain([name]);
    names.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_belongs_to_the_key_below_and_to_those_that_follow_at_once() {
        let yaml = "
# A file.
/**:
  ros__parameters:
    # Who
    # it is.
    id: me

    # What may wait.
    messages: 1
    bytes: 2

    free: 3

    # Both.
    block:
      one: a    # or b
      # Commented out.
      # two:
      #   name: x
      three: c
";
        let found = descriptions(yaml);
        let expected = [
            ("/**", "A file."),
            ("block", "Both."),
            ("block.one", "or b"),
            ("block.three", "Commented out."),
            ("block.two", "Commented out."),
            ("bytes", "What may wait."),
            ("id", "Who it is."),
            ("messages", "What may wait."),
        ];
        let expected = expected.map(|(key, text)| (key.to_owned(), text.to_owned()));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn any_topic_is_described_as_the_example_is() {
        assert!(description("topics.scan.max_rate").contains("messages per second"));
        assert_eq!(description("topics.scan.queue_bytes"), description("topics.x.queue_messages"));
        assert!(description("peer_fingerprints.rover_b").starts_with("Pins a peer"));
        assert!(description("interfaces.kinds.cellular").contains("kinds"));
        assert_eq!(description("no_such_parameter"), "");
    }
}

//! The known name that a mistyped one is nearest to.

/// The known key that is probably meant by an unknown one: one with the same end further in
/// (`topics.odom.depth` means `topics.odom.qos.depth`), else the one that takes the fewest edits.
/// These are bounded by the length of the key's last part, so that a name that is merely as long
/// as another one is not taken for it; two letters changing places count as two.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (block, end) = key.rsplit_once('.').unwrap_or(("", key));
    let budget = end.len() / 3 + 1;
    let is_further_in = |other: &str| {
        other.strip_prefix(block).and_then(|rest| rest.strip_suffix(end)).is_some_and(|between| {
            between.ends_with('.') && (block.is_empty() || between.starts_with('.'))
        })
    };
    known
        .map(|other| (if is_further_in(other) { 0 } else { edits(key, other) }, other))
        .filter(|(edits, _)| *edits <= budget)
        .min()
        .map(|(_, other)| other)
}

/// Characters to insert, delete or replace to get from one word to the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_insertions_deletions_and_replacements() {
        assert_eq!(edits("depth", "depth"), 0);
        assert_eq!(edits("dept", "depth"), 1);
        assert_eq!(edits("deepth", "depth"), 1);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }

    #[test]
    fn a_typing_error_finds_its_key_and_an_unrelated_key_finds_none() {
        let known = ["topics.odom.name", "topics.odom.peers", "topics.odom.qos.depth", "fleet"];
        let nearest = |key| nearest(key, known.into_iter());
        assert_eq!(nearest("topics.odom.nmae"), Some("topics.odom.name"));
        assert_eq!(nearest("topic.odom.peers"), Some("topics.odom.peers"));
        assert_eq!(nearest("topics.odom.depth"), Some("topics.odom.qos.depth"));
        assert_eq!(nearest("topics.odom.priority"), None);
        assert_eq!(nearest("handover.duplicate"), None);
        assert_eq!(nearest("fleeet"), Some("fleet"));
    }
}

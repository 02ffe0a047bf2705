//! What does not fit: types that a peer offers and those installed here; the bridge and the publishers
//! and subscriptions beside it, of which DDS says nothing when two do not match. Pure.

use super::qos::EndpointQos;
use super::rcl::{Endpoint, RclError};
use super::report::TopicReport;
use crate::config::TypeName;
use crate::link::{Refusal, RefusalReason};

/// Why an offer is refused whose type is not installed here.
pub(super) fn not_installed(type_name: &TypeName, error: &RclError) -> Refusal {
    let text = format!("{error}; install {} and source it", type_name.package());
    Refusal::new(RefusalReason::TypeUnknown, text)
}

/// Refuses an offer whose type is defined in another way there than here, by the hashes of both; then
/// come the words for both sides.
pub(super) fn same_definition(
    type_name: &TypeName,
    (theirs, ours): (&str, &str),
    (there, here): (&str, &str),
) -> Result<(), Refusal> {
    if theirs == ours {
        return Ok(());
    }
    let text = format!(
        "{type_name} is {theirs} at the {there}, but {ours} at the {here}; install the same version \
         of {} on both sides",
        type_name.package()
    );
    Err(Refusal::new(RefusalReason::TypeMismatch, text))
}

/// Our side of a topic.
pub(super) struct OurSide<'a> {
    /// Our message type.
    pub(super) type_name: &'a str,
    /// Its hash.
    pub(super) type_hash: &'a str,
    /// What we request or offer.
    pub(super) qos: EndpointQos,
}

/// Notes publishers whose messages we do not get, or not as they mean them.
pub(super) fn note_publishers(report: &mut TopicReport, ours: &OurSide<'_>, found: &[Endpoint]) {
    note_types(report, ours, found);
    let unfit = found.iter().find(|publisher| !publisher.qos.satisfies(ours.qos));
    if let Some(publisher) = unfit {
        let (offered, requested) = (publisher.qos, ours.qos);
        report.qos_mismatch = true;
        report.remark(format!(
            "{} offers {offered}, but {requested} is configured, so nothing comes from it; set the \
             topic's qos to auto or weaker",
            publisher.node
        ));
    }
}

/// Notes subscriptions that do not get our messages.
pub(super) fn note_subscriptions(report: &mut TopicReport, ours: &OurSide<'_>, found: &[Endpoint]) {
    note_types(report, ours, found);
    let unfit = found.iter().find(|subscription| !ours.qos.satisfies(subscription.qos));
    if let Some(subscription) = unfit {
        let (requested, offered) = (subscription.qos, ours.qos);
        report.qos_mismatch = true;
        report.remark(format!(
            "{} requests {requested}, but {offered} is offered, so nothing goes to it; subscribe \
             weaker, or set the qos of the topic",
            subscription.node
        ));
    }
}

fn note_types(report: &mut TopicReport, ours: &OurSide<'_>, found: &[Endpoint]) {
    if let Some(other) = found.iter().find(|endpoint| endpoint.type_name != ours.type_name) {
        report.type_mismatch = true;
        report.remark(format!(
            "{} uses the type {}, not {}; give one of them another name",
            other.node, other.type_name, ours.type_name
        ));
    }
    let has_other_definition = |endpoint: &&Endpoint| {
        endpoint.type_name == ours.type_name
            && !endpoint.type_hash.is_empty()
            && endpoint.type_hash != ours.type_hash
    };
    if let Some(other) = found.iter().find(has_other_definition) {
        report.type_mismatch = true;
        report.remark(format!(
            "{} uses another definition of {} ({}) than is installed here ({}); build both against \
             the same package",
            other.node, ours.type_name, other.type_hash, ours.type_hash
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Durability, Reliability};
    use crate::link::PublisherId;

    const WEAK: EndpointQos = EndpointQos::new(Reliability::BestEffort, Durability::Volatile);
    const STRONG: EndpointQos = EndpointQos::new(Reliability::Reliable, Durability::TransientLocal);

    fn endpoint(type_name: &str, type_hash: &str, qos: EndpointQos) -> Endpoint {
        let id = PublisherId(1);
        let (type_name, type_hash) = (type_name.to_owned(), type_hash.to_owned());
        Endpoint { id, type_name, type_hash, node: "/talker".to_owned(), qos }
    }

    fn ours(qos: EndpointQos) -> OurSide<'static> {
        OurSide { type_name: "a/msg/A", type_hash: "RIHS01_00", qos }
    }

    #[test]
    fn what_fits_is_not_remarked() {
        let mut report = TopicReport::default();
        note_publishers(&mut report, &ours(WEAK), &[endpoint("a/msg/A", "RIHS01_00", STRONG)]);
        note_subscriptions(&mut report, &ours(STRONG), &[endpoint("a/msg/A", "", WEAK)]);
        assert_eq!(report, TopicReport::default());
    }

    #[test]
    fn a_publisher_that_offers_too_little_is_remarked() {
        let mut report = TopicReport::default();
        note_publishers(&mut report, &ours(STRONG), &[endpoint("a/msg/A", "RIHS01_00", WEAK)]);
        assert!(report.qos_mismatch && !report.type_mismatch);
        assert!(report.remark.contains("/talker offers best_effort, volatile"), "{report:?}");
    }

    #[test]
    fn a_subscription_that_asks_for_more_is_remarked() {
        let mut report = TopicReport::default();
        note_subscriptions(&mut report, &ours(WEAK), &[endpoint("a/msg/A", "RIHS01_00", STRONG)]);
        assert!(report.qos_mismatch && !report.type_mismatch);
        assert!(report.remark.contains("/talker requests reliable, transient_local"), "{report:?}");
    }

    #[test]
    fn another_type_and_another_definition_are_both_remarked() {
        let mut report = TopicReport::default();
        let found =
            [endpoint("a/msg/B", "RIHS01_02", WEAK), endpoint("a/msg/A", "RIHS01_01", WEAK)];
        note_subscriptions(&mut report, &ours(WEAK), &found);
        assert!(report.type_mismatch && !report.qos_mismatch);
        assert!(report.remark.contains("the type a/msg/B, not a/msg/A"), "{report:?}");
        assert!(report.remark.contains("RIHS01_01") && report.remark.contains("RIHS01_00"));
    }
}

//! The examination of a rover on loopback, with a real signaling server and with none.

#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::time::Duration;

use rover_link::config::{Config, PeerFilter, Secrets, TypeName};
use rover_link::net::examine::{
    Examination, Finding, IdentityContent, Mark, Member, Section, Signaling, examine, findings,
};
use rover_link::signaling::client::{self, ClientEvent, ClientOptions};
use rover_link::signaling::server::{self, ServerOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

mod loopback;

/// Far beyond what anything here takes on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A signaling server that lives as long as the test.
async fn signaling_server(token: Option<&str>) -> String {
    let token = token.map(|token| token.parse().unwrap());
    let options = ServerOptions { token, ..ServerOptions::default() };
    let listener = server::bind("127.0.0.1:0".parse().unwrap(), &options).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(server::run(listener, options, std::future::pending()));
    url
}

/// A member of the fleet, until its handle is dropped.
async fn member(url: &str, rover_id: &str) -> client::ClientHandle {
    let options = ClientOptions {
        url: url.to_owned(),
        token: None,
        fleet: "default".to_owned(),
        rover_id: rover_id.to_owned(),
        instance: Uuid::new_v4(),
        capabilities: Vec::new(),
    };
    let (handle, mut events) = client::spawn(options).unwrap();
    assert!(matches!(events.recv().await, Some(ClientEvent::Welcome { .. })));
    handle
}

/// A rover with `rover_b` as its only peer.
fn rover(url: &str) -> (Config, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let peers = PeerFilter::Only(vec!["rover_b".to_owned()]);
    (loopback::config("rover_a", url, folder.path(), peers), folder)
}

async fn examined(config: &Config, patience: Duration) -> Examination {
    let none = |_: &TypeName| Ok(());
    examine(config, &Secrets::default(), patience, none, |_| {}).await
}

/// What is said of a subject.
fn said(examination: &Examination, section: Section, subject: &str) -> Finding {
    let found = findings(examination);
    let mut found = found.into_iter().filter(|of| of.section == section && of.subject == subject);
    let first = found.next().unwrap_or_else(|| panic!("nothing is said of {subject}"));
    assert_eq!(found.next(), None);
    first
}

#[tokio::test]
async fn who_is_there_and_who_is_not_is_told() {
    let url = signaling_server(None).await;
    let _member = member(&url, "rover_c").await;
    let (config, _folder) = rover(&url);
    let found = examined(&config, PATIENCE).await;
    let Signaling::Joined { members, .. } = &found.signaling else { panic!("{found:?}") };
    assert_eq!(*members, [Member { rover_id: "rover_c".to_owned(), is_rover: false }]);
    assert_eq!(said(&found, Section::Signaling, &url).mark, Mark::Ok);
    let absent = said(&found, Section::Signaling, "rover_b");
    assert_eq!((absent.mark, absent.text.as_str()), (Mark::Note, "is not there"));
    assert_eq!(said(&found, Section::Signaling, "rover_c").mark, Mark::Note);
    // It has left again.
    let again = examined(&config, PATIENCE).await;
    assert!(matches!(again.signaling, Signaling::Joined { .. }), "{:?}", again.signaling);
}

#[tokio::test]
async fn a_node_that_is_a_member_already_is_well() {
    let url = signaling_server(None).await;
    let _node = member(&url, "rover_a").await;
    let (config, _folder) = rover(&url);
    let found = examined(&config, PATIENCE).await;
    assert_eq!(found.signaling, Signaling::NodeIsMember);
    assert_eq!(said(&found, Section::Signaling, &url).mark, Mark::Ok);
}

#[tokio::test]
async fn a_server_that_wants_a_token_says_so() {
    let url = signaling_server(Some("sesame")).await;
    let (config, _folder) = rover(&url);
    let found = examined(&config, PATIENCE).await;
    assert_eq!(found.signaling, Signaling::TokenRefused);
    let problem = said(&found, Section::Signaling, &url);
    assert_eq!(problem.mark, Mark::Problem);
    assert!(problem.remedy.unwrap().contains("ROVER_LINK_TOKEN"));
    let secrets = Secrets { token: Some("sesame".to_owned()), ..Secrets::default() };
    let found = examine(&config, &secrets, PATIENCE, |_| Ok(()), |_| {}).await;
    assert!(matches!(found.signaling, Signaling::Joined { .. }));
}

#[tokio::test]
async fn a_server_that_is_not_there_and_one_that_is_silent_are_problems() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (config, _folder) = rover(&url);
    let announced = RefCell::new(Vec::new());
    let announce = |text: &str| announced.borrow_mut().push(text.to_owned());
    let patience = Duration::from_millis(1_500);
    let found = examine(&config, &Secrets::default(), patience, |_| Ok(()), announce).await;
    assert_eq!(found.signaling, Signaling::Silent);
    assert!(announced.borrow()[0].contains(&url), "{announced:?}");
    drop(listener);
    let found = examined(&config, PATIENCE).await;
    assert!(matches!(found.signaling, Signaling::NotConnected { .. }), "{:?}", found.signaling);
    assert_eq!(said(&found, Section::Signaling, &url).mark, Mark::Problem);
}

#[tokio::test]
async fn addresses_identity_and_types_are_told_and_nothing_is_made() {
    let (config, folder) = rover("ws://127.0.0.1:1");
    let found = examined(&config, PATIENCE).await;
    let used: Vec<_> = found.addresses.iter().filter(|of| of.unused.is_none()).collect();
    assert!(used.iter().all(|of| of.interface == "lo"), "{used:?}");
    assert!(used.iter().any(|of| of.address == Some([127, 0, 0, 1].into())), "{used:?}");
    assert_eq!(found.identity.content, IdentityContent::Missing);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    let made = rover_link::net::load_or_create(&config.identity_file).unwrap();
    let found = examined(&config, PATIENCE).await;
    let fingerprint = rover_link::link::fingerprint(&made);
    assert_eq!(found.identity.content, IdentityContent::Ready { fingerprint });
}

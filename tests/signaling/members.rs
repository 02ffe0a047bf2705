//! A thousand members of one server process at once.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::program::{Running, program};
use crate::stage::{Member, connect, hello, patiently, signal};

const MEMBERS: usize = 1000;
/// Members that join at the same time. An unoptimised server needs some seconds for all of them,
/// and would lose patience with the last.
const ENTERING: usize = 50;
/// Most memory of the server's process, in bytes: 128 KiB for each member.
const MAX_MEMORY: usize = MEMBERS * 128 * 1024;

/// A thousand connections are about as many as many systems allow at first.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("as many files as the system allows");
}

/// As much of a message as this test looks at; a million of them are read.
#[derive(Deserialize)]
struct Heard<'a> {
    r#type: &'a str,
    rover_id: Option<&'a str>,
    from: Option<&'a str>,
    body: Option<&'a str>,
    #[serde(default, borrow)]
    peers: Vec<Known<'a>>,
}

#[derive(Deserialize)]
struct Known<'a> {
    rover_id: &'a str,
}

fn name(number: usize) -> String {
    format!("rover_{:04}", number % MEMBERS)
}

/// Joins, offers to the next member as soon as that is there, and is done when its offer has been
/// answered and it has answered the offer of the one before.
async fn take_part(server: Arc<Running>, door: Arc<Semaphore>, number: usize) -> Member {
    let entering = door.acquire().await.expect("the door is never closed");
    let mut member = connect(&server.url).await;
    member.say(hello(&name(number), Uuid::new_v4())).await;
    let mut entering = Some(entering);
    let next = name(number + 1);
    let (mut has_answered, mut has_answer) = (false, false);
    while !(has_answered && has_answer) {
        let text = match member.socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_))) => continue,
            other => panic!("{}: {other:?}", name(number)),
        };
        // Whatever comes first, this member is in.
        entering.take();
        let heard: Heard<'_> = serde_json::from_str(&text).expect("a message");
        let say = match (heard.r#type, heard.from, heard.body) {
            ("welcome", ..) if heard.peers.iter().any(|peer| peer.rover_id == next) => {
                Some(signal(&next, json!("offer")))
            }
            ("peer_joined", ..) if heard.rover_id == Some(&next) => {
                Some(signal(&next, json!("offer")))
            }
            ("signal", Some(from), Some("offer")) => {
                has_answered = true;
                Some(signal(from, json!("answer")))
            }
            ("signal", Some(from), Some("answer")) => {
                assert_eq!(from, next);
                has_answer = true;
                None
            }
            ("welcome" | "peer_joined", ..) => None,
            (other, ..) => panic!("{}: {other}: {text}", name(number)),
        };
        if let Some(say) = say {
            member.socket.send(Message::text(say.to_string())).await.expect("a connection");
        }
    }
    member
}

#[tokio::test]
async fn a_thousand_members_join_one_fleet_and_signal_in_bounded_memory() {
    raise_file_limit();
    let server = Arc::new(Running::start(program(&["--bind", "127.0.0.1:0"])));
    let door = Arc::new(Semaphore::new(ENTERING));
    let mut tasks = JoinSet::new();
    for number in 0..MEMBERS {
        tasks.spawn(take_part(Arc::clone(&server), Arc::clone(&door), number));
    }
    let members = patiently("a thousand members", tasks.join_all()).await;
    assert_eq!(members.len(), MEMBERS);

    // And the server still has room and time for one more.
    let mut late = connect(&server.url).await;
    late.say(hello("late", Uuid::new_v4())).await;
    let welcome = late.hear().await;
    assert_eq!(welcome["peers"].as_array().map(Vec::len), Some(MEMBERS));
    let peak = server.peak_memory();
    assert!(peak < MAX_MEMORY, "the server took {peak} bytes");
}

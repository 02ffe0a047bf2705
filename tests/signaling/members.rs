//! A thousand members of one server process at once.

use std::sync::Arc;

use futures::StreamExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::program::{Running, program};
use crate::stage::{connect, hello, patiently, signal};

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

/// What the members of this test share.
struct Fleet {
    server: Running,
    /// Lets some in at a time.
    door: Semaphore,
    done: mpsc::Sender<()>,
}

/// Joins, offers to the next member as soon as that is there, answers the one before, and is done
/// when it has its answer too. Then it stays, as members do.
async fn take_part(fleet: Arc<Fleet>, number: usize) {
    let mut entering = Some(fleet.door.acquire().await.expect("the door is never closed"));
    let mut member = connect(&fleet.server.url).await;
    member.say(hello(&name(number), Uuid::new_v4())).await;
    let next = name(number + 1);
    let mut to_do = 2;
    loop {
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
            ("signal", Some(from), Some("offer")) => Some(signal(from, json!("answer"))),
            ("signal", Some(from), Some("answer")) if from == next => None,
            ("welcome" | "peer_joined", ..) => continue,
            (other, ..) => panic!("{}: {other}: {text}", name(number)),
        };
        if let Some(say) = say {
            member.say(say).await;
        }
        if heard.r#type == "signal" {
            to_do -= 1;
            if to_do == 0 {
                fleet.done.send(()).await.expect("the test waits");
            }
        }
    }
}

#[tokio::test]
async fn a_thousand_members_join_one_fleet_and_signal_in_bounded_memory() {
    raise_file_limit();
    let server = Running::start(program(&["--bind", "127.0.0.1:0"]));
    let (done, mut are_done) = mpsc::channel(MEMBERS);
    let fleet = Arc::new(Fleet { server, door: Semaphore::new(ENTERING), done });
    let mut members = JoinSet::new();
    for number in 0..MEMBERS {
        members.spawn(take_part(Arc::clone(&fleet), number));
    }
    patiently("a thousand members", async {
        for _ in 0..MEMBERS {
            tokio::select! {
                Some(()) = are_done.recv() => {}
                Some(ended) = members.join_next() => ended.expect("members stay"),
            }
        }
    })
    .await;

    // And the server still has room and time for one more.
    let mut late = connect(&fleet.server.url).await;
    late.say(hello("late", Uuid::new_v4())).await;
    let welcome = late.hear().await;
    assert_eq!(welcome["peers"].as_array().map(Vec::len), Some(MEMBERS));
    let peak = fleet.server.peak_memory();
    assert!(peak < MAX_MEMORY, "the server took {peak} bytes");
}

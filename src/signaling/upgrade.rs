//! The HTTP part of a connection: one request, which becomes a WebSocket (RFC 6455 §4.2) or gets a
//! plain answer.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::header::{
    AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};

use super::message::SUBPROTOCOL;
use super::token::Token;

/// Longest request head, in bytes; a long token and what proxies add fit in.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// What a request gets.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The connection is a WebSocket from now on. `consumed` bytes belong to the request.
    Upgrade { response: Vec<u8>, consumed: usize },
    /// This, and the connection ends.
    Plain(Vec<u8>),
}

/// Reads the request and answers it. When the connection has become a WebSocket, returns what
/// arrived of it already.
pub(super) async fn upgrade(
    stream: &mut TcpStream,
    token: Option<&Token>,
) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
        match answer(&head, token) {
            None => {}
            Some(Answer::Upgrade { response, consumed }) => {
                stream.write_all(&response).await?;
                return Ok(Some(head.split_off(consumed)));
            }
            Some(Answer::Plain(response)) => {
                stream.write_all(&response).await?;
                return Ok(None);
            }
        }
    }
}

/// The answer to a request, or `None` while its head is not complete.
fn answer(head: &[u8], token: Option<&Token>) -> Option<Answer> {
    let (consumed, request) = match Request::try_parse(head) {
        Ok(Some(parsed)) => parsed,
        Ok(None) if head.len() < MAX_HEAD_BYTES => return None,
        Ok(None) => return Some(plain("431 Request Header Fields Too Large", "", "too long")),
        Err(_) => return Some(plain("400 Bad Request", "", "only GET of HTTP/1.1 is served")),
    };
    let headers = request.headers();
    let path = request.uri().path();
    if path == "/healthz" {
        return Some(plain("200 OK", "", "ok"));
    }
    // Any other path may become a WebSocket: behind a reverse proxy the server has a path of its own.
    let upgrade = headers.get(UPGRADE).map_or(&b""[..], HeaderValue::as_bytes);
    if !upgrade.eq_ignore_ascii_case(b"websocket") {
        return Some(match path {
            "/" => plain(
                "426 Upgrade Required",
                "Upgrade: websocket\r\n",
                "this is a WebSocket server",
            ),
            _ => plain("404 Not Found", "", "not found"),
        });
    }
    let authorization = headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    if token.is_some_and(|token| !token.is_presented_by(authorization)) {
        let challenge = "WWW-Authenticate: Bearer\r\n";
        return Some(plain("401 Unauthorized", challenge, "wrong or missing token"));
    }
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    if !offered
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|protocol| protocol.trim_ascii() == SUBPROTOCOL.as_bytes())
    {
        let text = format!("the subprotocol {SUBPROTOCOL} is required");
        return Some(plain("400 Bad Request", "", &text));
    }
    Some(accept(&request, consumed).unwrap_or_else(|| {
        plain("400 Bad Request", "Sec-WebSocket-Version: 13\r\n", "not a WebSocket handshake")
    }))
}

fn accept(request: &Request, consumed: usize) -> Option<Answer> {
    let mut response = create_response(request).ok()?;
    let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).ok()?;
    Some(Answer::Upgrade { response: bytes, consumed })
}

fn plain(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len() + 1;
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n{headers}\r\n{body}\n"
    );
    Answer::Plain(response.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: chat, rover-link.v1\r\nAuthorization: Bearer s3cret\r\n\r\n";

    fn status(request: &str) -> String {
        let token = "s3cret".parse().expect("a token");
        let response = match answer(request.as_bytes(), Some(&token)).expect("an answer") {
            Answer::Upgrade { response, .. } | Answer::Plain(response) => response,
        };
        let response = String::from_utf8(response).expect("text");
        response.split(' ').nth(1).expect("a status").to_owned()
    }

    #[test]
    fn a_handshake_is_accepted_with_the_subprotocol_and_the_key_of_the_rfc() {
        let token = "s3cret".parse().expect("a token");
        let request = format!("{HANDSHAKE}first frame");
        let Some(Answer::Upgrade { response, consumed }) = answer(request.as_bytes(), Some(&token))
        else {
            panic!("not upgraded");
        };
        let response = String::from_utf8(response).expect("text").to_lowercase();
        assert!(response.starts_with("http/1.1 101 "), "{response}");
        assert!(response.contains("sec-websocket-protocol: rover-link.v1\r\n"), "{response}");
        // The value that RFC 6455 §1.3 computes for this key.
        assert!(response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"));
        assert_eq!(&request[consumed..], "first frame");
    }

    #[test]
    fn a_request_is_answered_when_its_head_is_complete_and_not_before() {
        for length in 0..HANDSHAKE.len() {
            assert_eq!(answer(&HANDSHAKE.as_bytes()[..length], None), None);
        }
        assert!(answer(HANDSHAKE.as_bytes(), None).is_some());
    }

    #[test]
    fn each_way_to_be_wrong_has_its_status() {
        assert_eq!(status(HANDSHAKE), "101");
        assert_eq!(status(&HANDSHAKE.replace("s3cret", "s3cre7")), "401");
        assert_eq!(status(&HANDSHAKE.replace("Authorization: Bearer s3cret\r\n", "")), "401");
        assert_eq!(status(&HANDSHAKE.replace("rover-link.v1", "rover-link.v2")), "400");
        assert_eq!(status(&HANDSHAKE.replace("Version: 13", "Version: 8")), "400");
        assert_eq!(status(&HANDSHAKE.replace("Upgrade: websocket\r\n", "")), "426");
        assert_eq!(status("GET /nowhere HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status("GET /healthz HTTP/1.1\r\n\r\n"), "200");
        assert_eq!(status("POST /healthz HTTP/1.1\r\n\r\n"), "400");
        assert_eq!(status("\u{16}\u{3}\u{1} this is TLS\r\n\r\n"), "400");
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD_BYTES))), "431");
    }
}

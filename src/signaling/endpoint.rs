//! Where the signaling server is, and how to get a WebSocket to it.

use std::fmt;
use std::sync::Arc;

use log::warn;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::http::header::{
    AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL,
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::client::ClientError;
use super::message::SUBPROTOCOL;
use super::token::{Token, TokenError};

/// Longest message from the server, in bytes: a welcome to a fleet of 4,096 with long names.
const MAX_SERVER_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Buffer for what arrives, and for what leaves, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

pub(super) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where the server is and how to show that one may use it.
pub(super) struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    connector: Connector,
    authorization: Option<HeaderValue>,
}

impl Endpoint {
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let malformed = || ClientError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        let (connector, default_port) = match uri.scheme_str() {
            Some("ws") => (Connector::Plain, 80),
            Some("wss") => (Connector::Rustls(tls()?), 443),
            _ => return Err(malformed()),
        };
        let host = uri.host().map(|host| host.trim_matches(['[', ']']));
        let host = host.filter(|host| !host.is_empty()).ok_or_else(malformed)?.to_owned();
        let port = uri.port_u16().unwrap_or(default_port);
        let authorization = token.map(authorization).transpose()?;
        Ok(Self { uri, host, port, connector, authorization })
    }

    /// Makes TCP, TLS and the WebSocket upgrade, for as long as they take.
    pub(super) async fn connect(&self) -> Result<WebSocket, Error> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let mut request = self.uri.clone().into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_message_size(Some(MAX_SERVER_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_SERVER_MESSAGE_BYTES));
        let connector = Some(self.connector.clone());
        let connecting = client_async_tls_with_config(request, stream, Some(config), connector);
        Ok(connecting.await?.0)
    }
}

fn authorization(token: &str) -> Result<HeaderValue, TokenError> {
    let text = token.parse::<Token>()?.authorization();
    let mut value = HeaderValue::from_str(&text).map_err(|_| TokenError::IllegalCharacter)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads the system's certificates once: it takes too long for the task that moves datagrams.
fn tls() -> Result<Arc<ClientConfig>, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        warn!("root certificates: {error}");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(ClientError::NoRootCertificates);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signaling server {}:{}", self.host, self.port)
    }
}

//! The embedded MQTT broker: `rumqttd` on loopback, for the demo and for installations on one box.
//!
//! It keeps nothing over a restart, neither retained messages nor sessions. Nothing here depends on it: an agent
//! deletes on the collector's signed acknowledgement alone, and the collector publishes acknowledgements and
//! requests anew at every connect. This is the only file that knows rumqttd.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rumqttd::protocol::v5::V5;
use rumqttd::{ConnectionSettings, LinkType, Router, RouterConfig, Server, ServerSettings};
use tokio::runtime::Runtime;

/// Attempts to find a port that is still free when the broker binds it.
const PORT_ATTEMPTS: usize = 20;
/// One segment of the broker's memory for a topic filter; at [`SEGMENTS`] of them it drops its oldest messages,
/// which agents then send again because no acknowledgement came.
const SEGMENT_BYTES: usize = 8 << 20;
const SEGMENTS: usize = 8;
/// More agents than this on one embedded broker are refused; a county uses an external broker.
const CONNECTIONS_MAX: usize = 2000;

/// Why the embedded broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Every address but loopback is refused: the embedded broker has no transport security.
    #[error("embedded broker on {0}: only loopback is allowed; use an external broker for other hosts")]
    NotLoopback(SocketAddr),
    /// The port is taken or the address is not of this host.
    #[error("bind the embedded broker to {address}: {reason}; free the port or choose another in [broker] listen")]
    Bind {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The threads of the broker could not be started.
    #[error("start the embedded broker's runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// A running broker; dropping it closes every connection and forgets everything.
pub struct Broker {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Broker {
    /// Listens on `listen`; with port 0 on some free port. `packet_max` bounds the payload of one message, bytes.
    pub async fn start(listen: SocketAddr, packet_max: usize) -> Result<Self, BrokerError> {
        if !listen.ip().is_loopback() {
            return Err(BrokerError::NotLoopback(listen));
        }
        let mut last = String::new();
        let mut address = listen;
        for _ in 0..PORT_ATTEMPTS {
            address = if listen.port() == 0 { free_port(listen)? } else { listen };
            match listen_on(address, packet_max).await? {
                Ok(runtime) => return Ok(Self { address, runtime: Some(runtime) }),
                Err(reason) => last = reason,
            }
            if listen.port() != 0 {
                break;
            }
        }
        Err(BrokerError::Bind { address, reason: last })
    }

    /// Stops, and answers when the port is free again.
    pub async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let stopped = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(5))).await;
            if let Err(error) = stopped {
                tracing::warn!(%error, "the embedded broker did not stop in order");
            }
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A port that was free a moment ago. rumqttd does not tell which port it got, so the port is chosen before.
fn free_port(listen: SocketAddr) -> Result<SocketAddr, BrokerError> {
    let probe = TcpListener::bind(listen)?;
    Ok(probe.local_addr()?)
}

/// Runs a broker in a runtime of its own, so that stopping it stops its connections too.
async fn listen_on(address: SocketAddr, packet_max: usize) -> Result<Result<Runtime, String>, BrokerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("embedded-broker")
        .enable_all()
        .build()?;
    let router = Router::new(0, router_config()).spawn();
    let mut server = Server::new(server_settings(address, packet_max), router, V5);
    let mut running = runtime.spawn(async move { server.start(LinkType::Remote).await.map_err(|e| e.to_string()) });
    // The server binds in its first step: either it ends with an error, or it answers on its address.
    for _ in 0..200 {
        match tokio::time::timeout(Duration::from_millis(10), &mut running).await {
            Ok(Ok(Err(reason))) => return Ok(stopped(runtime, reason)),
            Ok(Ok(Ok(()))) => return Ok(stopped(runtime, "it stopped at once".to_owned())),
            Ok(Err(join)) => return Ok(stopped(runtime, join.to_string())),
            Err(_still_running) => {}
        }
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(Ok(runtime));
        }
    }
    Ok(stopped(runtime, "it does not answer".to_owned()))
}

fn stopped(runtime: Runtime, reason: String) -> Result<Runtime, String> {
    runtime.shutdown_background();
    Err(reason)
}

fn router_config() -> RouterConfig {
    RouterConfig {
        max_connections: CONNECTIONS_MAX,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    }
}

fn server_settings(listen: SocketAddr, packet_max: usize) -> ServerSettings {
    ServerSettings {
        name: "plumbline".to_owned(),
        listen,
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 5000,
            max_payload_size: packet_max,
            max_inflight_count: 200,
            auth: None::<HashMap<String, String>>,
            external_auth: None,
            dynamic_filters: true,
        },
    }
}

/// The loopback address with a port to be chosen.
pub fn any_loopback_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_off_loopback_is_refused() {
        let error = Broker::start("0.0.0.0:0".parse().unwrap(), 1024).await.err().unwrap();
        assert!(matches!(error, BrokerError::NotLoopback(_)), "{error}");
    }

    #[tokio::test]
    async fn a_taken_port_is_named_and_a_free_one_is_found() {
        let taken = TcpListener::bind(any_loopback_port()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = Broker::start(address, 1024).await.err().unwrap();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        let broker = Broker::start(any_loopback_port(), 1024).await.unwrap();
        assert_ne!(broker.address().port(), 0);
    }
}

//! An OPC UA server as a source: one task, one session, a subscription for each group.
//!
//! The client reconnects by itself and is the only owner of the connection; this task watches what it does and
//! works round what it does not do. After every reconnect publishing is triggered, because the client otherwise
//! stays silent for ever. Messages that are missing in the row of sequence numbers are asked for again, and what came
//! after them waits for them; what the server no longer has, and a subscription that is silent although connected,
//! ends the session, and everything is made anew. The host of the configuration is dialled, never the one that the
//! server advertises. What was lost is said: each tag becomes Bad right after the last life sign. Types of the OPC UA
//! library stay in this folder.

mod map;
mod subscription;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use opcua::client::{ClientBuilder, IdentityToken, Session, SessionPollResult};
use opcua::types::{
    EndpointDescription, Identifier, MessageSecurityMode, MonitoredItemCreateRequest, MonitoringMode,
    MonitoringParameters, NodeId, ReadValueId, TimestampsToReturn,
};
use shopfloor::sample::StatusCode;
use shopfloor::time::Wait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::{Backoff, jitter};
use crate::config;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use subscription::{Signal, Watched};

/// Monitored items asked for in one call.
const CHUNK: usize = 500;
/// Values that one publish response may carry.
const NOTIFICATIONS_MAX: u32 = 10_000;
/// How often the client looks whether a further publish request is due, beside the one after each answer. It keeps so
/// many of them waiting as round trips fit into this, two for each subscription at least: a shorter time makes a slow
/// line ask for more than many servers allow (`BadTooManyPublishRequests`).
const PUBLISH_REQUESTS: Duration = Duration::from_millis(100);
/// How often silence is looked for.
const WATCH: Duration = Duration::from_millis(250);
/// How long the server is asked to keep a subscription while we are away.
const LIFETIME: Duration = Duration::from_mins(10);
/// Nodes that the server refused are asked for again after this, doubling up to `NODES_AGAIN_MAX`.
const NODES_AGAIN: Duration = Duration::from_secs(30);
/// The longest such wait.
const NODES_AGAIN_MAX: Duration = Duration::from_mins(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// The task of one server.
pub struct OpcUa {
    name: String,
    settings: config::OpcUa,
    groups: Vec<(u16, Vec<usize>)>,
    reconnect_max: Duration,
    certificates: PathBuf,
    recorder: Recorder,
    metrics: Metrics,
}

/// Why a session ended.
enum Over {
    Stopped,
    Broken(String),
}

/// A subscription on the server.
struct Subscribed {
    group: u16,
    id: u32,
    watched: Watched,
    /// Columns that the server does not monitor.
    refused: Vec<u16>,
}

/// A session that is being polled.
struct Connection {
    session: Arc<Session>,
    events: mpsc::Receiver<SessionPollResult>,
    polling: JoinHandle<()>,
}

impl OpcUa {
    /// A source that subscribes `groups`: the group of the register map and its tags by index. The client makes
    /// its folders for certificates in `certificates`.
    pub fn new(
        name: String,
        settings: config::OpcUa,
        groups: Vec<(u16, Vec<usize>)>,
        reconnect_max: Duration,
        certificates: PathBuf,
        recorder: Recorder,
        metrics: Metrics,
    ) -> Self {
        Self { name, settings, groups, reconnect_max, certificates, recorder, metrics }
    }

    /// Subscribes until `stop`.
    pub async fn run(self, wait: Arc<dyn Wait>, stop: CancellationToken) {
        let mut backoff = Backoff::new(self.reconnect_max);
        loop {
            let why = match self.session(&wait, &stop, &mut backoff).await {
                Over::Stopped => return,
                Over::Broken(why) => why,
            };
            let pause = backoff.next(jitter());
            self.metrics.read_failures.with_label_values(&[self.name.as_str(), "session"]).inc();
            tracing::warn!(source = self.name, endpoint = self.settings.endpoint, why, retry_in = ?pause, "no session");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn session(&self, wait: &Arc<dyn Wait>, stop: &CancellationToken, backoff: &mut Backoff) -> Over {
        let connecting = tokio::time::timeout(self.settings.connect_timeout, self.connect());
        let mut connection = tokio::select! {
            () = stop.cancelled() => return Over::Stopped,
            connected = connecting => match connected {
                Ok(Ok(connection)) => connection,
                Ok(Err(why)) => return Over::Broken(why),
                Err(_) => return Over::Broken(format!("no session within {:?}", self.settings.connect_timeout)),
            },
        };
        self.metrics.connects.with_label_values(&[&self.name]).inc();
        let (sender, signals) = mpsc::unbounded_channel();
        let mut subscribed = Vec::new();
        let subscribing = tokio::time::timeout(
            self.settings.connect_timeout * 10,
            self.subscribe(&connection.session, wait, &sender, &mut subscribed),
        );
        let over = tokio::select! {
            () = stop.cancelled() => Over::Stopped,
            made = subscribing => match made {
                Ok(Ok(())) => {
                    tracing::info!(source = self.name, endpoint = self.settings.endpoint, "subscribed");
                    backoff.reset();
                    self.watch(&mut connection, signals, &mut subscribed, stop).await
                }
                Ok(Err(why)) => Over::Broken(why),
                Err(_) => Over::Broken("subscribing took too long".to_owned()),
            },
        };
        connection.close().await;
        // After the goodbye nothing can arrive any more that would look like life.
        for made in &subscribed {
            if matches!(over, Over::Broken(_)) || made.watched.missing().is_some() {
                made.watched.lost();
            }
        }
        over
    }

    async fn connect(&self) -> Result<Connection, String> {
        let mut client = ClientBuilder::new()
            .application_name("plumbline-agent")
            .application_uri("urn:plumbline:agent")
            .product_uri("urn:plumbline:agent")
            .session_name(format!("plumbline-agent {}", self.name))
            .pki_dir(&self.certificates)
            .create_sample_keypair(false)
            .trust_server_certs(false)
            .verify_server_certs(true)
            .session_retry_limit(-1)
            .session_retry_initial(Backoff::new(self.reconnect_max).next(jitter()))
            .session_retry_max(self.reconnect_max)
            .min_publish_interval(PUBLISH_REQUESTS)
            .request_timeout(self.settings.connect_timeout)
            .max_array_length(1 << 20)
            .max_string_length(1 << 20)
            .max_byte_string_length(16 << 20)
            .max_message_size(64 << 20)
            .max_chunk_count(4096)
            .client()
            .map_err(|problems| problems.join("; "))?;
        let url = self.settings.endpoint.clone();
        let offered = client.get_server_endpoints_from_url(url.clone()).await.map_err(|e| e.to_string())?;
        let none = |e: &EndpointDescription| {
            e.security_mode == MessageSecurityMode::None && e.security_policy_uri.as_ref().ends_with("#None")
        };
        let mut endpoint =
            offered.into_iter().find(none).ok_or("the server offers no endpoint with security policy None")?;
        endpoint.endpoint_url = url.into();
        let (session, event_loop) =
            client.connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous).map_err(|e| e.to_string())?;
        let (sender, mut events) = mpsc::channel(64);
        let polling = tokio::spawn(async move {
            let mut stream = std::pin::pin!(event_loop.enter());
            while let Some(Ok(event)) = stream.next().await {
                let matters = matches!(
                    event,
                    SessionPollResult::ConnectionLost(_)
                        | SessionPollResult::ReconnectFailed(_)
                        | SessionPollResult::Reconnected(_)
                );
                if matters && sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        loop {
            match events.recv().await {
                Some(SessionPollResult::Reconnected(_)) => return Ok(Connection { session, events, polling }),
                Some(SessionPollResult::ReconnectFailed(status)) => {
                    polling.abort();
                    return Err(format!("connecting failed: {status}"));
                }
                Some(_) => {}
                None => return Err("the client gave up".to_owned()),
            }
        }
    }

    async fn subscribe(
        &self,
        session: &Session,
        wait: &Arc<dyn Wait>,
        signals: &mpsc::UnboundedSender<Signal>,
        subscribed: &mut Vec<Subscribed>,
    ) -> Result<(), String> {
        session.read_namespace_array().await.map_err(|e| format!("reading the namespaces: {e}"))?;
        let publishing = self.settings.publishing_interval;
        let counts =
            |time: Duration| u32::try_from(time.as_nanos().div_ceil(publishing.as_nanos().max(1))).unwrap_or(u32::MAX);
        let keep_alive = counts(Duration::from_secs(1)).max(1);
        let lifetime = counts(LIFETIME).max(keep_alive.saturating_mul(3));
        for (group, tags) in &self.groups {
            let types = tags.iter().map(|i| self.settings.tags[*i].data_type).collect();
            let watched = Watched::new(*group, types, Arc::clone(wait), self.recorder.clone(), signals.clone());
            let id = session
                .create_subscription(publishing, lifetime, keep_alive, NOTIFICATIONS_MAX, 0, true, watched.clone())
                .await
                .map_err(|e| format!("creating a subscription: {e}"))?;
            let mut made = Subscribed { group: *group, id, watched, refused: Vec::new() };
            let columns = 0..u16::try_from(tags.len()).unwrap_or(u16::MAX);
            let created = self.monitor(session, &mut made, tags, &columns.collect::<Vec<_>>()).await;
            subscribed.push(made);
            created?;
        }
        Ok(())
    }

    /// Asks the server to monitor these columns; those that it refuses become Bad and are remembered.
    async fn monitor(
        &self,
        session: &Session,
        made: &mut Subscribed,
        tags: &[usize],
        columns: &[u16],
    ) -> Result<(), String> {
        let mut refused = Vec::new();
        let mut items = Vec::new();
        for column in columns {
            match item(session, *column, &self.settings.tags[tags[usize::from(*column)]]) {
                Some(item) => items.push((*column, item)),
                None => refused.push((*column, StatusCode::BAD_NODE_ID_UNKNOWN)),
            }
        }
        for chunk in items.chunks(CHUNK) {
            let requests = chunk.iter().map(|(_, item)| item.clone()).collect();
            let results = session
                .create_monitored_items(made.id, TimestampsToReturn::Both, requests)
                .await
                .map_err(|e| format!("creating monitored items: {e}"))?;
            for ((column, _), result) in chunk.iter().zip(results) {
                if !result.result.status_code.is_good() {
                    refused.push((*column, StatusCode(result.result.status_code.bits())));
                }
            }
        }
        for (column, status) in &refused {
            let tag = &self.settings.tags[tags[usize::from(*column)]].name;
            tracing::warn!(source = self.name, %tag, status = format!("{:08X}", status.0), "the server does not monitor the node; asked again later");
            if !made.refused.contains(column) {
                made.watched.refused(*column, *status);
            }
        }
        made.refused = refused.into_iter().map(|(column, _)| column).collect();
        Ok(())
    }

    async fn watch(
        &self,
        connection: &mut Connection,
        mut signals: mpsc::UnboundedReceiver<Signal>,
        subscribed: &mut [Subscribed],
        stop: &CancellationToken,
    ) -> Over {
        let mut tick = tokio::time::interval(WATCH);
        let mut pause = NODES_AGAIN;
        let mut nodes_again = Instant::now() + pause;
        let mut connected = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Over::Stopped,
                event = connection.events.recv() => match event {
                    Some(SessionPollResult::Reconnected(_)) => {
                        connected = true;
                        let again = match self.reconnected(&connection.session, subscribed) {
                            Ok(()) => self.republish(&connection.session, subscribed).await,
                            Err(why) => Err(why),
                        };
                        if let Err(why) = again {
                            return Over::Broken(why);
                        }
                    }
                    Some(SessionPollResult::ConnectionLost(status)) => {
                        self.metrics.read_failures.with_label_values(&[self.name.as_str(), "connection"]).inc();
                        tracing::warn!(source = self.name, %status, "connection lost; the client connects again");
                        connected = false;
                    }
                    Some(_) => {}
                    None => return Over::Broken("the client gave up".to_owned()),
                },
                Some(signal) = signals.recv() => {
                    if let Err(why) = signalled(signal) {
                        return Over::Broken(why);
                    }
                    if let Err(why) = self.republish(&connection.session, subscribed).await {
                        return Over::Broken(why);
                    }
                }
                _ = tick.tick() => {
                    let silent = subscribed.iter().any(|s| s.watched.last_activity().elapsed() > self.settings.silence);
                    if silent && connected {
                        return Over::Broken(format!("a subscription was silent for {:?}", self.settings.silence));
                    }
                    if connected
                        && let Err(why) = self.republish(&connection.session, subscribed).await {
                            return Over::Broken(why);
                        }
                    if Instant::now() >= nodes_again && connected {
                        if let Err(why) = self.ask_again(&connection.session, subscribed).await {
                            return Over::Broken(why);
                        }
                        pause = (pause * 2).min(NODES_AGAIN_MAX);
                        nodes_again = Instant::now() + pause;
                    }
                }
            }
        }
    }

    /// The client does not publish again by itself after a reconnect. If it had to make subscriptions anew, values
    /// were lost without a trace in its sequence numbers, so the whole session is made anew instead.
    fn reconnected(&self, session: &Session, subscribed: &[Subscribed]) -> Result<(), String> {
        let state = session.subscription_state().lock();
        let kept = subscribed.iter().all(|s| state.subscription_exists(s.id));
        drop(state);
        if !kept {
            return Err("the server had dropped the subscriptions".to_owned());
        }
        self.metrics.connects.with_label_values(&[&self.name]).inc();
        tracing::info!(source = self.name, "connected again, subscriptions kept");
        session.trigger_publish_now();
        Ok(())
    }

    /// Asks for missing messages. While the connection is bad they stay missing and are asked for again; what the
    /// server no longer has is lost, and so is what it does not send for as long as silence is borne.
    async fn republish(&self, session: &Session, subscribed: &[Subscribed]) -> Result<(), String> {
        for made in subscribed {
            while let Some(sequence) = made.watched.missing() {
                match session.republish(made.id, sequence).await {
                    Ok(message) if message.sequence_number == sequence => {
                        tracing::info!(source = self.name, sequence, "a missing message was sent again");
                        made.watched.republished(sequence, &message);
                    }
                    // A server may say Good and send an empty message, as asyncua does.
                    Ok(_) => return Err(self.gone(sequence, "the server sent another message")),
                    Err(error) => {
                        let since = made.watched.missing_since();
                        let overdue = since.is_some_and(|since| since.elapsed() > self.settings.silence);
                        if overdue || !is_connection(error.status()) {
                            return Err(self.gone(sequence, error));
                        }
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn gone(&self, sequence: u32, why: impl std::fmt::Display) -> String {
        self.metrics.read_failures.with_label_values(&[self.name.as_str(), "republish"]).inc();
        format!("message {sequence} is missing and cannot be had again: {why}")
    }

    async fn ask_again(&self, session: &Session, subscribed: &mut [Subscribed]) -> Result<(), String> {
        if subscribed.iter().all(|s| s.refused.is_empty()) {
            return Ok(());
        }
        session.read_namespace_array().await.map_err(|e| format!("reading the namespaces: {e}"))?;
        for made in subscribed.iter_mut().filter(|s| !s.refused.is_empty()) {
            let columns = made.refused.clone();
            let tags = self.groups.iter().find(|(group, _)| *group == made.group).map(|(_, tags)| tags.clone());
            self.monitor(session, made, &tags.unwrap_or_default(), &columns).await?;
        }
        Ok(())
    }
}

/// Why the session is to end, if it is to.
fn signalled(signal: Signal) -> Result<(), String> {
    match signal {
        Signal::Missing => Ok(()),
        Signal::TooMuchMissing => Err("too many messages are missing".to_owned()),
        Signal::Over { status } => Err(format!("the server ended a subscription with status {status:08X}")),
    }
}

/// Whether a service failed because of the connection, not because of what was asked.
fn is_connection(status: opcua::types::StatusCode) -> bool {
    use opcua::types::StatusCode as Sent;
    [
        Sent::BadConnectionClosed,
        Sent::BadCommunicationError,
        Sent::BadNotConnected,
        Sent::BadTimeout,
        Sent::BadServerNotConnected,
        Sent::BadSecureChannelClosed,
        Sent::BadInvalidState,
        Sent::BadSessionNotActivated,
    ]
    .contains(&status)
}

/// What is asked of the server for one tag; `None` if it does not know the namespace.
fn item(session: &Session, column: u16, tag: &config::OpcUaTag) -> Option<MonitoredItemCreateRequest> {
    let namespace = session.get_namespace_index_from_cache(&tag.namespace)?;
    let identifier: Identifier = tag.identifier.parse().ok()?;
    let parameters = MonitoringParameters {
        client_handle: u32::from(column) + 1,
        sampling_interval: tag.sampling_interval.as_secs_f64() * 1000.0,
        filter: opcua::types::ExtensionObject::null(),
        queue_size: tag.queue_size,
        discard_oldest: true,
    };
    Some(MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId::from(NodeId { namespace, identifier }),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: parameters,
    })
}

impl Connection {
    async fn close(self) {
        self.session.disable_reconnects();
        if tokio::time::timeout(GOODBYE, self.session.disconnect()).await.is_err() {
            tracing::debug!("the server did not take the goodbye");
        }
        self.polling.abort();
        // Aborted or ended: either way no callback runs after this.
        drop(self.polling.await);
    }
}

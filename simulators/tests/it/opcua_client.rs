//! async-opcua's client, reduced to what the tests ask it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, MonitoredItem, Session};
use opcua::types::{
    DataValue, EndpointDescription, MessageSecurityMode, MonitoredItemCreateRequest, MonitoringMode,
    MonitoringParameters, NodeId, TimestampsToReturn, UserTokenPolicy, Variant,
};
use simulators::opcua_server::{OpcUaServer, TICK};
use tokio::sync::watch;

/// A value as the client saw it: identifier, value, status, source time in 100 ns since 1601.
pub type Seen = (String, Option<Variant>, u32, i64);

/// A connected client and what it has seen.
pub struct Client {
    pub session: Arc<Session>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    ticks: watch::Receiver<i64>,
    pub index: u16,
    _scratch: tempfile::TempDir,
}

impl Client {
    pub async fn connect(server: &OpcUaServer) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut client = ClientBuilder::new()
            .application_name("test")
            .application_uri("urn:test")
            .pki_dir(scratch.path())
            .session_retry_limit(0)
            .client()
            .unwrap();
        let none = MessageSecurityMode::None;
        let endpoint: EndpointDescription =
            (server.endpoint().as_str(), "None", none, UserTokenPolicy::anonymous()).into();
        let (session, events) = client.connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous).unwrap();
        drop(events.spawn());
        assert!(session.wait_for_connection().await);
        let namespaces = session.read_namespace_array().await.unwrap();
        let index = namespaces.get_index(server.namespace()).unwrap();
        let (tick, ticks) = watch::channel(0);
        drop(tick);
        Self { session, seen: Arc::default(), ticks, index, _scratch: scratch }
    }

    pub async fn monitor(&mut self, identifiers: &[String]) {
        let (tick, ticks) = watch::channel(0);
        self.ticks = ticks;
        let seen = Arc::clone(&self.seen);
        let on_value = move |value: DataValue, item: &MonitoredItem| {
            let identifier = item.item_to_monitor().node_id.identifier.to_string();
            if let (true, Some(Variant::Int64(number))) = (identifier.ends_with(TICK), &value.value) {
                tick.send_replace(*number);
                return;
            }
            let status = value.status.map_or(0, |status| status.bits());
            let time = value.source_timestamp.map_or(0, |time| time.ticks());
            seen.lock().unwrap().push((identifier, value.value, status, time));
        };
        let every = Duration::from_millis(1);
        let callback = DataChangeCallback::new(on_value);
        let subscription = self.session.create_subscription(every, 100, 20, 0, 0, true, callback).await.unwrap();
        let items = identifiers.iter().map(String::as_str).chain([TICK]).map(|identifier| {
            MonitoredItemCreateRequest::new(
                NodeId::new(self.index, identifier).into(),
                MonitoringMode::Reporting,
                MonitoringParameters { sampling_interval: 0.0, queue_size: 1000, ..Default::default() },
            )
        });
        let created =
            self.session.create_monitored_items(subscription, TimestampsToReturn::Both, items.collect()).await;
        assert!(created.unwrap().iter().all(|item| item.result.status_code.is_good()));
    }

    pub async fn tick(&mut self, number: i64) {
        self.ticks.wait_for(|seen| *seen >= number).await.unwrap();
    }
}

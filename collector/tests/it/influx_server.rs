//! A small real HTTP server with InfluxDB's v2 write path, that answers as a test wants: it keeps lines by their key
//! (measurement, tags, instant; the last one stands, as in InfluxDB) and can say what it holds, as VictoriaMetrics does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

/// What the server does with the lines of one request.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Takes all.
    Take,
    /// Answers with a status and keeps nothing.
    Status(u16),
    /// Says nothing for a while.
    Silence(Duration),
}

/// What the server is and holds.
#[derive(Default)]
pub struct Held {
    /// What it does with the next requests; then it takes everything.
    pub plans: Vec<Plan>,
    /// Lines with this text are dropped: 422, the others of the request are taken.
    pub refuse: Option<&'static str>,
    /// Lines with this text are thrown away after 204.
    pub lose: Option<&'static str>,
    /// More lines in one request are too many.
    pub lines_max: Option<usize>,
    /// By key.
    pub lines: BTreeMap<String, String>,
    /// Requests, by status.
    pub answers: BTreeMap<u16, u64>,
    /// Authorization of the last request.
    pub authorization: Option<String>,
    /// Path and query of the last request.
    pub asked: String,
}

/// A running server.
pub struct InfluxServer {
    pub address: SocketAddr,
    pub held: Arc<Mutex<Held>>,
    stop: CancellationToken,
}

impl Drop for InfluxServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl InfluxServer {
    /// Listens on a free port, or on one that was free.
    pub async fn start(port: u16) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/api/v2/write", post(write))
            .route("/api/v1/export", get(export))
            .with_state(Arc::clone(&held));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(listener, routes);
            tokio::select! { _ = serving => {}, () = stopped.cancelled() => {} }
        });
        Self { address, held, stop }
    }

    /// The lines that it holds, without the probes.
    pub fn lines(&self) -> Vec<String> {
        let held = self.held.lock().unwrap();
        let lines = held.lines.iter().filter(|(key, _)| !key.starts_with("plumbline_probe"));
        lines.map(|(key, fields)| format!("{key} {fields}")).collect()
    }

    /// How many of them have this text.
    pub fn count(&self, text: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(text)).count()
    }

    /// Requests that were answered so.
    pub fn answered(&self, status: u16) -> u64 {
        self.held.lock().unwrap().answers.get(&status).copied().unwrap_or(0)
    }
}

async fn write(
    State(held): State<Arc<Mutex<Held>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let plan = {
        let mut held = held.lock().unwrap();
        held.authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        held.asked = uri.to_string();
        if held.plans.is_empty() { Plan::Take } else { held.plans.remove(0) }
    };
    if let Plan::Silence(pause) = plan {
        tokio::time::sleep(pause).await;
    }
    let mut held = held.lock().unwrap();
    let (status, text) = match plan {
        Plan::Status(status) => (status, format!("{{\"code\":\"as planned\",\"message\":\"{status}\"}}")),
        Plan::Take | Plan::Silence(_) => take(&mut held, &body),
    };
    *held.answers.entry(status).or_default() += 1;
    (StatusCode::from_u16(status).unwrap(), text)
}

fn take(held: &mut Held, body: &str) -> (u16, String) {
    let lines: Vec<&str> = body.lines().collect();
    if held.lines_max.is_some_and(|most| lines.len() > most) {
        return (413, "request entity too large".to_owned());
    }
    let mut dropped = 0;
    for line in lines {
        if held.refuse.is_some_and(|text| line.contains(text)) {
            dropped += 1;
        } else if held.lose.is_none_or(|text| !line.contains(text)) {
            let (key, fields) = parts(line);
            held.lines.insert(key, fields);
        }
    }
    if dropped == 0 {
        return (204, String::new());
    }
    let message =
        format!("failure writing points to database: partial write: points beyond retention policy dropped={dropped}");
    (422, format!("{{\"code\":\"unprocessable entity\",\"message\":\"{message}\"}}"))
}

/// The key (series and instant) and the fields of a line.
fn parts(line: &str) -> (String, String) {
    let letters: Vec<char> = line.chars().collect();
    let space = (0..letters.len()).find(|at| letters[*at] == ' ' && letters[at - 1] != '\\').expect("a space");
    let series: String = letters[..space].iter().collect();
    let rest: String = letters[space + 1..].iter().collect();
    // A probe has no instant.
    let (fields, at) = rest.rsplit_once(' ').unwrap_or((&rest, "0"));
    (format!("{series} {at}"), fields.to_owned())
}

/// What VictoriaMetrics' export says of the field `quality`, as if there were no other.
async fn export(State(held): State<Arc<Mutex<Held>>>) -> String {
    let held = held.lock().unwrap();
    let mut series: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, fields) in &held.lines {
        if fields.contains("quality=") {
            let (name, at) = key.rsplit_once(' ').unwrap();
            series.entry(name.to_owned()).or_default().push(at.parse::<i64>().unwrap() / 1_000_000);
        }
    }
    let mut text = String::new();
    for (name, timestamps) in series {
        let tags = name.split(',').skip(1).filter_map(|tag| tag.split_once('='));
        let metric: BTreeMap<&str, &str> = tags.collect();
        let line = serde_json::json!({ "metric": metric, "values": [], "timestamps": timestamps });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}

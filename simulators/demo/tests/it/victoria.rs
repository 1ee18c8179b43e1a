//! VictoriaMetrics of Debian, as a process of its own: what the mirror is run against.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peers::in_ci;

/// A running server with its data in a folder.
pub struct Victoria {
    child: Option<Child>,
    folder: PathBuf,
    more: Vec<String>,
    /// Its port on loopback.
    pub port: u16,
}

impl Victoria {
    /// Starts the server; `None` after saying `skipped` if it is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        Self::start_with(folder, &[])
    }

    /// The same with further arguments.
    pub fn start_with(folder: &Path, more: &[String]) -> Option<Self> {
        if program().is_none() {
            assert!(!in_ci(), "CI needs victoria-metrics: run cargo xtask test");
            println!("skipped: no victoria-metrics");
            return None;
        }
        // It does not tell a port that the system chose, so one is picked and retried.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut server = Self { child: None, folder: folder.join("victoria"), more: more.to_vec(), port };
            server.restart();
            if server.child.is_some() {
                return Some(server);
            }
        }
        panic!("victoria-metrics found no free port in twenty tries");
    }

    /// Starts it on the same port with what its folder holds.
    pub fn restart(&mut self) {
        std::fs::create_dir_all(&self.folder).unwrap();
        let mut child = Command::new(program().expect("found at start"))
            .arg(format!("-storageDataPath={}", self.folder.display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{}", self.port))
            // The factory lives in a year of its own. A line that was sent twice is one, as docs/influx-schema.md advises.
            .arg("-dedup.minScrapeInterval=1ms")
            .args([
                "-retentionPeriod=100y",
                "-search.latencyOffset=0s",
                "-loggerLevel=ERROR",
                "-memory.allowedBytes=256MB",
            ])
            .args(["-search.maxPointsPerTimeseries=1000000", "-search.maxUniqueTimeseries=1000000"])
            .args(&self.more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("victoria-metrics starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        // It listens when it has opened its data.
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                let _ended = child.kill();
                let _waited = child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Throws away everything that it held; only while it does not run.
    pub fn wipe(&mut self) {
        assert!(self.child.is_none(), "it runs");
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Makes what was written visible to queries.
    pub fn flush(&self) {
        get(self.port, "/internal/force_flush", &[]).unwrap();
    }

    /// Every series that a selector names: its labels, and its values by millisecond, in order.
    pub fn export(&self, selector: &str) -> Vec<Exported> {
        self.flush();
        let ends = [("match[]", selector), ("start", "0"), ("end", "4000000000")];
        let text = get(self.port, "/api/v1/export", &ends).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The answer to a query at an instant. Errors: the server does not understand it.
    pub fn query(&self, expression: &str, at_seconds: i64) -> Result<Vec<Value>, String> {
        let text = get(self.port, "/api/v1/query", &[("query", expression), ("time", &at_seconds.to_string())])?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Names of all metrics.
    pub fn names(&self) -> Vec<String> {
        let text = get(self.port, "/api/v1/label/__name__/values", &[("start", "0")]).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["data"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Takes what a program tells Prometheus, as a scrape at `at_seconds` would.
    pub fn scrape(&self, metrics: &str, job: &str, at_seconds: i64) {
        let labels = [format!("job={job}"), "instance=it".to_owned()];
        let url = format!("http://127.0.0.1:{}/api/v1/import/prometheus", self.port);
        let mut request = ureq::post(url).query("timestamp", (at_seconds * 1000).to_string());
        for label in labels {
            request = request.query("extra_label", label);
        }
        request.send(metrics).unwrap();
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One exported series.
#[derive(Debug, serde::Deserialize)]
pub struct Exported {
    pub metric: BTreeMap<String, String>,
    pub values: Vec<f64>,
    pub timestamps: Vec<i64>,
}

impl Exported {
    /// Instants and values together.
    pub fn points(&self) -> Vec<(i64, f64)> {
        self.timestamps.iter().copied().zip(self.values.iter().copied()).collect()
    }
}

fn get(port: u16, path: &str, query: &[(&str, &str)]) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
    let mut request = agent.get(format!("http://127.0.0.1:{port}{path}"));
    for (name, value) in query {
        request = request.query(*name, *value);
    }
    let mut answer = request.call().map_err(|error| error.to_string())?;
    let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().map_err(|error| error.to_string())?;
    if answer.status().is_success() { Ok(text) } else { Err(format!("{}: {text}", answer.status())) }
}

fn program() -> Option<&'static str> {
    ["/usr/bin/victoria-metrics", "/usr/local/bin/victoria-metrics"].into_iter().find(|path| Path::new(path).exists())
}

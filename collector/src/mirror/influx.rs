//! The one file that knows InfluxDB: lines out of points, the write path, what the server's answers mean, and what it
//! says it holds.
//!
//! The crate `influxdb2` serialises every line and writes to http targets; its TLS features are old, so for https the
//! lines that it serialised go through the current HTTP client.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use influxdb2::models::{DataPoint, FieldValue, WriteDataPoint};
use influxdb2::{Client, ClientBuilder, RequestError};
use shopfloor::time::{Interval, Timestamp};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::MirrorError;
use super::deliver::{Answer, Writes};
use super::line::{Field, Point};
use crate::config::{MirrorConfig, QueryLanguage};

/// Longest answer to a write that is read, and longest part of it that is kept.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const SAID_CHARS_MAX: usize = 300;
/// Longest answer about what the server holds, bytes.
const HELD_BYTES_MAX: u64 = 1 << 30;

/// A point as a line of line protocol, with its end. Errors: never for a point that has a field.
pub fn line(point: &Point) -> Result<String, MirrorError> {
    let mut builder = DataPoint::builder(point.measurement.as_str()).timestamp(point.at.as_nanos());
    for (name, value) in &point.tags {
        builder = builder.tag(*name, value.as_str());
    }
    for (name, field) in &point.fields {
        builder = builder.field(*name, value(field));
    }
    let mut bytes = Vec::with_capacity(192);
    let failed = |error: &dyn std::fmt::Display| MirrorError::Line(error.to_string());
    builder.build().map_err(|error| failed(&error))?.write_data_point_to(&mut bytes).map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

fn value(field: &Field) -> FieldValue {
    match field {
        Field::Float(number) => FieldValue::F64(*number),
        Field::Integer(number) => FieldValue::I64(*number),
        // The crate escapes quotes and leaves backslashes, of which one before a quote would end the text.
        Field::Text(text) => FieldValue::String(text.replace('\\', "\\\\")),
    }
}

/// A server with the v2 write path.
pub struct Server {
    url: String,
    org: String,
    bucket: String,
    authorization: Option<String>,
    plain: Option<Client>,
    http: ureq::Agent,
    patience: Duration,
}

impl Server {
    /// Reads token and certificates; does not connect. Errors: one of the files.
    pub fn open(config: &MirrorConfig) -> Result<Self, MirrorError> {
        let token = config.token_file.as_deref().map(read_token).transpose()?;
        let plain = (!config.is_encrypted()).then(|| plain(config, token.as_deref())).transpose()?;
        Ok(Self {
            url: config.url.clone(),
            org: config.org.clone(),
            bucket: config.bucket.clone(),
            authorization: token.map(|token| format!("Token {token}")),
            plain,
            http: current(config)?,
            patience: config.timeout,
        })
    }

    /// Writes through the current HTTP client.
    async fn write_encrypted(&self, lines: String) -> Answer {
        let request = self
            .http
            .post(format!("{}/api/v2/write", self.url))
            .query("org", &self.org)
            .query("bucket", &self.bucket)
            .query("precision", "ns");
        let request = self.authorized(request);
        let asked = tokio::task::spawn_blocking(move || {
            let mut answer = request.send(lines)?;
            let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
            Ok::<_, ureq::Error>((answer.status().as_u16(), text))
        });
        match asked.await {
            Ok(Ok((status, text))) => meaning(status, &text),
            Ok(Err(error)) => Answer::Later(error.to_string()),
            Err(error) => Answer::Later(error.to_string()),
        }
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    /// How many instants of each series of `measurement` the server holds in an interval. A series is named by the
    /// tags `names`, in that order. Errors: the server does not answer, or not in the language that was configured.
    pub async fn held(
        &self,
        language: QueryLanguage,
        measurement: &str,
        names: &'static [&'static str],
        interval: Interval,
    ) -> Result<BTreeMap<Vec<String>, u64>, MirrorError> {
        match language {
            QueryLanguage::Flux => self.held_by_flux(measurement, names, interval).await,
            QueryLanguage::Export => self.held_by_export(measurement, names, interval).await,
        }
    }

    async fn held_by_flux(
        &self,
        measurement: &str,
        names: &'static [&'static str],
        interval: Interval,
    ) -> Result<BTreeMap<Vec<String>, u64>, MirrorError> {
        // Bucket and measurement hold nothing that ends a quoted text: the configuration says so.
        let flux = format!(
            "from(bucket: \"{}\") |> range(start: {}, stop: {}) |> filter(fn: (r) => r._measurement == \"{measurement}\" \
             and r._field == \"quality\") |> count()",
            self.bucket, interval.start, interval.end
        );
        let request = self
            .http
            .post(format!("{}/api/v2/query", self.url))
            .query("org", &self.org)
            .header("Content-Type", "application/vnd.flux")
            .header("Accept", "application/csv");
        let text = answered(self.authorized(request), move |request| request.send(flux)).await?;
        counted(&text, names)
    }

    async fn held_by_export(
        &self,
        measurement: &str,
        names: &'static [&'static str],
        interval: Interval,
    ) -> Result<BTreeMap<Vec<String>, u64>, MirrorError> {
        // Milliseconds, both ends included there; here the end is not.
        let (start, end) = (millis(interval.start), millis(interval.end.plus(-1)));
        let request = self
            .http
            .get(format!("{}/api/v1/export", self.url))
            .query("match[]", format!("{measurement}_quality"))
            .query("start", seconds(start))
            .query("end", seconds(end));
        let text = answered(self.authorized(request), ureq::RequestBuilder::call).await?;
        let mut held: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for line in text.lines() {
            let series: Exported = serde_json::from_str(line).map_err(|error| MirrorError::Ask(error.to_string()))?;
            let name = names.iter().map(|name| series.metric.get(*name).cloned().unwrap_or_default());
            // A line that was sent twice may stand there twice.
            let instants: std::collections::BTreeSet<i64> = series.timestamps.into_iter().collect();
            *held.entry(name.collect()).or_default() += instants.len() as u64;
        }
        Ok(held)
    }
}

/// The text of a good answer to a question about what is there.
async fn answered<B: Send + 'static>(
    request: ureq::RequestBuilder<B>,
    send: impl FnOnce(ureq::RequestBuilder<B>) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> + Send + 'static,
) -> Result<String, MirrorError> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = send(request)?;
        let text = answer.body_mut().with_config().limit(HELD_BYTES_MAX).read_to_string()?;
        Ok::<_, ureq::Error>((answer.status().as_u16(), text))
    });
    let (status, text) = asked
        .await
        .map_err(|error| MirrorError::Ask(error.to_string()))?
        .map_err(|error| MirrorError::Ask(error.to_string()))?;
    if status == 200 { Ok(text) } else { Err(MirrorError::Ask(format!("{status} {}", said(&text)))) }
}

/// Counts by series out of InfluxDB's CSV: tables with a head each, empty lines between them.
fn counted(csv: &str, names: &[&str]) -> Result<BTreeMap<Vec<String>, u64>, MirrorError> {
    let mut held: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    let mut head: Option<Vec<String>> = None;
    for line in csv.lines().map(|line| line.trim_end_matches('\r')) {
        if line.is_empty() {
            head = None;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let cells = cells(line);
        let Some(head) = &head else {
            head = Some(cells);
            continue;
        };
        let cell = |name: &str| head.iter().position(|head| head == name).and_then(|place| cells.get(place));
        let count = cell("_value").and_then(|count| count.parse::<u64>().ok());
        let count = count.ok_or_else(|| MirrorError::Ask(format!("its answer is not understood: {}", said(line))))?;
        let key = names.iter().map(|name| cell(name).cloned().unwrap_or_default()).collect();
        *held.entry(key).or_default() += count;
    }
    Ok(held)
}

/// The cells of a line of CSV; quoted ones may hold commas and doubled quotes.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let (mut quoted, mut letters) = (false, line.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => push(&mut cells, '"'),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => push(&mut cells, letter),
        }
    }
    cells
}

fn push(cells: &mut [String], letter: char) {
    if let Some(cell) = cells.last_mut() {
        cell.push(letter);
    }
}

/// A series as VictoriaMetrics exports it.
#[derive(serde::Deserialize)]
struct Exported {
    metric: BTreeMap<String, String>,
    timestamps: Vec<i64>,
}

impl Writes for Server {
    async fn write(&self, lines: String) -> Answer {
        let Some(client) = &self.plain else { return self.write_encrypted(lines).await };
        match tokio::time::timeout(self.patience, client.write_line_protocol(&self.org, &self.bucket, lines)).await {
            Ok(Ok(())) => Answer::Taken,
            Ok(Err(RequestError::Http { status, text })) => meaning(status.as_u16(), &text),
            Ok(Err(error)) => Answer::Later(chain(&error)),
            Err(_) => Answer::Later(format!("no answer within {:?}", self.patience)),
        }
    }
}

/// What the answer to a write means. Only 204 says that every line was taken.
pub(super) fn meaning(status: u16, text: &str) -> Answer {
    match status {
        204 => Answer::Taken,
        // Whole or partial: the text may or may not say how many lines, and never which.
        400 | 422 => Answer::Refused(format!("{status} {}", said(text))),
        413 => Answer::TooLarge(format!("{status} {}", said(text))),
        _ => Answer::Later(format!("{status} {}", said(text))),
    }
}

/// The part of a server's words that is kept.
fn said(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(SAID_CHARS_MAX).collect::<String>().trim().to_owned()
}

/// An error with its causes: the outermost alone often says only that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    said(&text)
}

fn plain(config: &MirrorConfig, token: Option<&str>) -> Result<Client, MirrorError> {
    // No proxy from the environment and no redirect: the lines and the token go where the file says.
    let http = influxdb2_http::ClientBuilder::new()
        .no_proxy()
        .redirect(influxdb2_http::redirect::Policy::none())
        .timeout(config.timeout);
    ClientBuilder::with_builder(http, config.url.as_str(), config.org.as_str(), token.unwrap_or_default())
        .build()
        .map_err(|error| MirrorError::Client(error.to_string()))
}

fn current(config: &MirrorConfig) -> Result<ureq::Agent, MirrorError> {
    let mut tls = TlsConfig::builder();
    if let Some(path) = &config.ca_file {
        let failed = |why: String| MirrorError::Certificates { path: path.clone(), why };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let mut roots = Vec::new();
        for item in ureq::tls::parse_pem(&pem) {
            if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(|error| failed(error.to_string()))? {
                roots.push(certificate);
            }
        }
        if roots.is_empty() {
            return Err(failed("it holds no certificate".to_owned()));
        }
        let roots: Vec<Certificate<'static>> = roots;
        tls = tls.root_certs(RootCerts::new_with_certs(&roots));
    }
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(config.timeout))
        .tls_config(tls.build())
        .build();
    Ok(agent.into())
}

/// Reads a token that only its owner may read.
fn read_token(path: &Path) -> Result<String, MirrorError> {
    let failed = |why: String| MirrorError::Token { path: path.to_owned(), why };
    let mode = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(failed(format!("others can read it (mode {mode:03o}); run chmod 600 on it")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let token = text.trim();
    let plain = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    if plain { Ok(token.to_owned()) } else { Err(failed("it does not hold one word of printable ASCII".to_owned())) }
}

fn millis(at: Timestamp) -> i64 {
    at.as_nanos().div_euclid(1_000_000)
}

/// Milliseconds as the decimal seconds that a query takes.
fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(tag: &str, text: &str, number: f64) -> Point {
        Point {
            measurement: "plumbline_sample".to_owned(),
            tags: BTreeMap::from([("unit", tag.to_owned()), ("site", "s".to_owned())]),
            fields: BTreeMap::from([
                ("quality", Field::Integer(0)),
                ("text", Field::Text(text.to_owned())),
                ("value", Field::Float(number)),
            ]),
            at: Timestamp::from_nanos(1_700_000_000_123_456_789),
        }
    }

    /// Cuts a text where `at` stands outside quotes (which only fields know) and without a backslash before it.
    fn split(text: &str, at: char, quotes: bool) -> Vec<String> {
        let (mut out, mut quoted, mut letters) = (vec![String::new()], false, text.chars());
        while let Some(letter) = letters.next() {
            if letter == at && !quoted {
                out.push(String::new());
                continue;
            }
            quoted ^= quotes && letter == '"';
            let last = out.last_mut().unwrap();
            last.push(letter);
            if letter == '\\' {
                last.extend(letters.next());
            }
        }
        out
    }

    /// Tags, text, value, instant.
    type Read = (Vec<(String, String)>, String, f64, i64);

    /// Reads one line as a server does; written from the description of line protocol, not from the writer.
    fn read(line: &str) -> Option<Read> {
        let line = line.strip_suffix('\n').filter(|line| !line.contains('\n'))?;
        let key = split(line, ' ', false).first()?.clone();
        let rest = split(&line[key.len() + 1..], ' ', true);
        let [fields, at]: [String; 2] = rest.try_into().ok()?;
        let plain = |text: &str| text.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ");
        let tag = |tag: &String| {
            let pair = split(tag, '=', false);
            (pair[0].clone(), plain(&pair[1]))
        };
        let tags = split(&key, ',', false).iter().skip(1).map(tag).collect();
        let fields = split(&fields, ',', true);
        let of = |name: &str| fields.iter().find_map(|field| field.strip_prefix(name)).map(str::to_owned);
        let text = of("text=")?;
        let (mut meant, mut letters) = (String::new(), text.strip_prefix('"')?.strip_suffix('"')?.chars());
        while let Some(letter) = letters.next() {
            meant.push(if letter == '\\' { letters.next()? } else { letter });
        }
        Some((tags, meant, of("value=")?.parse().ok()?, at.parse().ok()?))
    }

    proptest! {
        #[test]
        fn bad_input_100_whatever_a_name_holds_the_line_says_that_and_nothing_else(
            tag in "[a-z件°,= \"']{1,20}",
            text in "[a-z件\"\\\\,= ]{0,20}",
            number in any::<f64>().prop_filter("finite", |number| number.is_finite()),
        ) {
            let point = point(&tag, &text, number);
            prop_assume!(point.check().is_ok());
            let line = line(&point).unwrap();
            let (tags, meant, value, at) = read(&line).unwrap_or_else(|| panic!("not one line: {line:?}"));
            prop_assert_eq!(tags, vec![("site".to_owned(), "s".to_owned()), ("unit".to_owned(), tag)]);
            prop_assert_eq!(meant, text);
            prop_assert_eq!(value.to_bits(), number.to_bits());
            prop_assert_eq!(at, 1_700_000_000_123_456_789);
        }
    }

    #[test]
    fn only_204_says_that_everything_was_taken() {
        assert_eq!(meaning(204, ""), Answer::Taken);
        for status in [400, 422] {
            assert!(matches!(meaning(status, "partial write"), Answer::Refused(_)), "{status}");
        }
        assert!(matches!(meaning(413, ""), Answer::TooLarge(_)));
        for status in [200, 202, 301, 401, 403, 404, 429, 500, 503] {
            assert!(matches!(meaning(status, "why"), Answer::Later(_)), "{status}");
        }
    }

    #[test]
    fn counts_are_read_out_of_tables_with_heads() {
        let csv = ",result,table,_start,_value,site,unit\r\n,_result,0,x,12,s,\"a,\"\"b\"\r\n\r\n\
                   ,result,table,_value,site\r\n,_result,1,3,t\r\n\r\n";
        let held = counted(csv, &["site", "unit"]).unwrap();
        let wanted = [(vec!["s".to_owned(), "a,\"b".to_owned()], 12), (vec!["t".to_owned(), String::new()], 3)];
        assert_eq!(held, BTreeMap::from(wanted));
        assert!(counted("a,b\n1,2\n", &["a"]).is_err());
    }

    #[test]
    fn a_token_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_token(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_token(&path).unwrap(), "secret");
    }
}

//! Samples from a file: CSV with a header, or JSON lines. Both carry tag, at, value, and may carry status and
//! stale_after.

use std::collections::BTreeMap;

use shopfloor::file::duration;
use shopfloor::id::TagName;
use shopfloor::sample::{Quality, Sample, StatusCode, Value};
use shopfloor::time::Timestamp;
use shopfloor::unit::Rational;

/// A line that is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct SampleError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

type Fields = BTreeMap<String, String>;

/// The samples of a file by tag; `stale_after` is used where a line does not say.
pub fn read(text: &str, file: &str, stale_after: Option<i64>) -> Result<BTreeMap<TagName, Vec<Sample>>, SampleError> {
    let json = text.trim_start().starts_with('{');
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header: Vec<String> = match (json, lines.next()) {
        (false, Some((_, header))) => fields_of(header).unwrap_or_default(),
        _ => Vec::new(),
    };
    let mut found: BTreeMap<TagName, Vec<Sample>> = BTreeMap::new();
    let all = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).skip(usize::from(!json));
    for (position, line) in all {
        let error = |problem| SampleError { file: file.to_owned(), line: position + 1, problem };
        let fields = if json { json_line(line) } else { csv_line(line, &header) }.map_err(error)?;
        let (tag, sample) = sample(&fields, stale_after).map_err(error)?;
        found.entry(tag).or_default().push(sample);
    }
    Ok(found)
}

fn sample(fields: &Fields, stale_after: Option<i64>) -> Result<(TagName, Sample), String> {
    let need = |key: &str| fields.get(key).ok_or_else(|| format!("no `{key}`; a sample has tag, at and value"));
    let tag = need("tag")?.parse().map_err(|error| format!("{error}"))?;
    let at = need("at")?;
    let at = Timestamp::parse(at).ok_or_else(|| format!("at {at:?} is no instant; write 2026-11-25T08:00:00+08:00"))?;
    let text = fields.get("value").map(String::as_str).unwrap_or_default();
    let status = status(fields.get("status").map(String::as_str).unwrap_or_default(), text.is_empty())?;
    let stale_after = match fields.get("stale_after").filter(|text| !text.is_empty()) {
        Some(text) => duration::parse_nanos(text).ok_or_else(|| format!("stale_after {text:?} is no duration"))?,
        None => stale_after
            .ok_or("no stale_after: how long a sample holds must be said; add the column or --stale-after")?,
    };
    let value = (status.quality() != Quality::Bad).then(|| value(text));
    let sample = Sample { at, value, status, source_time: None, observed_time: at, request_time: None, stale_after };
    Ok((tag, sample))
}

fn status(text: &str, empty: bool) -> Result<StatusCode, String> {
    let found = match text.to_ascii_lowercase().as_str() {
        "" => Some(if empty { StatusCode::BAD_NO_DATA } else { StatusCode::GOOD }),
        "good" => Some(StatusCode::GOOD),
        "uncertain" => Some(StatusCode::UNCERTAIN),
        "bad" => Some(StatusCode::BAD),
        code => code.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()).map(StatusCode),
    };
    found.ok_or_else(|| format!("status {text:?} is none; write Good, Uncertain, Bad or a code such as 0x800A0000"))
}

/// A number is exact, true and false are bits, everything else is text.
fn value(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => Rational::parse(text).map_or_else(|| Value::Text(text.to_owned()), Value::Exact),
    }
}

fn json_line(line: &str) -> Result<Fields, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(line).map_err(|error| format!("no JSON object: {error}"))?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    Ok(object.into_iter().map(|(key, value)| (key, text(value))).collect())
}

fn csv_line(line: &str, header: &[String]) -> Result<Fields, String> {
    let fields = fields_of(line).ok_or("a quotation mark is not closed")?;
    if fields.len() != header.len() {
        return Err(format!("{} fields, the header has {}", fields.len(), header.len()));
    }
    Ok(header.iter().cloned().zip(fields).collect())
}

/// The fields of a line of CSV (RFC 4180, without line breaks inside fields); `None` if a quote stays open.
fn fields_of(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim_end_matches('\r').trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        let last = fields.last_mut()?;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                last.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => last.push(other),
        }
    }
    (!quoted).then(|| fields.into_iter().map(|field| field.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let csv = "tag,at,value,status\nm/state,2026-11-25T08:00:00+08:00,1,\nm/state,2026-11-25T00:01:00Z,,\n\
            m/name,2026-11-25T00:00:00Z,\"a, \"\"b\"\"\",Uncertain\n";
        let json = "{\"tag\":\"m/state\",\"at\":\"2026-11-25T00:00:00Z\",\"value\":1}\n\
            {\"tag\":\"m/state\",\"at\":\"2026-11-25T00:01:00Z\",\"value\":null}\n\
            {\"tag\":\"m/name\",\"at\":\"2026-11-25T00:00:00Z\",\"value\":\"a, \\\"b\\\"\",\"status\":\"Uncertain\"}\n";
        let read = |text| read(text, "f", Some(1)).unwrap();
        assert_eq!(read(csv), read(json));
        let state = &read(csv)[&"m/state".parse().unwrap()];
        assert_eq!((state[0].value.clone(), state[1].quality()), (Some(Value::Exact(Rational::ONE)), Quality::Bad));
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        let error = read("tag,at,value\nm/state,now,1\n", "f.csv", Some(1)).unwrap_err();
        assert_eq!((error.line, error.to_string().starts_with("f.csv:2: at \"now\" is no instant")), (2, true));
        let error = read("tag,at,value\nm/state,2026-11-25T00:00:00Z,1\n", "f.csv", None).unwrap_err();
        assert!(error.problem.starts_with("no stale_after"));
        assert!(read("tag,at,value\nm/state,1\n", "f.csv", None).unwrap_err().problem.contains("2 fields"));
    }
}

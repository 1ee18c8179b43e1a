//! What a request may ask for: ranges of time, limits, cursors. Parsed at the door, refused in plain words.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shopfloor::time::{Interval, Timestamp};
use utoipa::IntoParams;

use super::error::ApiError;

/// Query parameters of type `T`; what cannot be read becomes our own error.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(found)) => Ok(Self(found)),
            Err(rejection) => Err(ApiError::parameter(
                "query",
                parts.uri.query().unwrap_or(""),
                &format!("查询参数无法读取: {}", rejection.body_text()),
                &format!("the query string cannot be read: {}", rejection.body_text()),
            )),
        }
    }
}

/// A stretch of time as a client writes it.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RangeParams {
    /// First instant (RFC 3339), or a date: the start of that day in the site's zone.
    pub from: Option<String>,
    /// First instant after (RFC 3339), or a date.
    pub to: Option<String>,
}

impl RangeParams {
    /// The interval meant; `default` fills what is absent, `longest` (nanoseconds) is what one request may cover.
    pub fn resolve(&self, zone: &TimeZone, default: Interval, longest: i64) -> Result<Interval, ApiError> {
        range(self.from.as_deref(), self.to.as_deref(), zone, default, longest)
    }
}

/// See [`RangeParams::resolve`].
pub fn range(
    from: Option<&str>,
    to: Option<&str>,
    zone: &TimeZone,
    default: Interval,
    longest: i64,
) -> Result<Interval, ApiError> {
    let start = from.map(|text| instant("from", text, zone)).transpose()?;
    let end = to.map(|text| instant("to", text, zone)).transpose()?;
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (start, end),
        // One end alone keeps the default length.
        (Some(start), None) => (start, default.end.max(start.plus(default.nanos()))),
        (None, Some(end)) => (end.plus(-default.nanos()), end),
        (None, None) => (default.start, default.end),
    };
    let interval = Interval::new(start, end).filter(|interval| !interval.is_empty()).ok_or_else(|| {
        ApiError::parameter("to", to.unwrap_or(""), "from 必须早于 to", "from must be earlier than to")
    })?;
    if interval.nanos() > longest {
        let days = longest / (24 * shopfloor::time::HOUR);
        return Err(ApiError::range_too_long(
            &format!("一次最多 {days} 天; 请分段查询"),
            &format!("at most {days} days in one request; ask for parts"),
        ));
    }
    Ok(interval)
}

/// An instant, or a date as its first instant in `zone`.
pub fn instant(name: &str, text: &str, zone: &TimeZone) -> Result<Timestamp, ApiError> {
    if let Some(at) = Timestamp::parse(text) {
        return Ok(at);
    }
    // A `+` that was not escaped arrives as a blank.
    if let Some(at) = Timestamp::parse(&text.replace(' ', "+")) {
        return Ok(at);
    }
    let start = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10).and_then(|date| {
        let start = date.to_zoned(zone.clone()).ok()?.timestamp();
        i64::try_from(start.as_nanosecond()).ok().map(Timestamp::from_nanos)
    });
    start.ok_or_else(|| {
        ApiError::parameter(
            name,
            text,
            "写成 2026-11-25T00:00:00Z、2026-11-25T08:00:00%2B08:00 或日期 2026-11-25",
            "write 2026-11-25T00:00:00Z, 2026-11-25T08:00:00%2B08:00 or a date such as 2026-11-25",
        )
    })
}

/// A whole number from 1 to `most`; `default` when absent.
pub fn limit(text: Option<&str>, default: usize, most: usize) -> Result<usize, ApiError> {
    let Some(text) = text else { return Ok(default) };
    text.parse::<usize>().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
        ApiError::parameter(
            "limit",
            text,
            &format!("写成 1 至 {most} 的整数"),
            &format!("write a whole number from 1 to {most}"),
        )
    })
}

/// The zone in which plain dates are read: the `Time-Zone` header if it names one we know, else the site's.
pub fn zone_of(headers: &HeaderMap, site: &TimeZone) -> TimeZone {
    let named = headers.get("time-zone").and_then(|value| value.to_str().ok()).filter(|name| name.len() <= 64);
    named.and_then(|name| TimeZone::get(name.trim()).ok()).unwrap_or_else(|| site.clone())
}

/// A JSON list, with the cursor of the next page in its headers when it was cut.
pub fn page<T: serde::Serialize>(items: &[T], next: Option<(String, String)>) -> Response {
    let mut response = axum::Json(items).into_response();
    if let Some((cursor, url)) = next {
        let headers = response.headers_mut();
        if let (Ok(cursor), Ok(link)) =
            (HeaderValue::from_str(&cursor), HeaderValue::from_str(&format!("<{url}>; rel=\"next\"")))
        {
            headers.insert("next-cursor", cursor);
            headers.insert(header::LINK, link);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use shopfloor::time::{HOUR, SECOND};

    fn default() -> Interval {
        Interval::new(Timestamp::from_secs(0), Timestamp::from_nanos(HOUR)).unwrap()
    }

    #[test]
    fn a_date_is_the_start_of_the_day_in_the_zone() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let params = RangeParams { from: Some("2026-11-25".into()), to: Some("2026-11-26".into()) };
        let found = params.resolve(&zone, default(), 48 * HOUR).unwrap();
        assert_eq!(found.start.to_string(), "2026-11-24T16:00:00Z");
        assert_eq!(found.nanos(), 24 * HOUR);
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        let zone = TimeZone::UTC;
        for (from, to) in [("x", "2026-11-25"), ("2026-11-25", "2026-11-25"), ("2026-11-26", "2026-11-25"), ("", "")] {
            let params = RangeParams { from: Some(from.into()), to: Some(to.into()) };
            assert!(params.resolve(&zone, default(), 48 * HOUR).is_err(), "{from} {to}");
        }
        let params = RangeParams { from: Some("2026-01-01".into()), to: Some("2026-02-01".into()) };
        assert!(params.resolve(&zone, default(), 48 * HOUR).is_err());
        assert!(limit(Some("0"), 10, 100).is_err());
        assert!(limit(Some("-1"), 10, 100).is_err());
        assert_eq!(limit(None, 10, 100).unwrap(), 10);
    }

    #[test]
    fn a_garbage_time_zone_header_means_the_sites_zone() {
        let site = TimeZone::get("Asia/Shanghai").unwrap();
        for garbage in ["", "Mars/Olympus", "../../etc/passwd", "GMT+25"] {
            let mut headers = HeaderMap::new();
            headers.insert("time-zone", HeaderValue::from_str(garbage).unwrap());
            assert_eq!(zone_of(&headers, &site), site, "{garbage}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("time-zone", HeaderValue::from_static("Europe/Berlin"));
        assert_eq!(zone_of(&headers, &site).iana_name(), Some("Europe/Berlin"));
    }

    #[test]
    fn an_unescaped_plus_is_still_an_offset() {
        let at = instant("from", "2026-11-25T08:00:00 08:00", &TimeZone::UTC).unwrap();
        assert_eq!(at.as_nanos() % (HOUR / SECOND), 0);
        assert_eq!(at.to_string(), "2026-11-25T00:00:00Z");
    }
}

//! What every answer goes through: the language of errors, headers that keep the page to this origin, and a check
//! that a request meant this host (a page elsewhere must not reach a collector on loopback through its own name).

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::error::{ApiError, Language};

/// The page may load from this origin only; style attributes, which carry bar lengths, are allowed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; \
img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Writes errors in the language that was asked for, also those that the router itself makes.
pub async fn localize(request: Request, next: Next) -> Response {
    let language = Language::of(request.headers());
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let ours = response.extensions().get::<ApiError>().cloned();
    let Some(error) = ours.or_else(|| routers_own(response.status(), &path)) else { return response };
    let mut answer = (error.status(), Json(error.body(language))).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    if let Some(allow) = response.headers().get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    answer
}

/// The router's own refusals (method, path encoding) have no body of ours.
fn routers_own(status: StatusCode, path: &str) -> Option<ApiError> {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => Some(ApiError::method()),
        StatusCode::NOT_FOUND => Some(ApiError::no_route(path)),
        status if status.is_client_error() => Some(ApiError::refused(status)),
        _ => None,
    }
}

/// Adds the headers that keep the page to this origin. A page that brings a policy of its own keeps that: a printed
/// sheet carries its style inside and may load nothing at all.
pub async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// On loopback, refuses requests that were meant for another name than this host's own.
pub async fn only_loopback_names(request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let named = named.or_else(|| request.uri().authority().map(ToString::to_string));
    if named.is_some_and(|host| is_loopback_name(&host)) {
        return next.run(request).await;
    }
    ApiError::refused(StatusCode::MISDIRECTED_REQUEST).into_response()
}

fn is_loopback_name(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.authority().map_or("", |authority| authority.host());
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_host_are_loopback() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "127.9.9.9"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "10.0.0.1",
            "a b",
            "127.0.0.1.nip.example",
        ] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[test]
    fn the_policy_names_no_other_origin() {
        assert!(!POLICY.contains("http") && !POLICY.contains('*'));
    }
}

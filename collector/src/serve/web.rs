//! The web application, embedded from dashboards/web/dist. Without a built one a page says so and how to build it.
//!
//! Nothing is fetched from elsewhere: the content security policy allows this origin only.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use super::api::error::ApiError;

/// Files of dashboards/web/dist at build time; empty when it was not built.
#[derive(Embed)]
#[folder = "../dashboards/web/dist"]
#[allow_missing = true]
struct Dist;

const NOT_BUILT: &str = "<!doctype html><html lang=\"zh-CN\"><head><meta charset=\"utf-8\"><title>Plumbline 准绳</title></head>\
<body><h1>网页应用未构建 · web not built</h1>\
<p>数据接口可用 · the data interface works: <a href=\"/api/openapi.json\">/api/openapi.json</a>, \
<a href=\"/api/v1/overview\">/api/v1/overview</a></p>\
<p>构建 · to build it: <code>cargo xtask web</code> (Node 20 or newer), then build the collector again.</p></body></html>";

/// Whether the binary carries a web application.
pub fn is_built() -> bool {
    Dist::get("index.html").is_some()
}

/// Answers every path that is not an endpoint: a file, or the application's page for its own routes.
pub async fn fallback(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return ApiError::no_route(path).into_response();
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return ApiError::method().into_response();
    }
    let name = path.trim_start_matches('/');
    if let Some(file) = Dist::get(name) {
        return answer(name, &file, request.headers());
    }
    let last = name.rsplit('/').next().unwrap_or("");
    if last.contains('.') && !name.is_empty() {
        return ApiError::no_route(path).into_response();
    }
    match Dist::get("index.html") {
        Some(file) => answer("index.html", &file, request.headers()),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], NOT_BUILT)
            .into_response(),
    }
}

fn answer(name: &str, file: &rust_embed::EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut response = if known == Some(tag.as_str()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = HeaderValue::from_str(file.metadata.mimetype())
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        ([(header::CONTENT_TYPE, kind)], file.data.clone().into_owned()).into_response()
    };
    // Names under assets/ carry a hash of their content, the others do not.
    let caching = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn get(path: &str) -> Response {
        fallback(Request::builder().uri(path).body(Body::empty()).expect("the request is well formed")).await
    }

    #[tokio::test]
    async fn the_root_and_the_applications_own_routes_answer_a_page_built_or_not() {
        for path in ["/", "/sites/s1/work-units/u1"] {
            let response = get(path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
            assert!(kind.starts_with("text/html"), "{path}: {kind}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_missing_and_not_the_page() {
        assert_eq!(get("/assets/nothing.js").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get("/api/v2/sites").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get("/../Cargo.toml").await.status(), StatusCode::NOT_FOUND);
    }
}

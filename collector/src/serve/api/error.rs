//! Errors as the API answers them: a code that can be searched for, the cause, and the next step.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::evaluate::words::Words;

/// The body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable code.
    #[schema(example = "E-2101")]
    pub code: String,
    /// The sentence in the language that was asked for; Chinese unless the request says otherwise.
    pub message: String,
    /// The sentence in Chinese.
    pub zh: String,
    /// The sentence in English.
    pub en: String,
    /// The next step.
    pub what_next: Words,
}

/// An error on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {en}")]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    zh: String,
    en: String,
    next: Words,
}

impl ApiError {
    /// E-2101: a parameter that cannot be used.
    pub fn parameter(name: &str, found: &str, allowed_zh: &str, allowed_en: &str) -> Self {
        let found: String = found.chars().take(80).collect();
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "E-2101",
            zh: format!("参数 {name}={found:?} 无效"),
            en: format!("parameter {name}={found:?} cannot be used"),
            next: Words::new(allowed_zh, allowed_en),
        }
    }

    /// E-2102: the range is longer than one request may cover.
    pub fn range_too_long(allowed_zh: &str, allowed_en: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "E-2102",
            zh: "时间范围太长".to_owned(),
            en: "the range of time is longer than one request may cover".to_owned(),
            next: Words::new(allowed_zh, allowed_en),
        }
    }

    /// E-2401 to E-2406: a thing that is not here. `what` names it.
    pub fn missing(code: &'static str, zh: String, en: String, next: Words) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, zh, en, next }
    }

    /// E-2401: no such site.
    pub fn no_site(site: &str) -> Self {
        Self::missing(
            "E-2401",
            format!("没有工厂 {site:?}"),
            format!("there is no site {site:?}"),
            Words::new(
                "GET /api/v1/sites 列出全部工厂; 新工厂用 plumbline-collector import plant.toml 导入",
                "GET /api/v1/sites lists the sites; plumbline-collector import plant.toml adds one",
            ),
        )
    }

    /// E-2402: no such work unit in this site.
    pub fn no_unit(site: &str, unit: &str) -> Self {
        Self::missing(
            "E-2402",
            format!("工厂 {site} 没有设备 {unit:?}"),
            format!("site {site} has no work unit {unit:?}"),
            Words::new(
                format!("GET /api/v1/sites/{site}/work-units 列出全部设备"),
                format!("GET /api/v1/sites/{site}/work-units lists them"),
            ),
        )
    }

    /// E-2403: no such tag, or none that was ever read.
    pub fn no_tag(unit: &str, tag: &str) -> Self {
        Self::missing(
            "E-2403",
            format!("设备 {unit} 没有点位 {tag:?}"),
            format!("work unit {unit} has no tag {tag:?}"),
            Words::new(
                "GET /api/v1/sites/{site}/tags 列出采集端申报的全部点位",
                "GET /api/v1/sites/{site}/tags lists the tags that agents have declared",
            ),
        )
    }

    /// E-2404: no window of any kind has these ends.
    pub fn no_window(start: &str, end: &str) -> Self {
        Self::missing(
            "E-2404",
            format!("没有起止为 {start} 至 {end} 的统计窗口"),
            format!("no hour, shift or day runs from {start} to {end}"),
            Words::new(
                "GET …/windows?kind=hour|shift|day&from=&to= 列出窗口及其起止",
                "GET …/windows?kind=hour|shift|day&from=&to= lists windows with their ends",
            ),
        )
    }

    /// E-2405: no block with this hash in the log.
    pub fn no_block(hash: &str) -> Self {
        Self::missing(
            "E-2405",
            format!("日志中没有数据块 {hash}"),
            format!("the log holds no block {hash}"),
            Words::new(
                "核对 64 位十六进制哈希; 采样接口的 block_hash 字段给出它",
                "check the 64 hex digits; the field block_hash of a sample gives them",
            ),
        )
    }

    /// E-2406: no such project.
    pub fn no_project(project: &str) -> Self {
        Self::missing(
            "E-2406",
            format!("没有项目 {project:?}"),
            format!("there is no project {project:?}"),
            Words::new(
                "GET /api/v1/projects 列出全部项目; 新项目用 plumbline-collector project import project.toml 登记",
                "GET /api/v1/projects lists them; plumbline-collector project import project.toml registers one",
            ),
        )
    }

    /// E-2504: a project is not worked out yet, so that nothing may be printed.
    pub fn not_finished(project: &str, percent: u8) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "E-2504",
            zh: format!("项目 {project} 尚未计算完 ({percent} %), 核验单只按现行结果出具"),
            en: format!(
                "project {project} is not worked out yet ({percent} %); a sheet is written of a current result only"
            ),
            next: Words::new(
                format!("GET /api/v1/projects/{project} 的 state 给出进度; 完成后重试"),
                format!("state of GET /api/v1/projects/{project} shows the progress; try again when it is current"),
            ),
        }
    }

    /// E-2400: no such route.
    pub fn no_route(path: &str) -> Self {
        let path: String = path.chars().take(120).collect();
        Self::missing(
            "E-2400",
            format!("没有接口 {path}"),
            format!("there is no endpoint {path}"),
            Words::new("GET /api/openapi.json 列出全部接口", "GET /api/openapi.json lists all of them"),
        )
    }

    /// E-2490: the API is read-only.
    pub fn method() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "E-2490",
            zh: "该接口只读".to_owned(),
            en: "this interface is read-only".to_owned(),
            next: Words::new("使用 GET", "use GET"),
        }
    }

    /// E-2491: refused before it was looked at: wrong host name, unreadable path, too long.
    pub fn refused(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("refused");
        Self {
            status,
            code: "E-2491",
            zh: format!("请求被拒绝 ({reason})"),
            en: format!("the request was refused ({reason})"),
            next: Words::new(
                "核对地址; 监听在本机回环地址时只能用 localhost 或 127.0.0.1 访问",
                "check the address; a collector that listens on loopback answers to localhost and 127.0.0.1 only",
            ),
        }
    }

    /// E-2501: reading the log or the ledger failed. The cause is logged, not shown.
    pub fn storage(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "reading for the API failed");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "E-2501",
            zh: "读取存储失败".to_owned(),
            en: "reading the store failed".to_owned(),
            next: Words::new(
                "查看采集中心日志, 并运行 plumbline-collector doctor",
                "look at the collector's log and run plumbline-collector doctor",
            ),
        }
    }

    /// E-2502: the pure calculation refused.
    pub fn evaluation(cause: &dyn std::fmt::Display) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "E-2502",
            zh: format!("无法计算: {cause}"),
            en: format!("cannot be computed: {cause}"),
            next: Words::new("核对 plant.toml 中该设备的角色与规则", "check this unit's roles and rules in plant.toml"),
        }
    }

    /// E-2501 or E-2502, as the cause of a failed evaluation is.
    pub fn evaluate(cause: &crate::evaluate::EvaluateError) -> Self {
        match cause {
            crate::evaluate::EvaluateError::Refused(refused) => Self::evaluation(refused),
            other => Self::storage(other),
        }
    }

    /// E-2503: too many requests are being worked on.
    pub fn busy() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "E-2503",
            zh: "同时进行的请求太多".to_owned(),
            en: "too many requests are being worked on".to_owned(),
            next: Words::new("稍后重试", "try again shortly"),
        }
    }

    /// The status of the answer.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The body, its message in `language`.
    pub fn body(&self, language: Language) -> ErrorBody {
        let message = match language {
            Language::Zh => &self.zh,
            Language::En => &self.en,
        };
        ErrorBody {
            error: ErrorDetail {
                code: self.code.to_owned(),
                message: message.clone(),
                zh: self.zh.clone(),
                en: self.en.clone(),
                what_next: self.next.clone(),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // `guard::localize` finds the error in the extensions and writes its body.
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Language of the one sentence that is chosen by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Chinese, the default.
    Zh,
    /// English.
    En,
}

impl Language {
    /// The first of `Accept-Language` that we speak, by weight; Chinese when the header is absent or garbage.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let mut best: Option<(u32, Self)> = None;
        for part in text.split(',').take(16) {
            let mut fields = part.trim().split(';');
            let language = match fields.next().unwrap_or("").trim().get(..2).map(str::to_ascii_lowercase).as_deref() {
                Some("zh") => Self::Zh,
                Some("en") => Self::En,
                _ => continue,
            };
            let weight = fields.next().map_or(Some(1000), weight);
            if let Some(weight) = weight.filter(|w| *w > 0 && best.is_none_or(|(b, _)| *w > b)) {
                best = Some((weight, language));
            }
        }
        best.map_or(Self::Zh, |(_, language)| language)
    }

    /// As a language tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }
}

/// `q=0.8` as thousandths; `None` if it is not that.
fn weight(text: &str) -> Option<u32> {
    let digits = text.trim().strip_prefix("q=")?;
    let value: f64 = digits.parse().ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 1000 after the check
    (0.0..=1.0).contains(&value).then_some((value * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn language(text: &[u8]) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_bytes(text).unwrap());
        Language::of(&headers)
    }

    #[test]
    fn a_garbage_language_header_means_the_default() {
        for garbage in [&b""[..], b"\xff\xfe", b";;;q=,,", b"klingon", b"\xe4\xb8\xad", b"en;q=abc", b"en;q=0"] {
            assert_eq!(language(garbage), Language::Zh, "{garbage:?}");
        }
        assert_eq!(language(b"en-GB,zh;q=0.5"), Language::En);
        assert_eq!(language(b"en;q=0.3, zh-CN;q=0.9"), Language::Zh);
        assert_eq!(Language::of(&HeaderMap::new()), Language::Zh);
    }

    #[test]
    fn every_error_says_what_to_do_next() {
        let body = ApiError::no_site("x").body(Language::En);
        assert_eq!(body.error.message, body.error.en);
        assert!(body.error.what_next.en.contains("/api/v1/sites"));
        assert_eq!(ApiError::no_site("x").into_response().status(), StatusCode::NOT_FOUND);
    }
}

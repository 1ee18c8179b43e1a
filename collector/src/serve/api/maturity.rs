//! Maturity: facts beside the items that they bear on. There is no score and no level, and the answer says why.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use shopfloor::maturity::{Answer, SourceFact, assess, models, no_score};
use shopfloor::register_map::{Protocol, SourceAuth};
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use crate::evaluate::project::figures::share;
use crate::evaluate::project::shape::{Figure, Term};
use crate::evaluate::words::{Reason, Words};
use crate::ledger::PlantVersion;
use crate::serve::Serving;

/// Whose words and rules the items rest on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProfileShape {
    /// The models with their versions.
    #[schema(example = "cmmm@1 sme@1")]
    pub id: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// Whether every part was read against its document.
    pub verified: bool,
}

/// The days that the facts are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MaturityWindow {
    /// First instant.
    pub from: String,
    /// First instant after.
    pub until: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// An item and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaturityItem {
    /// Name within the model.
    pub id: String,
    /// Sub-domain or dimension.
    pub group: Words,
    /// What it is about, in Chinese.
    pub zh: String,
    /// The same in English.
    pub en: String,
    /// `measured`, `attested` or `unknown`.
    pub state: Term,
    /// The fact; null where there is none.
    pub value: Option<Words>,
    /// The days that it is of.
    pub window: Words,
    /// Share of the planned time of the window that it rests on.
    pub coverage: Option<Figure>,
    /// What would settle it.
    pub would_settle: Option<Words>,
    /// Where the wording comes from, and that it was not checked.
    pub source: Words,
}

/// A model and its items.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaturityModel {
    /// `cmmm` or `sme`.
    pub id: String,
    /// Chinese title.
    pub zh: String,
    /// English title.
    pub en: String,
    /// Items that measurements bear on.
    pub items: Vec<MaturityItem>,
}

/// What measurements can say about maturity.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaturityShape {
    /// Whose words and rules.
    pub profile: ProfileShape,
    /// Always null while the profile is not verified.
    #[schema(value_type = Option<String>)]
    pub score: Option<()>,
    /// Always null while the profile is not verified.
    #[schema(value_type = Option<String>)]
    pub level: Option<()>,
    /// Why there is no score and no level.
    pub reason: Reason,
    /// The days that the facts are of.
    pub window: MaturityWindow,
    /// The models.
    pub models: Vec<MaturityModel>,
}

/// What measurements can say about the maturity of a site: facts with window and coverage; no score, no level.
#[utoipa::path(get, path = "/api/v1/sites/{site}/maturity", tag = "plant",
    params(("site" = String, Path, description = "site id")),
    responses((status = 200, body = MaturityShape), (status = 404, body = ErrorBody)))]
pub async fn maturity(
    State(serving): State<Arc<Serving>>,
    Path(site): Path<String>,
) -> Result<Json<MaturityShape>, ApiError> {
    let version = serving.plant(&site)?;
    Ok(Json(serving.clone().work(move || shape(&serving, &version)).await?))
}

fn shape(serving: &Serving, version: &PlantVersion) -> Result<MaturityShape, ApiError> {
    let sources = sources(serving, version)?;
    let found = serving.maturity.facts(&serving.pipeline, &serving.regions, version, sources, serving.now());
    let found = found.map_err(|error| ApiError::evaluate(&error))?;
    let (first, last) = found.days;
    let days = found.facts.days;
    let window = Words::new(format!("{first} 至 {last}（{days} d）"), format!("{first} to {last} ({days} d)"));
    let models = models();
    let reason = models.first().map(no_score).as_ref().map(Reason::from);
    let names: Vec<String> = models.iter().map(|model| format!("{}@{}", model.id, model.version)).collect();
    let shapes = models.iter().map(|model| MaturityModel {
        id: model.id.clone(),
        zh: model.title.zh.clone(),
        en: model.title.en.clone(),
        items: assess(model, &found.facts).into_iter().map(|answer| item(answer, &window)).collect(),
    });
    Ok(MaturityShape {
        profile: ProfileShape {
            id: names.join(" "),
            zh: "遥测触及的项目（措辞自拟，依据未核实）".to_owned(),
            en: "items that telemetry touches (own wording, basis unverified)".to_owned(),
            verified: models.iter().all(|model| model.verified),
        },
        score: None,
        level: None,
        reason: reason.unwrap_or_else(|| Reason::new("no_model", "没有模型", "there is no model")),
        window: MaturityWindow {
            from: found.window.start.to_string(),
            until: found.window.end.to_string(),
            zh: window.zh.clone(),
            en: window.en.clone(),
        },
        models: shapes.collect(),
    })
}

fn item(answer: Answer, window: &Words) -> MaturityItem {
    let state = answer.state.text();
    MaturityItem {
        id: answer.item.id,
        group: answer.item.group.into(),
        zh: answer.item.title.zh,
        en: answer.item.title.en,
        state: Term::new(answer.state.code(), state.zh, state.en),
        value: answer.value.map(Words::from),
        window: window.clone(),
        coverage: answer.coverage.map(share),
        would_settle: answer.settle.map(Words::from),
        source: Words::new("自拟措辞，未与文件原文核对", "own wording, not checked against the document"),
    }
}

/// The sources that the agents in force declare in their newest register maps.
fn sources(serving: &Serving, version: &PlantVersion) -> Result<Vec<SourceFact>, ApiError> {
    let now = serving.now();
    let open = |until: Option<shopfloor::time::Timestamp>| until.is_none_or(|until| until > now);
    let units = version.plant.work_units.iter();
    let bindings = units.flat_map(|unit| unit.bindings.iter()).filter(|binding| open(binding.until));
    let agents: BTreeSet<_> = bindings.map(|binding| &binding.agent).collect();
    let mut found = Vec::new();
    for agent in agents {
        let Some(map) = serving.newest_map(&version.plant.site.id, agent)? else { continue };
        found.extend(map.sources.iter().map(|source| SourceFact {
            protocol: match source.protocol {
                Protocol::ModbusTcp => "Modbus TCP".to_owned(),
                Protocol::OpcUa => "OPC UA".to_owned(),
            },
            is_protected: source.auth == SourceAuth::Authenticated,
        }));
    }
    Ok(found)
}

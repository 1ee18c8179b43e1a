//! The region: clusters and sites, and the same as a workbook. Production figures are sums over at least five sites.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use shopfloor::cluster::{Answer, MINIMUM_SITES};
use shopfloor::id::SiteId;
use shopfloor::networked::Counts;
use shopfloor::project::Stage;

use super::error::{ApiError, ErrorBody};
use super::projects::XLSX;
use super::region_shape::{
    AllSites, ClusterProjects, ClusterShape, ContactShape, IndicatorName, NetworkedShape, RegionFigure, RegionShape,
    RegionSite, RegionWindow, SiteProject, StageCount,
};
use crate::evaluate::project::figures::{bounded, share, term};
use crate::evaluate::project::shape::{Range, Term};
use crate::evaluate::region::{ClusterFacts, Online, Published, Region, SiteFacts};
use crate::evaluate::words::Reason;
use crate::report::region::book;
use crate::serve::Serving;
use crate::workbook;

/// Clusters and sites: stage, online, networked in three states, coverage, last data, whom to call.
#[utoipa::path(get, path = "/api/v1/region", tag = "plant", responses((status = 200, body = RegionShape)))]
pub async fn region(State(serving): State<Arc<Serving>>) -> Result<Json<RegionShape>, ApiError> {
    let shape = serving.clone().work(move || serving.region());
    Ok(Json(shape.await?))
}

/// The same as a workbook with Chinese headings and a sheet 口径.
#[utoipa::path(get, path = "/api/v1/region.xlsx", tag = "plant",
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", body = Vec<u8>),
        (status = 503, body = ErrorBody)))]
pub async fn region_book(State(serving): State<Arc<Serving>>) -> Result<Response, ApiError> {
    let bytes = serving.clone().work(move || {
        let book = book(&serving.region()?, serving.now());
        workbook::write(&book).map_err(|error| ApiError::storage(&error))
    });
    Ok(attachment(bytes.await?, "region.xlsx"))
}

/// A workbook as an answer; `name` is safe in a header.
pub fn attachment(bytes: Vec<u8>, name: &str) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, XLSX.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, bytes).into_response()
}

impl Serving {
    /// The region in the shape that is answered.
    pub fn region(&self) -> Result<RegionShape, ApiError> {
        let region = self.regions.region(&self.pipeline, self.now()).map_err(|error| ApiError::evaluate(&error))?;
        let projects = self.site_projects()?;
        Ok(RegionShape {
            as_of: region.as_of.to_string(),
            minimum_sites: MINIMUM_SITES as u64,
            clusters: region.clusters.iter().map(|cluster| cluster_shape(&region, cluster, &projects)).collect(),
            all: AllSites { figures: figures(&region, &region.all) },
            sites: region.sites.iter().map(|site| site_shape(site, &projects)).collect(),
        })
    }

    fn site_projects(&self) -> Result<Projects, ApiError> {
        let mut found = Projects::new();
        for history in self.store.ledger.projects() {
            let project = &history.current().project;
            let row = self.project_row(&history)?.facts;
            let stage = project.stage().map(|(stage, _)| stage);
            let shape = SiteProject {
                id: row.id,
                name: row.name,
                name_en: row.name_en,
                stage: stage.map(stage_term),
                conclusion: row.conclusion,
            };
            found.entry(project.site.clone()).or_default().push((stage, shape));
        }
        Ok(found)
    }
}

type Projects = BTreeMap<SiteId, Vec<(Option<Stage>, SiteProject)>>;

fn stage_term(stage: Stage) -> Term {
    term(stage.code(), stage.text())
}

/// The three counts in the shape that is answered.
pub fn networked(counts: Counts) -> NetworkedShape {
    let text = counts.text();
    NetworkedShape {
        verified: counts.verified,
        declared: counts.declared,
        none: counts.none,
        total: counts.total(),
        zh: text.zh,
        en: text.en,
    }
}

fn cluster_shape(region: &Region, facts: &ClusterFacts, projects: &Projects) -> ClusterShape {
    let cluster = &facts.cluster;
    let members = region.sites.iter().filter(|site| facts.sites.contains(&site.version.plant.site.id));
    let mut counties: Vec<String> = members.filter_map(county).collect();
    counties.sort();
    counties.dedup();
    let own = || facts.sites.iter().filter_map(|site| projects.get(site)).flatten();
    let by_stage = Stage::ALL.iter().map(|stage| {
        let Term { code, zh, en } = stage_term(*stage);
        StageCount { code, zh, en, count: own().filter(|(at, _)| *at == Some(*stage)).count() as u64 }
    });
    ClusterShape {
        id: cluster.id.to_string(),
        name: cluster.name.clone().unwrap_or_else(|| cluster.id.to_string()),
        name_en: cluster.name_en.clone(),
        kind: Term::new(cluster.kind.code(), cluster.kind.zh(), cluster.kind.en()),
        counties,
        sites: facts.sites.iter().map(ToString::to_string).collect(),
        networked: networked(facts.networked),
        projects: ClusterProjects { by_stage: by_stage.collect() },
        figures: figures(region, &facts.figures),
    }
}

fn county(site: &SiteFacts) -> Option<String> {
    let site = &site.version.plant.site;
    site.county_name.clone().or_else(|| site.county.clone())
}

fn figures(region: &Region, published: &[Published]) -> Vec<RegionFigure> {
    let window = window(region);
    let shape = |published: &Published| {
        let definition = &published.indicator.definition;
        let indicator = IndicatorName {
            id: definition.id.clone(),
            version: definition.version,
            zh: definition.title_zh.clone(),
            en: definition.title_en.clone(),
        };
        let window = window.clone();
        match &published.answer {
            Answer::Published { figure, sites } => {
                let found = bounded(figure, published.indicator.unit);
                let figure = Some(Range { low: found.low, high: found.high, point: found.point });
                RegionFigure { indicator, window, figure, sites: *sites as u64, suppressed: None }
            }
            Answer::Suppressed { reason, sites } => RegionFigure {
                indicator,
                window,
                figure: None,
                sites: *sites as u64,
                suppressed: Some(Reason::from(reason)),
            },
        }
    };
    published.iter().map(shape).collect()
}

fn window(region: &Region) -> RegionWindow {
    match region.day {
        Some((date, interval)) => RegionWindow {
            from: Some(interval.start.to_string()),
            until: Some(interval.end.to_string()),
            zh: format!("最近一个多数工厂已结算的完整日 {date}"),
            en: format!("last full day that has settled at most sites, {date}"),
        },
        None => RegionWindow {
            from: None,
            until: None,
            zh: "最近 8 天没有已结算的完整日".to_owned(),
            en: "no full day has settled within the last 8 days".to_owned(),
        },
    }
}

fn site_shape(facts: &SiteFacts, projects: &Projects) -> RegionSite {
    let plant = &facts.version.plant;
    let site = &plant.site;
    let own = projects.get(&site.id).map(Vec::as_slice).unwrap_or_default();
    let (code, zh, en) = match facts.online {
        Online::Online => ("online", "在线", "online"),
        Online::Silent => ("silent", "静默", "silent"),
        Online::Never => ("never", "从未上线", "never online"),
    };
    RegionSite {
        id: site.id.to_string(),
        name: site.name.clone(),
        name_en: site.name_en.clone(),
        uscc: site.uscc.clone(),
        industry: site.industry.clone(),
        county: county(facts),
        clusters: facts.clusters.iter().map(|cluster| cluster.id.to_string()).collect(),
        stage: own.iter().filter_map(|(stage, _)| *stage).max().map(stage_term),
        projects: own.iter().map(|(_, shape)| shape.clone()).collect(),
        online: Term::new(code, zh, en),
        newest: facts.newest.map(|at| at.to_string()),
        networked: networked(facts.register.counts),
        coverage: facts.coverage.map(share),
        coverage_day: facts.day.map(|day| day.to_string()),
        contact: site
            .contact
            .as_ref()
            .map(|contact| ContactShape { name: contact.name.clone(), phone: contact.phone.clone() }),
        work_units: plant.work_units.len() as u64,
        demo: facts.demo,
    }
}

//! The equipment register of a site: line by line, counted in three states, and as the sheet that people keep.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use shopfloor::id::{AgentId, SiteId, WorkUnitId};
use shopfloor::networked::{self, Line, Register};
use shopfloor::plant::Equipment;
use shopfloor::time::Timestamp;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::region::attachment;
use super::region_shape::NetworkedShape;
use super::unit_shape::EquipmentShape;
use crate::evaluate::words::Reason;
use crate::ledger::PlantVersion;
use crate::serve::Serving;
use crate::{register, workbook};

/// The register, counted: three counts and their sum, never one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RegisterShape {
    /// All machines.
    pub networked: NetworkedShape,
    /// Those of key processes (关键工序).
    pub key_process: NetworkedShape,
    /// What was noticed about lines and about the register.
    pub remarks: Vec<Reason>,
}

/// The equipment register of a site: all equipment, connected or not.
#[utoipa::path(get, path = "/api/v1/sites/{site}/equipment", tag = "plant",
    params(("site" = String, Path, description = "site id")),
    responses((status = 200, body = Vec<EquipmentShape>), (status = 404, body = ErrorBody)))]
pub async fn equipment(
    State(serving): State<Arc<Serving>>,
    Path(site): Path<String>,
) -> Result<Json<Vec<EquipmentShape>>, ApiError> {
    let version = serving.plant(&site)?;
    let lines = serving.clone().work(move || {
        let (register, sending) = counted(&serving, &version)?;
        let lines = version.plant.equipment.iter().zip(&register.lines);
        lines.map(|(line, counted)| shape(&serving, &version, line, counted, &sending)).collect::<Result<Vec<_>, _>>()
    });
    Ok(Json(lines.await?))
}

/// How many machines of a site are networked: verified, declared, not at all.
#[utoipa::path(get, path = "/api/v1/sites/{site}/networked", tag = "plant",
    params(("site" = String, Path, description = "site id")),
    responses((status = 200, body = RegisterShape), (status = 404, body = ErrorBody)))]
pub async fn networked(
    State(serving): State<Arc<Serving>>,
    Path(site): Path<String>,
) -> Result<Json<RegisterShape>, ApiError> {
    let version = serving.plant(&site)?;
    let shape = serving.clone().work(move || {
        let (register, _) = counted(&serving, &version)?;
        let lines = register.lines.iter().filter_map(|line| line.remark.as_ref());
        Ok(RegisterShape {
            networked: super::region::networked(register.counts),
            key_process: super::region::networked(register.key_process),
            remarks: lines.chain(&register.remarks).map(Reason::from).collect(),
        })
    });
    Ok(Json(shape.await?))
}

/// The register as a workbook, with the headings under which `plumbline-collector import` reads it again.
#[utoipa::path(get, path = "/api/v1/sites/{site}/equipment.xlsx", tag = "plant",
    params(("site" = String, Path, description = "site id")),
    responses((status = 200, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", body = Vec<u8>),
        (status = 404, body = ErrorBody)))]
pub async fn equipment_book(
    State(serving): State<Arc<Serving>>,
    Path(site): Path<String>,
) -> Result<Response, ApiError> {
    let version = serving.plant(&site)?;
    let name = format!("{}-equipment.xlsx", version.plant.site.id);
    let bytes = serving.clone().work(move || {
        let agents = serving.store.agents.agents();
        let own = agents.iter().filter(|view| view.site == version.plant.site.id);
        let demo = own.into_iter().any(|view| view.marks.demo_key || view.marks.simulated);
        let book = register::book(&version.plant, version.received.as_nanos().div_euclid(1_000_000_000), demo);
        workbook::write(&book).map_err(|error| ApiError::storage(&error))
    });
    Ok(attachment(bytes.await?, &name))
}

fn counted(serving: &Serving, version: &PlantVersion) -> Result<(Register, BTreeSet<WorkUnitId>), ApiError> {
    let sending = serving.regions.days().sending(&serving.pipeline, version, serving.now());
    let sending = sending.map_err(|error| ApiError::evaluate(&error))?;
    Ok((networked::count(&version.plant, &sending), sending))
}

fn shape(
    serving: &Serving,
    version: &PlantVersion,
    line: &Equipment,
    counted: &Line,
    sending: &BTreeSet<WorkUnitId>,
) -> Result<EquipmentShape, ApiError> {
    let unit = line.work_unit.as_ref().filter(|id| sending.contains(*id)).and_then(|id| version.plant.work_unit(id));
    let (first, last) = match unit {
        Some(unit) => {
            let agents: BTreeSet<&AgentId> = unit.bindings.iter().map(|binding| &binding.agent).collect();
            data_span(serving, &version.plant.site.id, &agents)?
        }
        None => (None, None),
    };
    Ok(EquipmentShape {
        id: line.id.to_string(),
        name: line.name.clone(),
        name_en: line.name_en.clone(),
        model: line.model.clone(),
        serial: line.serial.clone(),
        key_process: line.key_process,
        contract_line: line.contract_line.clone(),
        networked: counted.networked.code().to_owned(),
        zh: counted.networked.zh().to_owned(),
        en: counted.networked.en().to_owned(),
        registered: line.networked.code().to_owned(),
        system: line.system.clone(),
        remark: counted.remark.as_ref().map(Reason::from),
        attested_by: line.attested_by.clone(),
        attested_at: line.attested_at.map(|date| date.to_string()),
        work_unit: line.work_unit.as_ref().map(ToString::to_string),
        first_data: first.map(|at| at.to_string()),
        last_data: last.map(|at| at.to_string()),
    })
}

/// First and newest data of some agents.
fn data_span(
    serving: &Serving,
    site: &SiteId,
    agents: &BTreeSet<&AgentId>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let (mut first, mut last) = (None, None);
    for agent in agents {
        let seen = serving.series.first_of(site, agent).map_err(|error| ApiError::storage(&error))?;
        let newest = serving.store.agents.agent(site, agent).and_then(|view| view.newest_block_time);
        first = [first, seen].into_iter().flatten().min();
        last = [last, newest].into_iter().flatten().max();
    }
    Ok((first, last))
}

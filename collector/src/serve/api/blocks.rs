//! A block of the log: its header, its leaf, whether its signature and its chain hold, what is in its sections.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shopfloor::hash::{Hash, hex};
use shopfloor::register_map::RegisterMap;
use shopfloor::wire::block::{self, Limits, Opened};
use shopfloor::wire::header::{ClockState, Header};
use shopfloor::wire::section::Group;

use super::error::{ApiError, ErrorBody};
use super::record_shape::{BlockShape, GapShape, GroupShape, HeaderShape, QualityCounts, SectionShape, SignatureShape};
use super::unit_shape::Ends;
use super::vocabulary;
use crate::evaluate::words::Reason;
use crate::log::StoredBlock;
use crate::serve::Serving;

/// One block of the log.
#[utoipa::path(get, path = "/api/v1/blocks/{hash}", tag = "record",
    params(("hash" = String, Path, description = "block hash, 64 hexadecimal digits")),
    responses((status = 200, body = BlockShape), (status = 404, body = ErrorBody)))]
pub async fn block(State(serving): State<Arc<Serving>>, Path(hash): Path<String>) -> Result<Response, ApiError> {
    let hash = parse(&hash)?;
    let shape = serving.clone().work(move || describe(&serving, hash)).await?;
    let mut response = Json(shape).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The bytes of a block as they were received.
#[utoipa::path(get, path = "/api/v1/blocks/{hash}/bytes", tag = "record",
    params(("hash" = String, Path, description = "block hash, 64 hexadecimal digits")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), (status = 404, body = ErrorBody)))]
pub async fn block_bytes(
    State(serving): State<Arc<Serving>>,
    Path(hash): Path<String>,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let hash = parse(&hash)?;
    let stored = serving.clone().work(move || find(&serving, hash)).await?;
    let tag = format!("\"{hash}\"");
    if asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let name = format!("attachment; filename=\"{hash}.plb\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::ETAG, tag),
        // The bytes of a hash never change.
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, stored.bytes).into_response())
}

fn parse(text: &str) -> Result<Hash, ApiError> {
    text.parse().map_err(|_| {
        ApiError::parameter("hash", text, "写成 64 位小写十六进制数字", "write 64 hexadecimal digits in lower case")
    })
}

fn find(serving: &Serving, hash: Hash) -> Result<StoredBlock, ApiError> {
    let found = serving.store.log.block_by_hash(&hash).map_err(|error| ApiError::storage(&error))?;
    found.ok_or_else(|| ApiError::no_block(&hash.to_string()))
}

fn describe(serving: &Serving, hash: Hash) -> Result<BlockShape, ApiError> {
    let stored = find(serving, hash)?;
    let opened = block::open(&stored.bytes, &Limits::default()).map_err(|error| ApiError::storage(&error))?;
    let leaf = serving.store.log.leaf(stored.log_index).map_err(|error| ApiError::storage(&error))?;
    let map = serving.store.ledger.register_map(&opened.header.config_hash);
    Ok(BlockShape {
        hash: hash.to_string(),
        log_index: stored.log_index.to_string(),
        received_time: stored.received.to_string(),
        leaf_hash: leaf.map(|leaf| leaf.tree_hash().to_string()).unwrap_or_default(),
        size: stored.bytes.len() as u64,
        chain_ok: chain(serving, &stored, &opened.header)?,
        header: header_shape(&opened.header),
        signature: signature(serving, &opened),
        sections: sections(&opened, map.as_deref()),
    })
}

/// Whether the block cites the one before it; `None` when that one is not here.
fn chain(serving: &Serving, stored: &StoredBlock, header: &Header) -> Result<Option<bool>, ApiError> {
    if stored.sequence <= 1 {
        return Ok(Some(header.prev_block_hash == Hash::ZERO));
    }
    let before = stored.sequence - 1;
    let found = serving.store.log.blocks(&stored.site, &stored.agent, stored.epoch, before..=before);
    let found = found.map_err(|error| ApiError::storage(&error))?;
    Ok((!found.is_empty()).then(|| found.iter().any(|block| block.hash == header.prev_block_hash)))
}

fn signature(serving: &Serving, opened: &Opened<'_>) -> SignatureShape {
    let key_id = opened.key_id.to_string();
    let header = &opened.header;
    let Some(key) = serving.public_key(&header.site, &header.agent) else {
        let reason = Reason::new(
            "key-unknown",
            "此处没有该采集端的公钥, 未能再次验证",
            "this collector has no key for the agent now, so it was not checked again",
        );
        return SignatureShape { key_id, valid: None, public_key: None, reason: Some(reason) };
    };
    let checked = opened.verify(&key);
    let reason = checked.as_ref().err().map(|error| {
        Reason::new("signature-invalid", format!("签名无效: {error}"), format!("the signature does not hold: {error}"))
    });
    SignatureShape { key_id, valid: Some(checked.is_ok()), public_key: Some(key.to_string()), reason }
}

/// A header in JSON.
pub fn header_shape(header: &Header) -> HeaderShape {
    let [good, uncertain, bad] = header.quality_counts.map(|count| count.to_string());
    HeaderShape {
        format: header.format,
        site: header.site.to_string(),
        agent: header.agent.to_string(),
        epoch: header.epoch.to_string(),
        sequence: header.sequence.to_string(),
        prev_block_hash: header.prev_block_hash.to_string(),
        config_hash: header.config_hash.to_string(),
        plan_hash: header.plan_hash.map(|hash| hash.to_string()),
        software: header.software.clone(),
        boot_id: hex(&header.boot_id),
        window: Ends { start: header.window.start.to_string(), end: header.window.end.to_string() },
        clock: clock(&header.clock),
        first_sample: header.first_sample.to_string(),
        sample_count: header.sample_count.to_string(),
        quality_counts: QualityCounts { good, uncertain, bad },
        drops: header.drops.iter().map(|(cause, count)| (cause.clone(), count.to_string())).collect(),
        gaps: header.gaps.iter().map(gap).collect(),
        marks: header.marks.names().into_iter().map(str::to_owned).collect(),
    }
}

fn gap(record: &shopfloor::wire::header::GapRecord) -> GapShape {
    let words = vocabulary::gap(record.kind);
    GapShape {
        kind: record.kind.as_str().to_owned(),
        zh: words.zh,
        en: words.en,
        sequences: record.sequences.map(|(first, last)| (first.to_string(), last.to_string())),
        interval: record.interval.map(|i| Ends { start: i.start.to_string(), end: i.end.to_string() }),
        detail: record.detail.clone(),
    }
}

fn clock(clock: &ClockState) -> String {
    let synced = match clock.synced {
        Some(true) => "synchronized",
        Some(false) => "not synchronized",
        None => "synchronization unknown",
    };
    let offset = clock.offset.map(|offset| format!(", offset {offset} ns")).unwrap_or_default();
    let stepped = if clock.stepped == 0 { String::new() } else { format!(", stepped {} ns", clock.stepped) };
    format!("{synced}{offset}{stepped}")
}

/// Sections with what is in them, as far as the register map is known. `open` has checked their hashes.
fn sections(opened: &Opened<'_>, map: Option<&RegisterMap>) -> Vec<SectionShape> {
    let entries = opened.header.sections.iter();
    entries
        .map(|entry| SectionShape {
            name: entry.name.to_string(),
            bytes: entry.bytes.into(),
            inflated_bytes: entry.inflated_bytes.into(),
            hash: entry.hash.to_string(),
            hash_ok: true,
            groups: opened
                .section(&entry.name)
                .unwrap_or_default()
                .iter()
                .map(|group| group_shape(group, map))
                .collect(),
        })
        .collect()
}

fn group_shape(group: &Group, map: Option<&RegisterMap>) -> GroupShape {
    let (kind, rows, tags): (_, usize, Vec<u16>) = match group {
        Group::Scan(scan) => ("scan", scan.request.len(), scan.columns.iter().map(|column| column.tag).collect()),
        Group::Event(event) => {
            let rows = event.columns.iter().map(|column| column.rows.len()).sum();
            ("event", rows, event.columns.iter().map(|column| column.tag).collect())
        }
    };
    let entry = map.and_then(|map| map.groups.get(usize::from(group.group())).map(|entry| (map, entry)));
    let source = entry.and_then(|(map, entry)| map.sources.get(usize::from(entry.source)));
    let name = |tag: &u16| match map.and_then(|map| map.tags.get(usize::from(*tag))) {
        Some(entry) => entry.name.to_string(),
        None => format!("#{tag}"),
    };
    GroupShape {
        kind: kind.to_owned(),
        source: source.map(|source| source.id.to_string()).unwrap_or_default(),
        rows: rows as u64,
        tags: tags.iter().map(name).collect(),
    }
}

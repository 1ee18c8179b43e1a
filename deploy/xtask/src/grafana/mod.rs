//! `cargo xtask grafana`: writes the dashboards of dashboards/grafana out of the lists in `boards.rs`, so that every
//! panel has a title and a description in both languages, a unit and a place that nothing else takes.

mod boards;
mod panel;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

use panel::{Board, Panel, Unit, Variable};

/// The version of Grafana's dashboard form that is written: the one that versions 10 to 12 read alike.
const SCHEMA: u64 = 39;

/// Writes every dashboard; says which files changed.
pub fn write(root: &Path) -> Result<()> {
    for (path, text) in files(root) {
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            eprintln!("xtask: {} is as it should be", path.display());
            continue;
        }
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        eprintln!("xtask: {} written", path.display());
    }
    Ok(())
}

/// Each file's place and text.
fn files(root: &Path) -> Vec<(PathBuf, String)> {
    let folder = root.join("dashboards/grafana");
    let file = |board: &Board| (folder.join(format!("{}.json", board.uid)), format!("{:#}\n", json_of(board)));
    boards::all().iter().map(file).collect()
}

fn json_of(board: &Board) -> Value {
    let mut variables = vec![json!({
        "type": "datasource", "name": "source", "label": "数据源 / Data source", "query": "prometheus",
        "current": { "text": board.source, "value": board.source }, "hide": 0, "refresh": 1,
    })];
    variables.extend(board.variables.iter().map(variable));
    json!({
        "uid": board.uid, "title": format!("{} / {}", board.title.0, board.title.1),
        "description": format!("{}\n\n{}", board.about.0, board.about.1),
        "tags": ["plumbline"], "timezone": "browser", "editable": false, "graphTooltip": 1, "schemaVersion": SCHEMA,
        "version": 1, "refresh": board.refresh, "time": { "from": board.from, "to": "now" },
        "templating": { "list": variables }, "annotations": { "list": [] }, "links": [],
        "panels": placed(&board.panels),
    })
}

fn variable(variable: &Variable) -> Value {
    json!({
        "type": "query", "name": variable.name, "label": format!("{} / {}", variable.label.0, variable.label.1),
        "datasource": source(), "query": { "query": variable.query, "refId": variable.name },
        "definition": variable.query, "refresh": 2, "sort": 1, "hide": 0, "multi": true, "includeAll": true,
        "allValue": ".*", "current": { "text": ["All"], "value": ["$__all"] },
    })
}

/// Panels in rows from left to right, 24 units wide.
fn placed(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut height) = (0, 0, 0);
    let mut placed = Vec::new();
    for (panel, id) in panels.iter().zip(1_u64..) {
        if x + panel.width > 24 {
            (x, y, height) = (0, y + height, 0);
        }
        placed.push(panel_json(panel, id, (x, y)));
        x += panel.width;
        height = height.max(panel.height);
    }
    placed
}

fn panel_json(panel: &Panel, id: u64, (x, y): (u64, u64)) -> Value {
    let head = json!({
        "id": id, "type": panel.kind, "title": format!("{} / {}", panel.title.0, panel.title.1),
        "description": format!("{}\n\n{}", panel.about.0, panel.about.1), "transparent": false,
        "gridPos": { "x": x, "y": y, "w": panel.width, "h": panel.height },
    });
    let body = if panel.kind == "text" {
        let text = format!("{}\n\n{}", panel.about.0, panel.about.1);
        json!({ "options": { "mode": "markdown", "content": text } })
    } else {
        json!({
            "datasource": source(), "targets": targets(panel), "interval": "10s",
            "fieldConfig": { "defaults": defaults(panel), "overrides": [] }, "options": options(panel),
        })
    };
    merged(head, body)
}

fn targets(panel: &Panel) -> Vec<Value> {
    let letters = 'A'..='Z';
    let target = |((expression, legend), letter): (&(String, &str), char)| {
        json!({
            "refId": letter.to_string(), "datasource": source(), "expr": expression, "legendFormat": legend,
            "range": panel.kind != "stat", "instant": panel.kind == "stat", "editorMode": "code",
        })
    };
    panel.queries.iter().zip(letters).map(target).collect()
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({
        "unit": panel.unit.grafana(), "noValue": "无数据 / no data",
        "custom": {
            "drawStyle": if panel.bars { "bars" } else { "line" }, "lineWidth": 1,
            "fillOpacity": if panel.bars { 60 } else { 5 }, "spanNulls": false, "showPoints": "auto",
            "stacking": { "mode": if panel.stacked { "normal" } else { "none" }, "group": "A" },
        },
    });
    if panel.unit == Unit::Share {
        // No upper end: an effectiveness above 1 is said, not cut off.
        defaults["min"] = json!(0);
    }
    if panel.kind == "stat" {
        let steps = json!([{ "color": "green", "value": null }, { "color": "red", "value": panel.red_from }]);
        defaults["thresholds"] = json!({ "mode": "absolute", "steps": steps });
        defaults["custom"] = json!({});
    }
    defaults
}

fn options(panel: &Panel) -> Value {
    if panel.kind == "stat" {
        return json!({ "reduceOptions": { "calcs": ["lastNotNull"] }, "colorMode": "value", "graphMode": "none" });
    }
    json!({
        "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
        "tooltip": { "mode": "multi", "sort": "desc" },
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${source}" })
}

fn merged(mut head: Value, body: Value) -> Value {
    if let (Value::Object(head), Value::Object(body)) = (&mut head, body) {
        head.extend(body);
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_files_are_what_the_lists_say() {
        for (path, text) in files(&crate::root()) {
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(there == text, "{} is old: run cargo xtask grafana", path.display());
        }
    }

    fn is_chinese(text: &str) -> bool {
        text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
    }

    #[test]
    fn every_panel_has_both_languages_a_unit_queries_and_a_place_of_its_own() {
        for board in boards::all() {
            let json = json_of(&board);
            assert!(json.get("__inputs").is_none());
            let panels = json["panels"].as_array().unwrap();
            let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
            for panel in panels {
                let name = panel["title"].as_str().unwrap();
                for text in [name, panel["description"].as_str().unwrap()] {
                    assert!(is_chinese(text) && text.chars().any(|c| c.is_ascii_alphabetic()), "{text}");
                }
                assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}");
                let cell = |key: &str| panel["gridPos"][key].as_u64().unwrap();
                for x in cell("x")..cell("x") + cell("w") {
                    for y in cell("y")..cell("y") + cell("h") {
                        assert!(x < 24 && cells.insert((x, y)), "{name} lies on another panel");
                    }
                }
                if panel["type"] == "text" {
                    continue;
                }
                assert!(
                    panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()),
                    "{name}"
                );
                let targets = panel["targets"].as_array().unwrap();
                assert!(!targets.is_empty(), "{name}");
                for target in targets {
                    assert_eq!(target["datasource"]["uid"], "${source}", "{name}");
                    let expression = target["expr"].as_str().unwrap();
                    let scoped =
                        expression.contains("site=~\"$site\"") || expression.contains("instance=~\"$instance\"");
                    assert!(scoped, "{name}: {expression} does not obey the variables");
                }
            }
        }
    }
}

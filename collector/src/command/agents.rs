//! `agent list`: the enrolled agents and the ends of their chains.

use serde_json::json;

use super::{Answer, Arguments, Failure, Text, open_existing, ranges, read_config};
use crate::ingest::restore_session;

/// Lists the enrolled agents.
pub(super) fn list(arguments: &Arguments) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let store = open_existing(&config)?;
    let (mut text, mut rows) = (Text::default(), Vec::new());
    for enrolled in &config.agents {
        let summary = store.log.summary(&enrolled.site, &enrolled.id)?;
        let session = restore_session(&store.log, enrolled)?;
        let newest = summary.newest.as_ref().map(|block| block.window.end);
        let newest_text = newest.map_or_else(|| arguments.lang.say("无数据", "no data"), |at| at.to_string());
        text.line(format_args!(
            "{}/{}  epoch {}  {} {}  {} {}  {newest_text}  {}",
            enrolled.site,
            enrolled.id,
            enrolled.epoch,
            arguments.lang.say("区块", "blocks"),
            summary.blocks,
            arguments.lang.say("连续至", "contiguous to"),
            session.contiguous(),
            ranges(&session.missing()),
        ));
        rows.push(json!({
            "site": enrolled.site, "agent": enrolled.id, "epoch": enrolled.epoch, "public_key": enrolled.public_key,
            "blocks": summary.blocks, "contiguous": session.contiguous(), "missing": session.missing(),
            "newest_block_time": newest,
        }));
    }
    Ok(Answer { exit: 0, text, json: json!(rows) })
}

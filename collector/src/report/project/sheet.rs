//! 《项目指标核验单》 as HTML: A4 portrait, in Chinese, complete in itself, to be printed by any browser.

use jiff::tz::TimeZone;

use super::{criteria, local, words};
use crate::evaluate::project::shape::{ContractLine, ProjectDetail};
use crate::report::html::{Page, escape};

/// The style sheet of the page; its hash stands in the policy.
pub const STYLE: &str = include_str!("sheet.css");

/// Characters of the reason that stand in the box at the top.
const REASON_MAX: usize = 180;

/// The page. `zone` is the site's.
pub fn sheet(detail: &ProjectDetail, zone: &TimeZone) -> String {
    let mut page = Page::new(&format!("项目指标核验单 {}", detail.facts.name), STYLE);
    if detail.facts.demo {
        page.raw("<div class=\"watermark\" aria-hidden=\"true\">演示数据（仿真）<br>不得作为佐证</div>\n");
    }
    page.element("h1", "项目指标核验单");
    let code = detail.facts.code.as_deref().unwrap_or("—");
    page.element("p class=\"sub\"", &format!("项目编号 {code} · 数据截至 {}", local(&detail.as_of, zone)));
    conclusion(&mut page, detail);
    facts(&mut page, detail, zone);
    delivery(&mut page, detail, zone);
    criteria::table(&mut page, detail);
    changes(&mut page, detail, zone);
    warnings(&mut page, detail);
    notes(&mut page, detail);
    record(&mut page, detail, zone);
    signatures(&mut page, detail);
    page.finish()
}

fn conclusion(page: &mut Page, detail: &ProjectDetail) {
    let (counts, lines) = (&detail.facts.counts, &detail.facts.delivery);
    page.raw(&format!(
        "<div class=\"conclusion\"><p><strong data-conclusion=\"{}\">{}</strong>{}</p>\n",
        escape(&detail.facts.conclusion.code),
        escape(&detail.facts.conclusion.zh),
        words::NOT_TESTED,
    ));
    page.element(
        "p",
        &format!(
            "指标：达标 {} 项，不达标 {} 项，证据不足 {} 项；合同设备清单：{} 行，已交付 {} 行。",
            counts.pass, counts.fail, counts.insufficient, lines.lines, lines.delivered
        ),
    );
    page.element("p", &format!("理由：{}", shortened(&detail.facts.conclusion_reason.zh)));
    if !detail.facts.registered.in_time {
        page.element("p", "指标为补登记：登记时改造后时段已开始，本单不能证明目标在见到结果之前约定。");
    }
    page.raw("</div>\n");
}

/// A reason of many lines of the contract is told in full where they stand.
fn shortened(reason: &str) -> String {
    if reason.chars().count() <= REASON_MAX {
        return reason.to_owned();
    }
    let begin: String = reason.chars().take(REASON_MAX).collect();
    format!("{begin}……（全部见以下各表）")
}

fn facts(page: &mut Page, detail: &ProjectDetail, zone: &TimeZone) {
    let facts = &detail.facts;
    let stages = facts.path.iter().map(|stage| format!("{} {}", stage.zh, stage.date.as_deref().unwrap_or("—")));
    let stages = stages.collect::<Vec<_>>().join(" → ");
    let registered = format!(
        "{}（{}，日志序号 {}）",
        local(&facts.registered.at, zone),
        facts.registered.zh,
        facts.registered.log_index
    );
    let mut rows = vec![
        ("项目名称", facts.name.clone()),
        ("工厂", format!("{}（{}）", facts.site.name, facts.site.id)),
        ("建设类型", facts.level.zh.clone()),
        ("项目进程", stages),
        ("上线日期", detail.go_live.as_deref().map_or_else(|| "—".to_owned(), |at| local(at, zone))),
        ("基准期", detail.baseline.text.zh.clone()),
        ("改造后时段", detail.after.text.zh.clone()),
        ("指标登记", registered),
    ];
    for party in &detail.parties {
        let contact = party.contact.as_ref().map(|contact| format!("，联系人 {contact}")).unwrap_or_default();
        rows.push((&party.role.zh, format!("{}{contact}", party.name)));
    }
    page.raw("<table class=\"facts\"><tbody>\n");
    for (name, value) in rows {
        page.raw(&format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(&value)));
    }
    page.raw("</tbody></table>\n");
}

fn delivery(page: &mut Page, detail: &ProjectDetail, zone: &TimeZone) {
    page.element("h2", "一、交付核验（合同设备清单与实际在线设备）");
    if detail.contract_lines.is_empty() {
        page.element("p", "项目文件没有合同设备清单，交付情况未核验。");
        return;
    }
    page.raw(
        "<table class=\"delivery\">\n<thead><tr><th>合同行</th><th>台账设备</th><th>型号 / 出厂编号</th><th>联网状态</th>\
         <th>首次 / 最近数据</th><th>改造后覆盖率</th></tr></thead>\n",
    );
    for line in &detail.contract_lines {
        contract_line(page, line, zone);
    }
    page.raw("</table>\n");
}

fn contract_line(page: &mut Page, line: &ContractLine, zone: &TimeZone) {
    let answer = if line.delivered { "已交付" } else { "交付未齐" };
    page.raw(&format!(
        "<tbody class=\"group\">\n<tr><td colspan=\"6\"><span class=\"v\">{} {}，{} 台：{answer}。</span>{}</td></tr>\n",
        escape(&line.id),
        escape(&line.name),
        line.quantity,
        escape(&line.reason.zh)
    ));
    for device in &line.equipment {
        let dash = |text: Option<&String>| text.map_or_else(|| "—".to_owned(), |text| escape(text));
        let time = |text: Option<&String>| text.map_or_else(|| "—".to_owned(), |text| local(text, zone));
        page.raw(&format!(
            "<tr><td>{}</td><td>{}<span class=\"b\">{}</span></td><td>{}<span class=\"b\">{}</span></td><td>{}</td>\
             <td>{}<span class=\"b\">{}</span></td><td class=\"n\">{}</td></tr>\n",
            escape(&line.id),
            dash(device.name.as_ref()),
            escape(&device.id),
            dash(device.model.as_ref()),
            dash(device.serial.as_ref()),
            escape(&device.standing.zh),
            time(device.first_data.as_ref()),
            time(device.last_data.as_ref()),
            device.coverage.as_ref().map_or_else(|| "—".to_owned(), |coverage| escape(&coverage.text.zh)),
        ));
    }
    page.raw("</tbody>\n");
}

fn changes(page: &mut Page, detail: &ProjectDetail, zone: &TimeZone) {
    page.element("h2", "三、登记后的更改");
    if detail.changes.is_empty() {
        page.element("p", "登记后指标、时段、规则和范围没有更改。");
        return;
    }
    page.raw(
        "<table class=\"changes\">\n<thead><tr><th>时间</th><th>作者</th><th>更改内容</th><th>原为</th><th>改为</th><th>理由</th>\
         <th>日志序号</th></tr></thead>\n<tbody>\n",
    );
    for change in &detail.changes {
        let cells = [
            local(&change.at, zone),
            change.author.clone(),
            change.what.zh.clone(),
            change.before.clone(),
            change.after.clone(),
            change.reason.clone().unwrap_or_else(|| "—".to_owned()),
            change.log_index.clone(),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        page.raw(&format!("<tr>{}</tr>\n", cells.concat()));
    }
    page.raw("</tbody></table>\n");
}

fn warnings(page: &mut Page, detail: &ProjectDetail) {
    if detail.facts.warnings.is_empty() {
        return;
    }
    page.element("h2", "提示");
    page.raw("<ul>\n");
    for warning in &detail.facts.warnings {
        page.element("li", &warning.zh);
    }
    page.raw("</ul>\n");
}

fn notes(page: &mut Page, detail: &ProjectDetail) {
    page.element("h2", "四、口径说明");
    page.raw("<ul>\n");
    for definition in &detail.definitions {
        page.element("li", &definition.zh);
    }
    for (name, meaning) in words::READING {
        page.raw(&format!("<li><span class=\"v\">{}：</span>{}</li>\n", escape(name), escape(meaning)));
    }
    page.raw("</ul>\n");
    page.element("h2", "五、本单不能证明的事项");
    page.raw("<ol>\n");
    for sentence in words::NOT_PROVEN {
        page.element("li", sentence);
    }
    page.raw("</ol>\n");
}

fn record(page: &mut Page, detail: &ProjectDetail, zone: &TimeZone) {
    page.element("h2", "六、记录与检查点");
    page.raw("<table class=\"versions\">\n<thead><tr><th>项目文件版本（SHA-256）</th><th>日志序号</th><th>收到时间</th><th>作者</th></tr></thead>\n<tbody>\n");
    for version in &detail.versions {
        page.raw(&format!(
            "<tr><td class=\"hash\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escape(&version.hash),
            escape(&version.log_index),
            escape(&local(&version.received, zone)),
            escape(&version.author)
        ));
    }
    page.raw("</tbody></table>\n");
    let checkpoint = &detail.checkpoint;
    let said = match &checkpoint.note {
        Some(_) => "检查点（签名的日志头）",
        None => "尚无签名检查点，以下为日志当前值",
    };
    page.element(
        "p",
        &format!("{said}：来源 {}，大小 {}，根 {}。", checkpoint.origin, checkpoint.size, checkpoint.root),
    );
    if let Some(note) = &checkpoint.note {
        page.element("pre", note.trim_end());
    }
    page.element(
        "p class=\"note\"",
        &format!("由 {} 计算并生成；同一组数据在接口、网页和电子表格中一致。", detail.software),
    );
}

fn signatures(page: &mut Page, detail: &ProjectDetail) {
    page.raw("<div class=\"sign\">\n");
    page.element("h2", "七、签字");
    page.raw("<table><thead><tr><th>企业</th><th>服务商</th><th>监理</th><th>专家组</th></tr></thead>\n<tbody><tr>\n");
    for role in ["enterprise", "supplier", "supervisor", "experts"] {
        let party = detail.parties.iter().find(|party| party.role.code == role);
        let name = party.map_or("", |party| party.name.as_str());
        page.raw(&format!(
            "<td>{}<span class=\"b\">签字（盖章）：</span><span class=\"b\">日期：</span></td>\n",
            escape(name)
        ));
    }
    page.raw("</tr></tbody></table>\n</div>\n");
}

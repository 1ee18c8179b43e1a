//! `project`: registers projects, shows what is registered, judges them, and writes their sheets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use jiff::tz::TimeZone;
use serde_json::json;
use shopfloor::id::ProjectId;
use shopfloor::time::Clock;

use super::{Answer, Arguments, Failure, Text, open_existing, read_config};
use crate::config::Config;
use crate::control::{ProjectAnswer, answer_of_project, ask_import_project};
use crate::evaluate::pipeline::Pipeline;
use crate::evaluate::project::detail::View;
use crate::evaluate::project::shape::{Bounded, CriterionShape, Figure, MeasuredShape, ProjectDetail};
use crate::evaluate::project::spans::Spans;
use crate::evaluate::project::{Standing, Work};
use crate::ledger::project::ProjectHistory;
use crate::ledger::project_import::{ImportedProject, import_project};
use crate::report::project::{book::book, local, sheet::sheet};
use crate::series::derived::Derived;
use crate::series::{CACHE_BYTES, Series};
use crate::store::Store;
use crate::wait::RealWait;
use crate::{CollectorError, lock_state, open_store, workbook};

/// What can be done with projects.
#[derive(Debug, Subcommand)]
pub(super) enum ProjectCommand {
    /// Import a project.toml. The first import is the registration; later ones are changes, with author and reason.
    Import {
        /// The file.
        file: PathBuf,
        /// Check and compare only.
        #[arg(long)]
        dry_run: bool,
    },
    /// List the projects that are registered.
    List,
    /// Show a project: registration, windows, criteria, changes. Nothing is judged.
    Show {
        /// The project.
        id: String,
    },
    /// Check a project.toml against its plant and what is registered; write nothing.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Judge a project now: 0 all criteria are met, 1 not, 2 the evidence is insufficient or it is too early.
    Evaluate {
        /// The project.
        id: String,
    },
    /// Judge a project and write its sheet, as HTML or XLSX by the name of the file.
    Sheet {
        /// The project.
        id: String,
        /// Where to: a name that ends in .html or .xlsx.
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs a command about projects.
pub(super) fn run(arguments: &Arguments, command: &ProjectCommand) -> Result<Answer, Failure> {
    match command {
        ProjectCommand::Import { file, dry_run } => import(arguments, file, *dry_run),
        ProjectCommand::List => list(arguments),
        ProjectCommand::Show { id } => show(arguments, id),
        ProjectCommand::Check { file } => check(arguments, file),
        ProjectCommand::Evaluate { id } => evaluate(arguments, id),
        ProjectCommand::Sheet { id, out } => write_sheet(arguments, id, out),
    }
}

fn read(file: &Path) -> Result<(String, String), Failure> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::new(74, format!("read {name}: {error}")))?;
    Ok((name, text))
}

fn import(arguments: &Arguments, file: &Path, dry_run: bool) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let (name, text) = read(file)?;
    let answer = match lock_state(&config.state_dir) {
        Ok(_lock) => {
            let now = RealWait::new().now();
            answer_of_project(import_project(&open_store(&config, now)?, &text, &name, now, dry_run))
        }
        Err(CollectorError::InUse(_)) => ask_import_project(&config.state_dir, &name, &text, dry_run)
            .map_err(|error| Failure::new(69, format!("a collector runs but does not answer: {error}")))?,
        Err(error) => return Err(error.into()),
    };
    answered(arguments, &name, answer, dry_run)
}

fn check(arguments: &Arguments, file: &Path) -> Result<Answer, Failure> {
    let (name, text) = read(file)?;
    // What is wrong in the file itself is said without a collector.
    shopfloor::file::project::parse(&text, &name).map_err(|problems| Failure::new(65, problems.to_string()))?;
    let store = open_existing(&read_config(&arguments.config)?)?;
    let rehearsal = import_project(&store, &text, &name, RealWait::new().now(), true);
    answered(arguments, &name, answer_of_project(rehearsal), true)
}

fn answered(arguments: &Arguments, name: &str, answer: ProjectAnswer, dry_run: bool) -> Result<Answer, Failure> {
    match answer {
        ProjectAnswer::Imported(imported) => Ok(said(arguments, name, &imported, dry_run)),
        ProjectAnswer::Refused { message } => Err(Failure::new(65, message)),
        ProjectAnswer::Failed { message } => Err(Failure::new(74, message)),
    }
}

fn said(arguments: &Arguments, name: &str, imported: &ImportedProject, dry_run: bool) -> Answer {
    let lang = arguments.lang;
    let project = &imported.project;
    let headline = match (imported.log_index, imported.replaces, dry_run) {
        (Some(index), None, _) => lang.say(
            format!("{name} 已登记: 项目 {project}, 日志序号 {index}"),
            format!("{name} is registered: project {project}, log index {index}"),
        ),
        (Some(index), Some(_), _) => lang.say(
            format!("{name} 已导入为新版本: 项目 {project}, 日志序号 {index}"),
            format!("{name} is imported as a new version: project {project}, log index {index}"),
        ),
        (None, _, true) => lang.say(
            format!("{name} 有效, 未写入: 项目 {project}"),
            format!("{name} is valid, nothing was written: project {project}"),
        ),
        (None, _, false) => lang.say(
            format!("{name} 与现行版本相同, 未写入: 项目 {project}"),
            format!("{name} is the version in force, nothing was written: project {project}"),
        ),
    };
    let mut text = Text::default();
    text.line(format_args!("{headline}"));
    let registered = match imported.in_time {
        Some(true) => lang.say("登记先于改造后时段", "registered before the after-window began"),
        Some(false) => lang.say("补登记: 改造后时段已开始", "retrospective: the after-window had begun"),
        None => lang.say("工厂模型未导入, 时段未核对", "no plant yet, windows not checked"),
    };
    text.line(format_args!("  {} ({registered})", imported.registered));
    for change in &imported.changes {
        text.line(format_args!("  ~ {}: {} -> {}", lang.say(&change.zh, &change.en), change.before, change.after));
    }
    for (code, zh, en) in &imported.remarks {
        text.line(format_args!("{} [{code}] {}", lang.say("提示", "remark"), lang.say(zh, en)));
    }
    Answer { exit: 0, text, json: json!(imported) }
}

fn list(arguments: &Arguments) -> Result<Answer, Failure> {
    let store = open_existing(&read_config(&arguments.config)?)?;
    let (mut text, mut rows) = (Text::default(), Vec::new());
    for history in store.ledger.projects() {
        let project = &history.current().project;
        let stage = project.stage().map(|(stage, _)| stage.text()).map(|text| arguments.lang.say(text.zh, text.en));
        let stage = stage.unwrap_or_default();
        let (site, name, versions) = (&project.site, &project.name, history.versions.len());
        text.line(format_args!(
            "{}  {site}  {name}  {stage}  {} {versions}",
            project.id,
            arguments.lang.say("版本", "versions")
        ));
        rows.push(json!({
            "id": project.id, "site": project.site, "name": project.name, "versions": versions,
            "stage": project.stage().map(|(stage, _)| stage.code()), "hash": history.current().hash,
            "registered": history.registration().received,
        }));
    }
    if rows.is_empty() {
        text.line(format_args!(
            "{}",
            arguments.lang.say("没有项目。用 project import 登记。", "no projects; register one with project import")
        ));
    }
    Ok(Answer { exit: 0, text, json: json!(rows) })
}

fn find(store: &Store, id: &str) -> Result<ProjectHistory, Failure> {
    let parsed: Result<ProjectId, _> = id.parse();
    let found = parsed.ok().and_then(|id| store.ledger.project(&id));
    found.ok_or_else(|| Failure::new(65, format!("there is no project {id:?}; `project list` lists them")))
}

fn show(arguments: &Arguments, id: &str) -> Result<Answer, Failure> {
    let store = open_existing(&read_config(&arguments.config)?)?;
    let history = find(&store, id)?;
    let detail = detail(&store, &history, &Standing::Computing { percent: 0 })?;
    let zone = zone(&store, &history);
    let mut text = Text::default();
    registered(&mut text, arguments, &detail, zone.as_ref());
    for criterion in &detail.criteria {
        let (name, target) = names(arguments, criterion);
        let rule = arguments.lang.say(&criterion.rule.zh, &criterion.rule.en);
        text.line(format_args!("  {}  {name}  {target}  {rule}  {}", criterion.id, criterion.coverage_minimum.text.zh));
    }
    Ok(Answer {
        exit: 0,
        text,
        json: json!({
            "project": detail.facts.id, "name": detail.facts.name, "site": detail.facts.site, "level": detail.facts.level,
            "stage": detail.facts.stage, "path": detail.facts.path, "parties": detail.parties, "baseline": detail.baseline,
            "after": detail.after, "go_live": detail.go_live, "registered": detail.facts.registered,
            "changes": detail.changes, "versions": detail.versions, "text": &*history.current().text,
        }),
    })
}

fn evaluate(arguments: &Arguments, id: &str) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let store = open_existing(&config)?;
    let history = find(&store, id)?;
    let detail = judged(&config, &store, &history)?;
    let zone = zone(&store, &history);
    let lang = arguments.lang;
    let mut text = Text::default();
    text.line(format_args!(
        "{}: {}",
        detail.facts.id,
        lang.say(&detail.facts.conclusion.zh, &detail.facts.conclusion.en)
    ));
    text.line(format_args!("  {}", lang.say(&detail.facts.conclusion_reason.zh, &detail.facts.conclusion_reason.en)));
    registered(&mut text, arguments, &detail, zone.as_ref());
    for line in &detail.contract_lines {
        let mark = if line.delivered { "✓" } else { "✗" };
        text.line(format_args!("{mark} {}", lang.say(&line.reason.zh, &line.reason.en)));
    }
    for criterion in &detail.criteria {
        criterion_text(&mut text, arguments, criterion);
    }
    for warning in &detail.facts.warnings {
        text.line(format_args!("! {}", lang.say(&warning.zh, &warning.en)));
    }
    Ok(Answer { exit: exit(&detail), text, json: json!(detail) })
}

fn criterion_text(text: &mut Text, arguments: &Arguments, criterion: &CriterionShape) {
    let lang = arguments.lang;
    let (name, target) = names(arguments, criterion);
    let mark = match criterion.verdict.code.as_str() {
        "pass" => "✓",
        "fail" => "✗",
        _ => "·",
    };
    let verdict = lang.say(&criterion.verdict.zh, &criterion.verdict.en);
    let tested = lang.say(&criterion.statistics.zh, &criterion.statistics.en);
    text.line(format_args!("{mark} {} {name}: {verdict} ({tested})", criterion.id));
    text.line(format_args!("    {} {target}", lang.say("目标", "target")));
    for (zh, en, measured) in [("基准期", "before", &criterion.before), ("改造后", "after", &criterion.after)] {
        text.line(format_args!("    {} {}", lang.say(zh, en), measured_text(arguments, measured)));
    }
    let point = |range: &Option<crate::evaluate::project::shape::Range>| {
        shown(arguments, range.as_ref().and_then(|range| range.point.as_ref()))
    };
    text.line(format_args!(
        "    {} {} ({})",
        lang.say("差值", "difference"),
        point(&criterion.points),
        point(&criterion.relative)
    ));
    text.line(format_args!("    {}", lang.say(&criterion.reason.zh, &criterion.reason.en)));
    for settle in &criterion.settle {
        text.line(format_args!("    → {}", lang.say(&settle.zh, &settle.en)));
    }
}

fn measured_text(arguments: &Arguments, measured: &MeasuredShape) -> String {
    let Bounded { low, high, point, reason } = &measured.figure;
    let of = |figure: &Option<Figure>| shown(arguments, figure.as_ref());
    let coverage = shown(arguments, measured.coverage.as_ref());
    let why = reason.as_ref().map(|reason| arguments.lang.say(&reason.zh, &reason.en)).unwrap_or_default();
    let covered = arguments.lang.say("覆盖率", "coverage");
    format!("{} [{}, {}] {covered} {coverage} {why}", of(point), of(low), of(high)).trim_end().to_owned()
}

fn shown(arguments: &Arguments, figure: Option<&Figure>) -> String {
    figure.map_or_else(|| "—".to_owned(), |figure| arguments.lang.say(&figure.text.zh, &figure.text.en))
}

fn names(arguments: &Arguments, criterion: &CriterionShape) -> (String, String) {
    let lang = arguments.lang;
    let indicator = &criterion.indicator;
    let name = lang.say(&indicator.zh, &indicator.en);
    (
        format!("{name} ({}@{})", indicator.id, indicator.version),
        lang.say(&criterion.target.text.zh, &criterion.target.text.en),
    )
}

fn registered(text: &mut Text, arguments: &Arguments, detail: &ProjectDetail, zone: Option<&TimeZone>) {
    let lang = arguments.lang;
    let at = |time: &str| zone.map_or_else(|| time.to_owned(), |zone| local(time, zone));
    let facts = &detail.facts;
    text.line(format_args!(
        "{} {}",
        facts.name,
        lang.say(&facts.site.name, facts.site.name_en.as_ref().unwrap_or(&facts.site.name))
    ));
    let registered = &facts.registered;
    text.line(format_args!(
        "  {} {} ({})",
        lang.say("登记", "registered"),
        at(&registered.at),
        lang.say(&registered.zh, &registered.en)
    ));
    text.line(format_args!(
        "  {} {}",
        lang.say("基准期", "baseline"),
        lang.say(&detail.baseline.text.zh, &detail.baseline.text.en)
    ));
    text.line(format_args!(
        "  {} {}",
        lang.say("改造后", "after"),
        lang.say(&detail.after.text.zh, &detail.after.text.en)
    ));
    for change in &detail.changes {
        let what = lang.say(&change.what.zh, &change.what.en);
        let reason = change.reason.as_deref().unwrap_or("—");
        text.line(format_args!(
            "  ~ {} {} {what}: {} -> {} ({reason})",
            at(&change.at),
            change.author,
            change.before,
            change.after
        ));
    }
}

fn exit(detail: &ProjectDetail) -> u8 {
    match detail.facts.conclusion.code.as_str() {
        "pass" => 0,
        "fail" | "delivery-incomplete" => 1,
        _ => 2,
    }
}

fn write_sheet(arguments: &Arguments, id: &str, out: &Path) -> Result<Answer, Failure> {
    let config = read_config(&arguments.config)?;
    let store = open_existing(&config)?;
    let history = find(&store, id)?;
    let end = out.extension().and_then(|end| end.to_str()).unwrap_or_default();
    if !["html", "xlsx"].contains(&end) {
        return Err(Failure::new(64, format!("{} ends neither in .html nor in .xlsx", out.display())));
    }
    let detail = judged(&config, &store, &history)?;
    let zone = zone(&store, &history).ok_or_else(|| no_plant(&history))?;
    let bytes = if end == "html" {
        sheet(&detail, &zone).into_bytes()
    } else {
        let book = book(&detail, &zone, RealWait::new().now());
        workbook::write(&book).map_err(|error| Failure::new(74, error.to_string()))?
    };
    std::fs::write(out, &bytes).map_err(|error| Failure::new(74, format!("write {}: {error}", out.display())))?;
    let mut text = Text::default();
    let verdict = arguments.lang.say(&detail.facts.conclusion.zh, &detail.facts.conclusion.en);
    text.line(format_args!("{} {} ({verdict})", arguments.lang.say("已写入", "written:"), out.display()));
    let json = json!({ "file": out, "bytes": bytes.len(), "conclusion": detail.facts.conclusion });
    Ok(Answer { exit: 0, text, json })
}

fn zone(store: &Store, history: &ProjectHistory) -> Option<TimeZone> {
    store.ledger.plant(&history.current().project.site).map(|version| version.plant.site.time_zone.clone())
}

fn no_plant(history: &ProjectHistory) -> Failure {
    let site = &history.current().project.site;
    Failure::new(65, format!("site {site} has no plant.toml; import it first: plumbline-collector import plant.toml"))
}

fn detail(store: &Store, history: &ProjectHistory, standing: &Standing) -> Result<ProjectDetail, Failure> {
    let software = crate::serve::software();
    let view = View { store, history, standing, now: RealWait::new().now(), software: &software };
    Ok(view.detail()?)
}

/// Judges from the files, beside whatever else runs; nothing is kept.
fn judged(config: &Config, store: &Store, history: &ProjectHistory) -> Result<ProjectDetail, Failure> {
    let version = history.current();
    let plant = store.ledger.plant(&version.project.site).ok_or_else(|| no_plant(history))?;
    let failed = |error: &dyn std::fmt::Display| Failure::new(74, error.to_string());
    let derived = Derived::open(None).map_err(|error| failed(&error))?;
    let series = Arc::new(Series::new(store.log.clone(), store.ledger.clone(), CACHE_BYTES));
    let pipeline = Pipeline::new(store.clone(), series, derived, config.settle);
    let progress = |percent: u8| {
        tracing::info!(percent, "judging");
        true
    };
    let work = Work {
        pipeline: &pipeline,
        spans: &Spans::default(),
        version,
        plant: &plant,
        now: RealWait::new().now(),
        untouched: false,
        progress: &progress,
    };
    let judged = work.judge().map_err(|error| failed(&error))?;
    let standing = judged.map_or(Standing::Computing { percent: 0 }, |judged| Standing::Current(Arc::new(judged)));
    detail(store, history, &standing)
}

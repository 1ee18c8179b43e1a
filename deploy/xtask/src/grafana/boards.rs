//! The dashboards: one on the mirror's data, one on what the programs tell of themselves.
//!
//! Names of metrics are those of docs/influx-schema.md as VictoriaMetrics shows them (measurement, underscore, field)
//! and of the programs' own `/metrics`. A test asks a live server for each of them.

use super::panel::{Board, Panel, Unit, Variable};

/// Every dashboard.
pub fn all() -> Vec<Board> {
    vec![mirror(), health()]
}

/// A field of the hour's results: it stands at the start of its hour and holds for that hour.
fn hour(field: &str) -> String {
    let scope = "site=~\"$site\",work_unit=~\"$work_unit\",kind=\"hour\"";
    format!("last_over_time(plumbline_result_{field}{{{scope}}}[1h])")
}

fn mirror() -> Board {
    let unit_and_version = "{{work_unit}} v{{version}}";
    let mut panels = vec![
        Panel::words(
            ("说明", "Read this first"),
            (
                "本页读取镜像, 不是证据。证据是采集端日志中的签名数据块; 结算结果以准绳的页面、核验单和证据包为准。\
                 小时结果画在其窗口的起点。窗口重算后旧版本保留 (v1, v2 …), 以最大版本为准。带 demo 标签的是演示数据。",
                "This page reads the mirror, which is not the evidence. The evidence is the signed blocks in the collector's \
                 log; results stand as Plumbline's own pages, sheets and packs say. An hour's result is drawn at the start \
                 of its window. A restated window keeps its older versions (v1, v2 …); the highest one holds. What carries \
                 the label demo is demo data.",
            ),
        ),
        Panel::curves(
            ("设备综合效率 (小时)", "OEE by the hour"),
            (
                "点值: 状态从采样保持到下一采样的约定。必须与覆盖率一起看。",
                "The point value: a state holds from its sample to the next one. Read it together with the coverage.",
            ),
            Unit::Share,
        )
        .query(hour("oee_ratio"), unit_and_version)
        .bars(),
        Panel::curves(
            ("覆盖率 (小时)", "Coverage by the hour"),
            ("计划时间中状态已知的份额; 其余是未知时间。", "The share of planned time whose state is known; the rest is unknown."),
            Unit::Share,
        )
        .query(hour("coverage_ratio"), unit_and_version)
        .bars(),
        Panel::curves(
            ("综合效率上下界", "Bounds of the OEE"),
            (
                "未知时间和扫描间隔使真值只能落在上下界之间。没有上界表示上界未定。",
                "Unknown time and the scan interval allow every value between low and high. No high means it is open.",
            ),
            Unit::Share,
        )
        .query(hour("oee_low_ratio"), "{{work_unit}} v{{version}} low")
        .query(hour("oee_high_ratio"), "{{work_unit}} v{{version}} high"),
        Panel::curves(
            ("可用率、性能率、合格品率", "Availability, effectiveness, quality ratio"),
            (
                "ISO 22400-2 的三个因子。性能率大于 1 如实显示: 单件计划时间可能有误。",
                "The three factors of ISO 22400-2. An effectiveness above 1 is shown as it is: the planned run time may be wrong.",
            ),
            Unit::Share,
        )
        .query(hour("availability_ratio"), "{{work_unit}} v{{version}} A")
        .query(hour("effectiveness_ratio"), "{{work_unit}} v{{version}} E")
        .query(hour("quality_ratio"), "{{work_unit}} v{{version}} Q"),
        Panel::curves(
            ("时间去向 (小时)", "Where the hour went"),
            (
                "时间账本的各项, 含未知; 每台设备每小时合计正好一小时的计划与非计划时间。",
                "Every leaf of the time ledger, Unknown included; each machine's leaves add up to its hour.",
            ),
            Unit::Seconds,
        )
        .query(
            "sum by (leaf) (last_over_time(plumbline_time_seconds{site=~\"$site\",work_unit=~\"$work_unit\",kind=\"hour\"}[1h]))",
            "{{leaf}}",
        )
        .stacked(),
        Panel::curves(
            ("产量与废品 (小时)", "Produced and scrap by the hour"),
            ("计数器的差, 含翻转与复位的处理。", "Differences of the counters, with rollovers and resets accounted for."),
            Unit::Count,
        )
        .query(hour("produced"), "{{work_unit}} v{{version}} produced")
        .query(hour("scrap"), "{{work_unit}} v{{version}} scrap")
        .bars(),
        Panel::curves(
            ("电能 (小时)", "Energy by the hour"),
            ("电表读数之差, kWh。", "Differences of the meters' readings, kWh."),
            Unit::KilowattHours,
        )
        .query(hour("energy_kwh"), unit_and_version)
        .bars(),
    ];
    panels.extend(samples());
    Board {
        uid: "plumbline-mirror",
        title: ("准绳: 设备与指标 (镜像)", "Plumbline: machines and figures (mirror)"),
        about: (
            "来自镜像的采样值与已结算指标。镜像不是证据。",
            "Samples and settled figures from the mirror. The mirror is not the evidence.",
        ),
        source: "plumbline-mirror",
        from: "now-24h",
        refresh: "1m",
        variables: vec![
            Variable { name: "site", label: ("工厂", "Site"), query: "label_values(plumbline_sample_quality, site)" },
            Variable {
                name: "work_unit",
                label: ("设备", "Work unit"),
                query: "label_values(plumbline_sample_quality{site=~\"$site\"}, work_unit)",
            },
            Variable {
                name: "tag",
                label: ("点位", "Tag"),
                query: "label_values(plumbline_sample_quality{site=~\"$site\",work_unit=~\"$work_unit\"}, tag)",
            },
        ],
        panels,
    }
}

/// The panels of the samples themselves.
fn samples() -> Vec<Panel> {
    let scope = "site=~\"$site\",work_unit=~\"$work_unit\",tag=~\"$tag\"";
    vec![
        Panel::curves(
            ("采样值", "Samples"),
            (
                "点位的采样值, 单位见图例; 布尔量为 0 和 1。坏质量的采样没有值, 曲线在此断开。",
                "The samples of the tags, each in the unit of its legend; bits are 0 and 1. A bad sample has no value: the line breaks.",
            ),
            Unit::Own,
        )
        .query(format!("plumbline_sample_value{{{scope}}}"), "{{work_unit}}/{{tag}} {{unit}} {{occurrence}}")
        .wide(24),
        Panel::curves(
            ("最差数据质量", "Worst data quality"),
            ("0 良好, 1 存疑, 2 坏; 每五分钟内最差的一个。", "0 good, 1 uncertain, 2 bad; the worst one within five minutes."),
            Unit::Count,
        )
        .query(
            format!("max by (work_unit, tag) (max_over_time(plumbline_sample_quality{{{scope}}}[5m]))"),
            "{{work_unit}}/{{tag}}",
        ),
        Panel::curves(
            ("采样数 (每五分钟)", "Samples in five minutes"),
            ("到达镜像的采样数; 缺口说明数据缺失或镜像落后。", "Samples on the mirror; a hole is missing data or a mirror that is behind."),
            Unit::Count,
        )
        .query(
            format!("sum by (work_unit) (count_over_time(plumbline_sample_quality{{{scope}}}[5m]))"),
            "{{work_unit}}",
        ),
        Panel::single(
            ("同一时刻取值冲突的序列", "Series with conflicting instants"),
            (
                "同一点位同一时刻有不同取值时, 后者带 occurrence 标签另成序列。应为 0。",
                "Where a tag has different values of one instant, the later ones are series of their own with the label \
                 occurrence. Should be 0.",
            ),
            Unit::Count,
            1.0,
        )
        .query(
            format!("count(last_over_time(plumbline_sample_quality{{{scope},occurrence!=\"\"}}[1d])) or vector(0)"),
            "",
        ),
        Panel::single(
            ("演示数据序列", "Series of demo data"),
            ("模拟的或用演示密钥签名的数据。正式工厂应为 0。", "Simulated data, or data signed with a demo key. 0 in a real factory."),
            Unit::Count,
            1.0,
        )
        .query(format!("count(last_over_time(plumbline_sample_quality{{{scope},demo=\"true\"}}[1d])) or vector(0)"), ""),
    ]
}

/// A metric of the chosen processes.
fn of(name: &str) -> String {
    format!("{name}{{job=~\"$job\",instance=~\"$instance\"}}")
}

fn rate(by: &str, name: &str) -> String {
    format!("sum by ({by}) (rate({}[$__rate_interval]))", of(name))
}

fn health() -> Board {
    let mut panels = collector();
    panels.extend(copies());
    panels.extend(agents());
    Board {
        uid: "plumbline-health",
        title: ("准绳: 程序运行状况", "Plumbline: health of the programs"),
        about: ("采集端与采集代理自身的 Prometheus 指标。", "What collector and agents tell Prometheus of themselves."),
        source: "plumbline-prometheus",
        from: "now-6h",
        refresh: "30s",
        variables: vec![
            Variable {
                name: "job",
                label: ("任务", "Job"),
                query: "label_values({__name__=~\"collector_log_size|agent_queue_blocks\"}, job)",
            },
            Variable {
                name: "instance",
                label: ("实例", "Instance"),
                query: "label_values({__name__=~\"collector_log_size|agent_queue_blocks\",job=~\"$job\"}, instance)",
            },
        ],
        panels,
    }
}

fn collector() -> Vec<Panel> {
    vec![
        Panel::single(
            ("已连接消息代理", "Connected to the broker"),
            ("采集端与 MQTT 代理的连接。", "The collector's connection to the MQTT broker."),
            Unit::YesNo,
            2.0,
        )
        .query(format!("min({})", of("collector_mqtt_connected")), ""),
        Panel::single(
            ("磁盘拒绝写入", "The disk refuses writes"),
            (
                "此时不确认任何数据块, 代理保留数据。",
                "While it does nothing is acknowledged; the agents keep their data.",
            ),
            Unit::YesNo,
            1.0,
        )
        .query(format!("max({})", of("collector_disk_refuses")), ""),
        Panel::single(
            ("日志叶数", "Leaves in the log"),
            ("数据块与文档的总数, 只增不减。", "Blocks and documents; it only grows."),
            Unit::Count,
            f64::MAX,
        )
        .query(format!("max({})", of("collector_log_size")), ""),
        Panel::single(("日志写入失败", "Failed writes of the log"), ("最近一天。", "Within a day."), Unit::Count, 1.0)
            .query(format!("sum(increase({}[1d]))", of("collector_log_commit_errors_total")), ""),
        Panel::curves(
            ("数据块 (按结果)", "Blocks by result"),
            (
                "核验后的结果: 接受、重复、缺口、拒绝等。",
                "What became of them: accepted, duplicate, refused and so on.",
            ),
            Unit::PerSecond,
        )
        .query(rate("result", "collector_blocks_total"), "{{result}}"),
        Panel::curves(
            ("采样与字节", "Samples and bytes"),
            ("接受的数据块中的采样数。", "Samples in accepted blocks."),
            Unit::PerSecond,
        )
        .query(rate("instance", "collector_samples_total"), "{{instance}}"),
        Panel::curves(
            ("入库流量", "Bytes accepted"),
            ("接受的数据块的字节数, 每秒。", "Bytes of accepted blocks, per second."),
            Unit::Bytes,
        )
        .query(rate("instance", "collector_block_bytes_total"), "{{instance}}"),
        Panel::curves(
            ("事务与确认", "Commits and acknowledgements"),
            ("落盘事务与发出的签名确认。", "Transactions on disk and signed acknowledgements."),
            Unit::PerSecond,
        )
        .query(rate("instance", "collector_log_commits_total"), "commits {{instance}}")
        .query(rate("instance", "collector_acks_total"), "acks {{instance}}"),
        Panel::curves(
            ("连接中断与丢弃的消息", "Lost connections and dropped messages"),
            ("丢弃的消息未经确认, 代理会重发。", "Dropped messages were not acknowledged: their agents send again."),
            Unit::PerSecond,
        )
        .query(rate("instance", "collector_mqtt_errors_total"), "connections {{instance}}")
        .query(rate("instance", "collector_messages_dropped_unacknowledged_total"), "dropped {{instance}}"),
    ]
}

fn copies() -> Vec<Panel> {
    vec![
        Panel::single(
            ("镜像可写", "The mirror takes lines"),
            ("受阻时重试, 入库不受影响。", "When it does not, lines are sent again; ingest goes on."),
            Unit::YesNo,
            2.0,
        )
        .query(format!("min({})", of("collector_mirror_up")), ""),
        Panel::single(
            ("镜像搁置行数", "Parked lines of the mirror"),
            (
                "被拒绝或超出保留期的行; 原因见 mirror status。",
                "Lines refused or older than is kept; mirror status says why.",
            ),
            Unit::Count,
            1.0,
        )
        .query(format!("sum({})", of("collector_mirror_parked_lines")), ""),
        Panel::single(
            ("镜像序列数", "Series on the mirror"),
            ("达到 mirror.series_max 后, 新序列被搁置。", "At mirror.series_max new series are parked."),
            Unit::Count,
            f64::MAX,
        )
        .query(format!("sum({})", of("collector_mirror_series")), ""),
        Panel::single(
            ("镜像落后", "The mirror is behind by"),
            ("尚未写入镜像的最早数据块的接收时刻距今。", "Age of the oldest block that is not on the mirror yet."),
            Unit::Seconds,
            300.0,
        )
        .query(format!("max({})", of("collector_mirror_lag_seconds")), ""),
        Panel::curves(
            ("镜像落后叶数", "Leaves the mirror is behind"),
            ("日志中尚未写入镜像的叶数。", "Leaves of the log that are not on the mirror."),
            Unit::Count,
        )
        .query(of("collector_mirror_lag_leaves"), "{{instance}}"),
        Panel::curves(
            ("镜像写入与搁置", "Lines written and parked"),
            ("每秒写入的行与搁置的行 (按原因)。", "Lines taken, and lines parked by reason, per second."),
            Unit::PerSecond,
        )
        .query(rate("instance", "collector_mirror_lines_written_total"), "written {{instance}}")
        .query(rate("reason", "collector_mirror_lines_parked_total"), "parked {{reason}}"),
        Panel::curves(
            ("镜像请求与重试", "Requests and retries of the mirror"),
            ("按服务器的答复。", "By the server's answer."),
            Unit::PerSecond,
        )
        .query(rate("answer", "collector_mirror_requests_total"), "{{answer}}")
        .query(rate("instance", "collector_mirror_retries_total"), "retries {{instance}}"),
    ]
}

fn agents() -> Vec<Panel> {
    vec![
        Panel::single(
            ("代理未连接", "Agents without broker"),
            ("此时数据留在代理的磁盘队列。", "Their data wait in their queues on disk."),
            Unit::Count,
            1.0,
        )
        .query(format!("count({} == 0) or vector(0)", of("agent_broker_connected")), ""),
        Panel::single(
            ("代理磁盘拒绝写入", "Agents whose disk refuses"),
            ("此时停止密封与发送。", "They seal and send nothing meanwhile."),
            Unit::YesNo,
            1.0,
        )
        .query(format!("max({})", of("agent_disk_refuses")), ""),
        Panel::single(
            ("丢弃的采样", "Samples dropped"),
            ("密封前丢弃; 原因写在数据块中。", "Before they were sealed; the blocks say why."),
            Unit::Count,
            1.0,
        )
        .query(format!("sum({})", of("agent_samples_dropped")), ""),
        Panel::single(
            ("逐出的数据块", "Blocks evicted"),
            (
                "队列满时最早的块被逐出, 缺口有记录。最近一天。",
                "A full queue gives up its oldest blocks and records the gap. Within a day.",
            ),
            Unit::Count,
            1.0,
        )
        .query(format!("sum(increase({}[1d]))", of("agent_blocks_evicted_total")), ""),
        Panel::curves(
            ("代理读取 (按结果)", "Samples read by result"),
            ("每秒读取的采样。", "Samples per second."),
            Unit::PerSecond,
        )
        .query(rate("result", "agent_samples_read_total"), "{{result}}"),
        Panel::curves(
            ("未确认的数据块", "Blocks not acknowledged"),
            ("已密封而采集端尚未确认。", "Sealed and not yet acknowledged by the collector."),
            Unit::Count,
        )
        .query(format!("{} - {}", of("agent_sealed_sequence"), of("agent_acknowledged_sequence")), "{{instance}}"),
        Panel::curves(
            ("代理队列", "Queues on disk"),
            ("等待确认的字节。", "Bytes that wait for acknowledgement."),
            Unit::Bytes,
        )
        .query(of("agent_queue_bytes"), "{{instance}}"),
        Panel::curves(
            ("密封与发送", "Sealed and sent"),
            ("每秒密封与交给代理服务器的数据块。", "Blocks sealed, and given to the broker, per second."),
            Unit::PerSecond,
        )
        .query(rate("instance", "agent_blocks_sealed_total"), "sealed {{instance}}")
        .query(rate("instance", "agent_blocks_sent_total"), "sent {{instance}}"),
    ]
}

//! What a dashboard is made of, as the lists in `boards.rs` write it down.

/// A text in Chinese and English.
pub type Both = (&'static str, &'static str);

/// A dashboard.
pub struct Board {
    /// Stable; also the file's name.
    pub uid: &'static str,
    /// Name.
    pub title: Both,
    /// What it shows and what it is not.
    pub about: Both,
    /// Uid of the data source that is chosen at first.
    pub source: &'static str,
    /// Start of the time that is shown at first.
    pub from: &'static str,
    /// How often it is drawn again.
    pub refresh: &'static str,
    /// What can be chosen.
    pub variables: Vec<Variable>,
    /// From left to right and top to bottom.
    pub panels: Vec<Panel>,
}

/// Something to choose from.
pub struct Variable {
    /// Its name in queries.
    pub name: &'static str,
    /// Its name on the page.
    pub label: Both,
    /// Where the choices come from.
    pub query: &'static str,
}

/// A unit of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 0 to 1, shown in percent.
    Share,
    /// Pieces or other counts.
    Count,
    /// Events per second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Kilowatt-hours.
    KilowattHours,
    /// Yes is 1.
    YesNo,
    /// As its own label `unit` says.
    Own,
}

impl Unit {
    /// As Grafana names it.
    pub const fn grafana(self) -> &'static str {
        match self {
            Self::Share => "percentunit",
            Self::Count => "short",
            Self::PerSecond => "cps",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::KilowattHours => "kwatth",
            Self::YesNo => "bool_yes_no",
            Self::Own => "none",
        }
    }
}

/// One panel.
pub struct Panel {
    /// Grafana's kind.
    pub kind: &'static str,
    /// Name.
    pub title: Both,
    /// What is shown, where it comes from, how to read it.
    pub about: Both,
    /// Unit of the values.
    pub unit: Unit,
    /// Queries, each with its legend.
    pub queries: Vec<(String, &'static str)>,
    /// Of 24.
    pub width: u64,
    /// Rows.
    pub height: u64,
    /// Whether one stands on the other.
    pub stacked: bool,
    /// Bars, for what belongs to a window.
    pub bars: bool,
    /// Of a single value: from where it is red.
    pub red_from: f64,
}

impl Panel {
    fn new(kind: &'static str, title: Both, about: Both, unit: Unit) -> Self {
        let queries = Vec::new();
        Self {
            kind,
            title,
            about,
            unit,
            queries,
            width: 12,
            height: 8,
            stacked: false,
            bars: false,
            red_from: f64::MAX,
        }
    }

    /// Curves over time.
    pub fn curves(title: Both, about: Both, unit: Unit) -> Self {
        Self::new("timeseries", title, about, unit)
    }

    /// The newest value.
    pub fn single(title: Both, about: Both, unit: Unit, red_from: f64) -> Self {
        Self { width: 6, height: 4, red_from, ..Self::new("stat", title, about, unit) }
    }

    /// Words.
    pub fn words(title: Both, about: Both) -> Self {
        Self { width: 24, height: 4, ..Self::new("text", title, about, Unit::Own) }
    }

    /// Adds a query.
    pub fn query(mut self, expression: impl Into<String>, legend: &'static str) -> Self {
        self.queries.push((expression.into(), legend));
        self
    }

    /// One stands on the other, as bars.
    pub fn stacked(self) -> Self {
        Self { stacked: true, bars: true, ..self }
    }

    /// As bars.
    pub fn bars(self) -> Self {
        Self { bars: true, ..self }
    }

    /// Another width.
    pub fn wide(self, width: u64) -> Self {
        Self { width, ..self }
    }
}

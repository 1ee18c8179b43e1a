//! Maturity, as far as measurements reach: facts beside the items that they bear on, and never a score.
//!
//! A model is data (`definitions/maturity`, in our own words). While it was not read clause by clause against its documents it is not verified, and nothing that looks
//! like an official result leaves this module: no total, no level, no badge.

mod bearing;

use crate::display::Text;
use crate::file;
use crate::remark::Remark;

pub use bearing::{Amounts, Answer, BlockFacts, Facts, SourceFact, UnitFacts, assess};

/// Days over which a fact must hold.
pub const WINDOW_DAYS: i64 = 30;
/// Least share of the planned time whose state must be known for a fact to hold, in percent.
pub const COVERAGE_MINIMUM: (i128, i128) = (95, 100);

/// A maturity model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Name: `cmmm` or `sme`.
    pub id: String,
    /// Grows with each change of meaning.
    pub version: u32,
    /// Title; no standard's number stands in it.
    pub title: Text,
    /// Whether every part was read against its document.
    pub verified: bool,
    /// Which document, and who read it.
    pub document: Option<Document>,
    /// The items that measurements bear on, in order.
    pub items: Vec<Item>,
}

/// The document that a verified model was read against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Title.
    pub title: String,
    /// Edition.
    pub edition: String,
    /// Clauses or pages.
    pub clauses: String,
    /// Who read it.
    pub reader: String,
    /// When.
    pub date: String,
}

/// One item of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Name within the model.
    pub id: String,
    /// Sub-domain or dimension.
    pub group: Text,
    /// What it is about, in our own words.
    pub title: Text,
    /// What it rests on.
    pub fact: Fact,
    /// What would settle it, where no measurement touches it.
    pub settle: Option<Text>,
}

/// What is known of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// 已测: recorded here, over the window, with enough coverage.
    Measured,
    /// 已申报: somebody says so.
    Attested,
    /// 未知: neither. It is no zero, and it is not met.
    Unknown,
}

impl State {
    /// The word in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Attested => "attested",
            Self::Unknown => "unknown",
        }
    }

    /// As people read it.
    pub fn text(self) -> Text {
        match self {
            Self::Measured => Text::new("已测", "measured"),
            Self::Attested => Text::new("已申报", "declared"),
            Self::Unknown => Text::new("未知", "unknown"),
        }
    }
}

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)+) => {
        /// What a measurement can say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fact {
            $($(#[$doc])* $name,)+
        }

        impl Fact {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in definition files.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

facts! {
    /// Tags that are read, and of how many machines.
    Tags = "tags";
    /// Days with an OEE.
    Oee = "oee";
    /// Share of the planned time that is known.
    Coverage = "coverage";
    /// Key-process machines whose pieces are counted.
    KeyCounts = "key-counts";
    /// Key-process machines whose scrap is counted.
    KeyScrap = "key-scrap";
    /// Key-process machines that are networked, in three states.
    KeyNetworked = "key-networked";
    /// All machines that are networked, in three states.
    Networked = "networked";
    /// Machines that give data, as far as networking shows it.
    Digital = "digital";
    /// Protocols of the sources.
    Protocols = "protocols";
    /// Blocks stored, missing, disputed.
    Integrity = "integrity";
    /// What is read of how many machines.
    Roles = "roles";
    /// Sources that data flow from.
    Sources = "sources";
    /// Sources with authentication or encryption.
    Security = "security";
    /// Machines with an electricity meter.
    Meters = "meters";
    /// Energy over pieces.
    UnitEnergy = "unit-energy";
    /// Machines whose pieces are counted.
    Counts = "counts";
    /// Machines whose scrap is counted.
    Scrap = "scrap";
    /// Machines whose state is read.
    States = "states";
    /// Good pieces over produced ones.
    Quality = "quality";
    /// Nothing that is measured here.
    None = "none";
}

const MODELS: [(&str, &str); 2] = [
    ("cmmm", include_str!("../../definitions/maturity/cmmm.toml")),
    ("sme", include_str!("../../definitions/maturity/sme.toml")),
];

/// The models that ship with the program.
pub fn models() -> Vec<Model> {
    let read = |(name, text): &(&str, &str)| {
        file::maturity::model(text, name).expect("the models that ship with the program are tested")
    };
    MODELS.iter().map(read).collect()
}

/// Why there is no score and no level: for every model, until both its documents and its rules are here.
pub fn no_score(model: &Model) -> Remark {
    if model.verified {
        Remark::new(
            "no_scoring_rule",
            "本程序没有该模型的评分规则，只给事实",
            "no scoring rule of this model is here; only facts are given",
        )
    } else {
        Remark::new(
            "profile_unverified",
            "指标、权重和分级规则尚未对照文件原文逐条核实，所以不给分数、不给等级，只给事实",
            "items, weights and rules have not been checked against the documents clause by clause, so there is no score and no level; only facts are given",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_that_ship_read_and_name_no_standard() {
        let models = models();
        assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["cmmm", "sme"]);
        for model in models {
            assert!(!model.verified && no_score(&model).code == "profile_unverified");
            let shown = format!("{:?}{:?}", model.title, model.items);
            for word in ["GB/T", "一级", "二级", "三级", "四级", "五级", "分值", "得分", "认定", "证书"]
            {
                assert!(!shown.contains(word), "{word} in {}", model.id);
            }
            let mut ids: Vec<_> = model.items.iter().map(|item| item.id.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), model.items.len());
        }
    }
}

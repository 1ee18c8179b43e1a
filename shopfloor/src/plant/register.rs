//! The equipment register (设备台账): all equipment of a site, connected or not.

use jiff::civil::Date;

use crate::id::{EquipmentId, WorkUnitId};

/// How far a line of the equipment register is known to be networked (联网).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Networked {
    /// 已核验联网: data arrive here.
    Verified,
    /// 已申报未核验: stated by somebody.
    Declared,
    /// 未联网.
    None,
}

impl Networked {
    /// The word in plant.toml and in the API.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Declared => "declared",
            Self::None => "none",
        }
    }

    /// All states, the best known first.
    pub const ALL: [Self; 3] = [Self::Verified, Self::Declared, Self::None];

    /// In Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Verified => "已核验联网",
            Self::Declared => "已申报未核验",
            Self::None => "未联网",
        }
    }

    /// In English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Verified => "networked, verified",
            Self::Declared => "networked, declared only",
            Self::None => "not networked",
        }
    }
}

/// A line of the equipment register (设备台账).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equipment {
    /// Id, the asset number in small letters.
    pub id: EquipmentId,
    /// Chinese name.
    pub name: String,
    /// English name.
    pub name_en: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Whether it performs a key process (关键工序).
    pub key_process: bool,
    /// Line of the transformation contract that pays for it.
    pub contract_line: Option<String>,
    /// Networked, and how far that is known.
    pub networked: Networked,
    /// The other system that it is networked with, such as a MES; `None` where it is this one or none.
    pub system: Option<String>,
    /// Who attested it.
    pub attested_by: Option<String>,
    /// When.
    pub attested_at: Option<Date>,
    /// The work unit it is, if it is measured here.
    pub work_unit: Option<WorkUnitId>,
}

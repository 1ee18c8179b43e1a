//! Names of things: parsed once at the door, never raw strings afterwards.
//!
//! Every id is 1 to 64 characters of `a-z 0-9 . _ -`, beginning with a letter or a digit, so that it is safe
//! as an MQTT topic level, as a file name and in a URL. Display names in Chinese stand beside it.

use std::fmt;
use std::str::FromStr;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was written.
    #[error("an id is empty; write 1 to 64 characters of a-z 0-9 . _ -")]
    Empty,
    /// More than 64 characters.
    #[error("id {0:?} is longer than 64 characters")]
    TooLong(String),
    /// A character that would not be safe in a topic, a path or a URL.
    #[error("id {id:?} contains {found:?}; allowed are a-z 0-9 . _ - and the first must be a letter or a digit")]
    Character {
        /// The text as written.
        id: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// A contract line that is empty, too long or holds a character that cannot be printed.
    #[error("contract line {0:?} is not 1 to 32 printable characters")]
    ContractLine(String),
    /// A tag name without exactly one slash.
    #[error("tag name {0:?} is not of the form work_unit/tag")]
    TagForm(String),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.chars().count() > 64 {
        return Err(IdError::TooLong(text.to_owned()));
    }
    for (position, character) in text.chars().enumerate() {
        let plain = character.is_ascii_lowercase() || character.is_ascii_digit();
        if !(plain || position > 0 && matches!(character, '.' | '_' | '-')) {
            return Err(IdError::Character { id: text.to_owned(), found: character });
        }
    }
    Ok(())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A factory site (工厂): the tenant of the system. ISA-95 site.
    SiteId
);
id!(
    /// An area of a site (车间). ISA-95 area.
    AreaId
);
id!(
    /// A work center (产线, 工作中心). ISA-95 work center.
    WorkCenterId
);
id!(
    /// A work unit (设备): the machine whose time is measured. ISA-95 work unit.
    WorkUnitId
);
id!(
    /// An edge agent: one program with one key and one chain of blocks.
    AgentId
);
id!(
    /// An industrial cluster or park (产业集群).
    ClusterId
);
id!(
    /// A line of the equipment register (设备台账).
    EquipmentId
);
id!(
    /// A shift of a calendar (班次).
    ShiftId
);
id!(
    /// A product (产品) as orders and ideal cycles name it.
    ProductId
);
id!(
    /// A source of an agent: one connection to one device or server.
    SourceId
);

id!(
    /// A transformation project (改造项目).
    ProjectId
);
id!(
    /// A criterion of a project (验收指标).
    CriterionId
);

/// A line of the transformation contract's equipment list (合同设备清单行), as the contract writes it:
/// 1 to 32 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct ContractLineId(String);

impl ContractLineId {
    /// The line as the contract writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContractLineId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let trimmed = text.trim();
        let fits = (1..=32).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
        if fits { Ok(Self(trimmed.to_owned())) } else { Err(IdError::ContractLine(text.to_owned())) }
    }
}

impl fmt::Display for ContractLineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One named data point of a work unit, `work_unit/tag` (点位).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName {
    work_unit: WorkUnitId,
    tag: String,
}

impl TagName {
    /// The work unit that the tag belongs to.
    pub fn work_unit(&self) -> &WorkUnitId {
        &self.work_unit
    }

    /// The part after the slash.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl FromStr for TagName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (work_unit, tag) = text.split_once('/').ok_or_else(|| IdError::TagForm(text.to_owned()))?;
        check(tag)?;
        Ok(Self { work_unit: work_unit.parse()?, tag: tag.to_owned() })
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.work_unit, self.tag)
    }
}

impl serde::Serialize for TagName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TagName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_a_topic_character_is_refused_by_name() {
        let error = "line/1".parse::<WorkUnitId>().unwrap_err();
        assert_eq!(error, IdError::Character { id: "line/1".into(), found: '/' });
        assert!("".parse::<SiteId>().is_err());
        assert!("#".parse::<SiteId>().is_err());
        assert!("x".repeat(65).parse::<SiteId>().is_err());
    }

    #[test]
    fn a_tag_name_has_two_parts() {
        let name: TagName = "grinder-01/state".parse().unwrap();
        assert_eq!(name.work_unit().as_str(), "grinder-01");
        assert_eq!(name.tag(), "state");
        assert!("state".parse::<TagName>().is_err());
        assert!("a/b/c".parse::<TagName>().is_err());
    }
}

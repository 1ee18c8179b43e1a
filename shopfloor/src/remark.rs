//! Remarks (提示, 疑点): anything noticed about data or definitions that is not a judged criterion.
//!
//! A remark has a code that programs compare and a sentence in two languages that people read.

use serde::Serialize;

/// One thing that was noticed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// Short code in kebab case, stable between versions.
    pub code: String,
    /// What was noticed, in Chinese.
    pub zh: String,
    /// What was noticed, in English.
    pub en: String,
}

impl Remark {
    /// A remark from its three parts.
    pub fn new(code: &str, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code: code.to_owned(), zh: zh.into(), en: en.into() }
    }
}

/// Adds a remark unless the same one stands there already.
pub fn note(remarks: &mut Vec<Remark>, remark: Remark) {
    if !remarks.contains(&remark) {
        remarks.push(remark);
    }
}

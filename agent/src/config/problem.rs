//! What can be wrong with a configuration, said in English and Chinese with file, line, column and key.

use std::fmt;

/// The language of a message to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Lang {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

/// One sentence in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

impl Said {
    /// The same thought in English and in Chinese.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    /// The sentence in `lang`.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

/// A place in the file, both counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What is wrong with one place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// Not TOML.
    Syntax(String),
    /// A key that no version of this schema has.
    UnknownKey {
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A required key is absent.
    Missing {
        /// What belongs there.
        allowed: Said,
    },
    /// A value that is not allowed.
    Invalid {
        /// The value as written.
        found: String,
        /// What is allowed.
        allowed: Said,
    },
    /// The same id or name a second time.
    Duplicate {
        /// The id or name.
        found: String,
        /// Where it was first used.
        first: Position,
    },
    /// The file was written for a newer program.
    NewerSchema {
        /// Schema number in the file.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
}

/// One problem, with its place and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// Path of the key, such as `source[0].tag[3].scale`.
    pub key: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

impl Problem {
    /// One line for a person, without file name and position.
    pub fn message(&self, lang: Lang) -> String {
        let key = &self.key;
        match (&self.kind, lang) {
            (ProblemKind::Syntax(message), Lang::En) => format!("not valid TOML: {message}"),
            (ProblemKind::Syntax(message), Lang::Zh) => format!("不是有效的 TOML：{message}"),
            (ProblemKind::UnknownKey { nearest: Some(nearest) }, Lang::En) => {
                format!("unknown key `{key}`; did you mean `{nearest}`?")
            }
            (ProblemKind::UnknownKey { nearest: Some(nearest) }, Lang::Zh) => {
                format!("未知的键 `{key}`；是否应为 `{nearest}`？")
            }
            (ProblemKind::UnknownKey { nearest: None }, Lang::En) => {
                format!("unknown key `{key}`; see agent.example.toml for every key")
            }
            (ProblemKind::UnknownKey { nearest: None }, Lang::Zh) => {
                format!("未知的键 `{key}`；全部键见 agent.example.toml")
            }
            (ProblemKind::Missing { allowed }, Lang::En) => format!("`{key}` is missing; expected {}", allowed.en),
            (ProblemKind::Missing { allowed }, Lang::Zh) => format!("缺少 `{key}`；应为{}", allowed.zh),
            (ProblemKind::Invalid { found, allowed }, Lang::En) => {
                format!("`{key}` = {found} is not allowed; expected {}", allowed.en)
            }
            (ProblemKind::Invalid { found, allowed }, Lang::Zh) => {
                format!("`{key}` 的值 {found} 不允许；应为{}", allowed.zh)
            }
            (ProblemKind::Duplicate { found, first }, Lang::En) => {
                format!("`{key}` = {found:?} was already used at line {}; each must be unique", first.line)
            }
            (ProblemKind::Duplicate { found, first }, Lang::Zh) => {
                format!("`{key}` 的值 {found:?} 已在第 {} 行使用；不得重复", first.line)
            }
            (ProblemKind::NewerSchema { found, known }, Lang::En) => format!(
                "the file has schema {found}, this program knows up to {known}; install a newer plumbline-agent, nothing of the file was applied"
            ),
            (ProblemKind::NewerSchema { found, known }, Lang::Zh) => {
                format!("文件的 schema 为 {found}，本程序最高支持 {known}；请安装更新的 plumbline-agent，文件未被应用")
            }
        }
    }
}

/// Every problem of one file, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Name of the file as the caller gave it.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigErrors {
    /// One line for each problem: `file:line:column: message`.
    pub fn render(&self, lang: Lang) -> String {
        let line = |p: &Problem| format!("{}:{}:{}: {}", self.file, p.at.line, p.at.column, p.message(lang));
        self.problems.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Lang::En))
    }
}

impl std::error::Error for ConfigErrors {}

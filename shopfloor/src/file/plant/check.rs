//! Names that are defined once and referred to elsewhere, and the check character of a 统一社会信用代码.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use super::super::document::{Report, Table, nearest};

/// Everything that the file defines, and everything that it refers to.
pub struct Names<'r, 'a> {
    report: &'r Report<'a>,
    defined: BTreeMap<(&'static str, String), Range<usize>>,
    referred: Vec<(&'static str, String, Range<usize>)>,
}

impl<'r, 'a> Names<'r, 'a> {
    /// Nothing yet.
    pub const fn new(report: &'r Report<'a>) -> Self {
        Self { report, defined: BTreeMap::new(), referred: Vec::new() }
    }

    /// The `id` of a table, which must be there and be the only one of its kind.
    pub fn define<T: FromStr<Err: Display> + Display>(
        &mut self,
        kind: &'static str,
        table: &Table<'_, '_>,
    ) -> Option<T> {
        let needed = table.need("id", "an id of a-z 0-9 . _ -");
        let (id, span) = needed.then(|| table.from_str::<T>("id")).flatten()?;
        self.define_text(kind, &id.to_string(), span);
        Some(id)
    }

    /// A name that must be the only one of its kind.
    pub fn define_text(&mut self, kind: &'static str, name: &str, span: Range<usize>) {
        if let Some(first) = self.defined.get(&(kind, name.to_owned())) {
            let first = self.report.pointer(first);
            self.report.add(span, format!("{kind} `{name}` stands twice, first at {first}; give each its own"));
        } else {
            self.defined.insert((kind, name.to_owned()), span);
        }
    }

    /// A name that must be defined somewhere.
    pub fn refer<T: Display>(&mut self, kind: &'static str, name: Option<&(T, Range<usize>)>) {
        if let Some((name, span)) = name {
            self.referred.push((kind, name.to_string(), span.clone()));
        }
    }

    /// Reports every reference to something that is not there.
    pub fn finish(self) {
        for (kind, name, span) in self.referred {
            if self.defined.contains_key(&(kind, name.clone())) {
                continue;
            }
            let known: Vec<&str> =
                self.defined.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name.as_str()).collect();
            let hint = match nearest(&name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => format!("the file has no [[{kind}]]"),
                None => format!("there are {}", known.join(", ")),
            };
            let zh = format!(
                "{kind} {name} 不存在，现有：{}",
                if known.is_empty() { "无".to_owned() } else { known.join("、") }
            );
            self.report.add_in_both(span, format!("{kind} `{name}` does not exist; {hint}"), zh);
        }
    }
}

/// A 统一社会信用代码 whose check character is right. GB 32100-2015: weights 3^i mod 31 over 31 characters.
pub fn uscc(text: &str) -> Option<String> {
    const ALPHABET: &str = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    let digits: Option<Vec<usize>> = text.chars().map(|c| ALPHABET.find(c)).collect();
    let digits = digits.filter(|digits| digits.len() == 18)?;
    let mut weight = 1;
    let mut sum = 0;
    for digit in &digits[..17] {
        sum += digit * weight;
        weight = weight * 3 % 31;
    }
    ((31 - sum % 31) % 31 == digits[17]).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_character_is_verified() {
        // Worked by hand: 91330500 and zeros: 9*1 + 1*3 + 3*9 + 3*27 + 5*(81*3 mod 31 = 26)... mod 31.
        let code = "91330500000000000";
        let right: Vec<char> =
            "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().filter(|c| uscc(&format!("{code}{c}")).is_some()).collect();
        assert_eq!(right.len(), 1);
        assert_eq!(uscc("91330500000000000"), None);
        assert_eq!(uscc("9133050000000000O1"), None);
    }
}

//! The values of several columns: codes of all, first values of all, then the rest of each.

use super::Raw;
use crate::wire::column::{self, ColumnError, Source, put_varint};

/// The values of one column as they are written.
pub(super) enum Values<'a> {
    Bits(Vec<u64>),
    Text(Vec<&'a str>),
}

/// Codes of all columns, then the first values of all, then the rest of each.
pub(super) fn put(bytes: &mut Vec<u8>, columns: &[Values<'_>]) {
    let start = bytes.len();
    for values in columns {
        bytes.push(match values {
            Values::Bits(bits) => column::bits_code(bits.iter().copied()),
            Values::Text(_) => column::TEXT,
        });
    }
    for values in columns {
        if let Values::Bits(bits) = values
            && let Some(first) = bits.first()
        {
            put_varint(bytes, *first);
        }
    }
    for (place, values) in columns.iter().enumerate() {
        match values {
            Values::Bits(bits) if bytes[start + place] != column::CONSTANT => {
                let code = bytes[start + place];
                column::put_differences(bytes, bits.iter().copied(), code);
            }
            Values::Bits(_) => {}
            Values::Text(texts) => put_texts(bytes, texts),
        }
    }
}

/// A dictionary in order of first use, then one index per row.
fn put_texts(bytes: &mut Vec<u8>, texts: &[&str]) {
    let mut dictionary: Vec<&str> = Vec::new();
    let mut indexes = Vec::with_capacity(texts.len());
    for text in texts {
        let known = dictionary.iter().position(|known| known == text);
        indexes.push(known.unwrap_or_else(|| {
            dictionary.push(text);
            dictionary.len() - 1
        }));
    }
    put_varint(bytes, dictionary.len() as u64);
    for text in dictionary {
        put_varint(bytes, text.len() as u64);
        bytes.extend_from_slice(text.as_bytes());
    }
    for index in indexes {
        put_varint(bytes, index as u64);
    }
}

fn texts(source: &mut Source<'_>, count: usize) -> Result<Vec<Raw>, ColumnError> {
    let mut dictionary = Vec::new();
    for _ in 0..source.count("number of texts")? {
        let length = source.count("length of a text")?;
        let at = source.position();
        dictionary.push(std::str::from_utf8(source.take(length)?).map_err(|_| ColumnError::Utf8(at))?);
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let at = source.position();
        let text = usize::try_from(source.varint()?).ok().and_then(|index| dictionary.get(index));
        let text = text.ok_or(ColumnError::Range { at, what: "text index" })?;
        // Each copy of a text counts against the bound, or a short dictionary could become a long memory.
        source.spend(text.len() / 16)?;
        values.push(Raw::Text((*text).to_owned()));
    }
    Ok(values)
}

/// Reads columns of values, one for each count; the caller has counted them against the bound.
pub(super) fn read(source: &mut Source<'_>, counts: &[usize]) -> Result<Vec<Vec<Raw>>, ColumnError> {
    let codes = counts.iter().map(|_| column::value_code(source)).collect::<Result<Vec<_>, _>>()?;
    let mut firsts = Vec::with_capacity(counts.len());
    for (code, count) in codes.iter().zip(counts) {
        let at = source.position();
        let first = if *code == column::TEXT || *count == 0 { 0 } else { source.varint()? };
        if matches!(code, 1 | 2 | 4) && first >> (8 * code) != 0 {
            return Err(ColumnError::Range { at, what: "first value" });
        }
        firsts.push(first);
    }
    let mut columns = Vec::with_capacity(counts.len());
    for ((code, count), first) in codes.into_iter().zip(counts).zip(firsts) {
        if code == column::TEXT {
            columns.push(texts(source, *count)?);
            continue;
        }
        let mut values = Vec::with_capacity(*count);
        column::bits(source, code, first, *count, |value| values.push(Raw::Bits(value)))?;
        columns.push(values);
    }
    Ok(columns)
}

//! The writing half: it can produce nothing but deterministic CBOR, if keys are given in order.

/// Writes deterministic CBOR. The caller writes map keys in ascending order.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A writer with nothing written.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, major: u8, value: u64) {
        let major = major << 5;
        match value {
            0..=23 => self.0.push(major | value.to_be_bytes()[7]),
            24..=0xff => self.0.extend_from_slice(&[major | 0x18, value.to_be_bytes()[7]]),
            0x100..=0xffff => {
                self.0.push(major | 0x19);
                self.0.extend_from_slice(&value.to_be_bytes()[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(major | 0x1a);
                self.0.extend_from_slice(&value.to_be_bytes()[4..]);
            }
            _ => {
                self.0.push(major | 0x1b);
                self.0.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(0, value);
        self
    }

    /// A signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        if value < 0 {
            self.head(1, !value.cast_unsigned());
        } else {
            self.head(0, value.cast_unsigned());
        }
        self
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.head(2, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.head(3, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// The head of an array of `length` items.
    pub fn array(&mut self, length: usize) -> &mut Self {
        self.head(4, length as u64);
        self
    }

    /// The head of a map of `length` pairs.
    pub fn map(&mut self, length: usize) -> &mut Self {
        self.head(5, length as u64);
        self
    }

    /// False or true.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.0.push(if value { 0xf5 } else { 0xf4 });
        self
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.0.push(0xf6);
        self
    }
}

/// A map with small integer keys, of which any may be left out: pairs are collected, then written with their count.
#[derive(Debug, Default)]
pub struct Fields {
    count: usize,
    last: u64,
    body: Writer,
}

impl Fields {
    /// A map with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The writer for the value of `key`; keys must rise.
    pub fn key(&mut self, key: u64) -> &mut Writer {
        debug_assert!(self.count == 0 || key > self.last, "keys are written in ascending order");
        self.count += 1;
        self.last = key;
        self.body.uint(key)
    }

    /// Ends the map into `writer`.
    pub fn end(self, writer: &mut Writer) {
        writer.map(self.count);
        writer.0.extend_from_slice(&self.body.0);
    }

    /// The map as bytes of its own.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.end(&mut writer);
        writer.0
    }
}

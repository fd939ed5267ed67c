//! Number of rows of a Parquet file, read from its footer without the library that wrote it.

/// Rows that the file's metadata speaks of.
///
/// The footer is a thrift struct in the compact protocol, followed by its length and `PAR1`; the number of rows
/// is its field 3.
pub fn rows(bytes: &[u8]) -> i64 {
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "no Parquet file");
    let tail = bytes.len() - 8;
    let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    let mut footer = Compact(&bytes[tail - length..tail]);
    let mut field = 0;
    loop {
        let (id, kind) = footer.field(field).expect("the number of rows is in the footer");
        if id == 3 {
            return footer.zigzag();
        }
        footer.skip(kind);
        field = id;
    }
}

/// Values of the compact protocol, taken from the front.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("the footer ends early");
        self.0 = rest;
        *first
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
    }

    /// Number and type of the next field of a struct, whose last field had the number `last`.
    fn field(&mut self, last: i64) -> Option<(i64, u8)> {
        let head = self.byte();
        let (delta, kind) = (head >> 4, head & 0x0f);
        (kind != 0).then(|| (if delta == 0 { self.zigzag() } else { last + i64::from(delta) }, kind))
    }

    fn skip(&mut self, kind: u8) {
        match kind {
            1 | 2 => {}
            3 => self.0 = &self.0[1..],
            4..=6 => _ = self.varint(),
            7 => self.0 = &self.0[8..],
            8 => {
                let length = usize::try_from(self.varint()).unwrap();
                self.0 = &self.0[length..];
            }
            9 | 10 => {
                let head = self.byte();
                let length = if head >> 4 == 15 { self.varint() } else { u64::from(head >> 4) };
                for _ in 0..length {
                    // A bool takes a byte in a list and none in a struct.
                    if matches!(head & 0x0f, 1 | 2) { _ = self.byte() } else { self.skip(head & 0x0f) }
                }
            }
            12 => {
                let mut last = 0;
                while let Some((id, kind)) = self.field(last) {
                    self.skip(kind);
                    last = id;
                }
            }
            other => panic!("thrift type {other} is not expected in a footer"),
        }
    }
}

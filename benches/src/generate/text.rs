//! Bytes written fast: numbers, hexadecimal digits, times.

use chrono::{DateTime, Utc};

/// A byte buffer with the few writers that rows and lines need.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// What was written.
    pub bytes: Vec<u8>,
}

impl Text {
    /// Appends bytes as they are.
    pub fn s(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.bytes.extend_from_slice(bytes.as_ref());
        self
    }

    /// Appends a decimal number.
    pub fn n(&mut self, n: u64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut from = digits.len();
        let mut rest = n;
        loop {
            from -= 1;
            digits[from] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.s(&digits[from..])
    }

    /// Appends exactly `width` hexadecimal digits.
    pub fn hex(&mut self, n: u64, width: usize) -> &mut Self {
        for digit in (0..width).rev() {
            self.bytes.push(b"0123456789abcdef"[(n >> (4 * digit) & 15) as usize]);
        }
        self
    }
}

/// The same second over and over in the three spellings that origin logs use: formatted once.
#[derive(Clone, Debug)]
pub struct Clock {
    second: i64,
    /// `22/Nov/2026:12:23:19 +0000`
    pub access: String,
    /// `2026/11/22 12:23:19`
    pub error: String,
    /// `22-Nov-2026 12:23:19`
    pub fpm: String,
}

impl Default for Clock {
    fn default() -> Self {
        Self { second: i64::MIN, access: String::new(), error: String::new(), fpm: String::new() }
    }
}

impl Clock {
    /// Sets the clock to a time in nanoseconds since the epoch.
    pub fn set(&mut self, ns: i64) -> &Self {
        let second = ns.div_euclid(1_000_000_000);
        if second != self.second {
            self.second = second;
            let time = utc(ns);
            self.access = time.format("%d/%b/%Y:%H:%M:%S +0000").to_string();
            self.error = time.format("%Y/%m/%d %H:%M:%S").to_string();
            self.fpm = time.format("%d-%b-%Y %H:%M:%S").to_string();
        }
        self
    }
}

/// A time in nanoseconds since the epoch as a calendar time.
pub const fn utc(ns: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let mut t = Text::default();
        t.n(0).s(b" ").n(u64::MAX).s(" ").hex(0x9e0a_d63f_1b0a_3338, 16).s(b" ").hex(0xabc, 4);
        assert_eq!(t.bytes, b"0 18446744073709551615 9e0ad63f1b0a3338 0abc");
    }

    #[test]
    fn clock() {
        let mut clock = Clock::default();
        clock.set(1_795_350_199_999_999_999);
        assert_eq!(
            (clock.access.as_str(), clock.error.as_str(), clock.fpm.as_str()),
            ("22/Nov/2026:12:23:19 +0000", "2026/11/22 12:23:19", "22-Nov-2026 12:23:19")
        );
    }
}

//! Times and sizes as configurations write them.

/// nginx's times in seconds: `65`, `65s`, `1m 30s`, `500ms`, `1h`.
pub fn nginx_seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits)?;
        let number: f64 = number.parse().ok()?;
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        total += number
            * match unit {
                "ms" => 0.001,
                "" | "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                "M" => 2_592_000.0,
                "y" => 31_536_000.0,
                _ => return None,
            };
        rest = tail.trim_start();
    }
    Some(total)
}

/// Apache's times in seconds: `5`, `100ms`, `2min`.
pub fn apache_seconds(text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: f64 = number.parse().ok()?;
    let scale = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "mi" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    Some(number * scale)
}

/// PHP-FPM's times in seconds: `30`, `30s`, `2m`, `1h`, `1d`.
pub fn fpm_seconds(text: &str) -> Option<f64> {
    nginx_seconds(text).filter(|_| !text.contains("ms"))
}

/// Sizes in bytes: `8k`, `1M`, `512`.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "" => Some(number),
        "k" | "K" => number.checked_mul(1 << 10),
        "m" | "M" => number.checked_mul(1 << 20),
        "g" | "G" => number.checked_mul(1 << 30),
        _ => None,
    }
}

/// Seconds for people.
pub fn show_seconds(s: f64) -> String {
    if s.fract() == 0.0 { format!("{s:.0} s") } else { format!("{s} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes() {
        let got: Vec<_> = ["65", "65s", "1m 30s", "1m30s", "500ms", "1h", "off", "", "5x"].into_iter().map(nginx_seconds).collect();
        assert_eq!(got, [Some(65.0), Some(65.0), Some(90.0), Some(90.0), Some(0.5), Some(3600.0), None, None, None]);
        assert_eq!(
            [apache_seconds("5"), apache_seconds("100ms"), apache_seconds("2min"), apache_seconds("x")],
            [Some(5.0), Some(0.1), Some(120.0), None]
        );
        assert_eq!(
            [bytes("8k"), bytes("1M"), bytes("512"), bytes("k"), bytes("99999999999999999999")],
            [Some(8192), Some(1 << 20), Some(512), None, None]
        );
    }
}

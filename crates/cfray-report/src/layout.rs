//! Text in columns: widths as a terminal counts them, wrapping, bars.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cut to `max` columns; a `…` tells.
pub fn cut(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if used + columns + 1 > max {
            break;
        }
        out.push(c);
        used += columns;
    }
    if max > 0 {
        out.push('…');
    }
    out
}

/// Cut in the middle: the end of a path says more than its beginning.
pub fn cut_middle(text: &str, max: usize) -> String {
    if width(text) <= max || max < 5 {
        return cut(text, max);
    }
    let head = max / 3;
    let tail_max = max - head - 1;
    let mut tail = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        let columns = c.width().unwrap_or(0);
        if used + columns > tail_max {
            break;
        }
        used += columns;
        tail.push(c);
    }
    let mut out = cut(text, head + 1);
    out.extend(tail.iter().rev());
    out
}

/// Filled with blanks on the right; cut when too long.
pub fn left(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&out))));
    out
}

/// Filled with blanks on the left.
pub fn right(text: &str, columns: usize) -> String {
    let mut out: String = std::iter::repeat_n(' ', columns.saturating_sub(width(text))).collect();
    out.push_str(text);
    out
}

/// Lines of at most `max` columns, broken at blanks; words that are longer still are broken inside.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word;
        if !line.is_empty() && width(&line) + 1 + width(word) > max {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > max {
            let mut used = 0;
            let at = word
                .char_indices()
                .find(|(_, c)| {
                    used += c.width().unwrap_or(0);
                    used > max
                })
                .map_or(word.len(), |(at, _)| at)
                .max(1);
            let at = (at..=word.len()).find(|&at| word.is_char_boundary(at)).unwrap_or(word.len());
            let (head, tail) = word.split_at(at);
            lines.push(head.to_owned());
            word = tail;
        }
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A bar of up to `max` columns in eighths; what is not zero shows.
pub fn bar(part: u64, whole: u64, max: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if whole == 0 || part == 0 || max == 0 {
        return String::new();
    }
    let eighths = ((part as f64 / whole as f64 * max as f64 * 8.0).round() as usize).clamp(1, max * 8);
    let mut out: String = std::iter::repeat_n('█', eighths / 8).collect();
    if let Some(rest) = EIGHTHS.get(eighths % 8).filter(|_| !eighths.is_multiple_of(8)) {
        out.push(*rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bars_and_cuts() {
        assert_eq!(bar(1, 2, 4), "██");
        assert_eq!(bar(1, 1000, 4), "▏");
        assert_eq!(bar(0, 5, 4), "");
        assert_eq!(cut_middle("logs/cloudflare/20261122T1000Z.log.gz", 20), "logs/c…T1000Z.log.gz");
        assert_eq!(wrap("a bb ccccccc d", 4), ["a bb", "cccc", "ccc", "d"].map(String::from));
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_asked(text in "[ a-z日本é]{0,80}", max in 2usize..40) {
            prop_assert!(width(&cut(&text, max)) <= max);
            prop_assert!(width(&cut_middle(&text, max)) <= max);
            prop_assert!(wrap(&text, max).iter().all(|line| width(line) <= max));
        }
    }
}

//! The time chart: 520s by cause over all traffic. Positions are percentages, so that it takes any width
//! while its texts keep their shape.

use crate::words;
use cfray_model::report::Report;
use cfray_model::{Cause, Stamp};
use serde::Serialize;
use svg::node::element::{Group, Line, Rectangle, SVG, Text};

/// Colours beside grey.
const COLOURS: usize = 8;
/// Height of the highest bar in percent: room for the top label.
const HIGHEST: f64 = 94.0;

/// A colour for each cause, the same all over the page.
pub struct Palette(Vec<Cause>);

impl Palette {
    /// The most frequent causes get colours of their own.
    pub fn new(report: &Report) -> Self {
        Self(report.causes.iter().map(|c| c.cause).filter(|c| *c != Cause::Unknown).collect())
    }

    /// CSS class.
    pub fn class(&self, cause: Cause) -> String {
        match self.0.iter().position(|c| *c == cause) {
            Some(at) => format!("k{}", at.min(COLOURS - 1)),
            None => "kx".to_owned(),
        }
    }
}

/// What the template draws.
#[derive(Serialize)]
pub struct Chart {
    /// Number of bars.
    pub bars: usize,
    /// Bars, traffic and grid: markup of our own making.
    plot: String,
    /// Times under it, likewise.
    axis: String,
    most: String,
    /// Empty when not known.
    most_traffic: String,
    /// Start in milliseconds since the epoch.
    start_ms: i64,
    /// Width of a bar in milliseconds.
    step_ms: i64,
    step: String,
    /// The chart in a sentence, for those who do not see it.
    label: String,
}

fn percent(part: f64) -> String {
    format!("{:.3}%", part * 100.0)
}

fn rect(class: &str, x: f64, y: f64, width: f64, height: f64) -> Rectangle {
    let r = Rectangle::new().set("x", percent(x)).set("y", format!("{y:.2}%")).set("width", percent(width));
    let r = r.set("height", format!("{height:.2}%"));
    if class.is_empty() { r } else { r.set("class", class) }
}

/// Draws the timeline; `None` when there is none.
pub fn draw(report: &Report, palette: &Palette) -> Option<Chart> {
    let timeline = &report.timeline;
    let (first, last) = (timeline.buckets.first()?, timeline.buckets.last()?);
    let step = timeline.bucket_s.max(1);
    let bars = usize::try_from((last.start_s - first.start_s).max(0) / step).ok()?.checked_add(1)?;
    let end = last.start_s.checked_add(step)?;
    let causes: Vec<Cause> = report.causes.iter().map(|c| c.cause).collect();
    let most = timeline.buckets.iter().map(|b| b.causes.iter().map(|(_, n)| n).sum::<u64>()).max().unwrap_or(0);
    let most_traffic = timeline.buckets.iter().map(|b| b.requests).max().unwrap_or(0);
    let slot = 1.0 / bars as f64;
    let (mut traffic, mut stacks) = (Group::new().set("class", "traffic"), Group::new().set("class", "bars"));
    for b in &timeline.buckets {
        let x = ((b.start_s - first.start_s) / step) as f64 * slot;
        if b.requests > 0 {
            let height = HIGHEST * b.requests as f64 / most_traffic as f64;
            // A little wider than its place: no hairline where neighbours meet between two pixels.
            traffic = traffic.add(rect("", x, 100.0 - height, slot + 0.0005, height));
        }
        let mut top = 100.0;
        for cause in &causes {
            let n: u64 = b.causes.iter().filter(|(c, _)| c == cause).map(|(_, n)| n).sum();
            if n > 0 {
                // A lone 520 among thousands still shows.
                let height = (HIGHEST * n as f64 / most as f64).max(1.5);
                top -= height;
                stacks = stacks.add(rect(&palette.class(*cause), x + slot * 0.06, top, slot * 0.88, height));
            }
        }
    }
    let (lines, labels) = grid(most);
    let svg = |class: &str| SVG::new().set("class", class).set("width", "100%").set("aria-hidden", "true");
    let plot = svg("plot").set("height", "100%").add(traffic).add(lines).add(stacks).add(labels);
    let mut axis = svg("axis").set("height", 20);
    for (at, (x, label)) in ticks(first.start_s, end).into_iter().enumerate() {
        let anchor = if x < 0.04 {
            "start"
        } else if x > 0.96 {
            "end"
        } else {
            "middle"
        };
        let text = Text::new(label).set("x", percent(x)).set("y", 14).set("text-anchor", anchor);
        axis = axis.add(if at % 2 == 1 { text.set("class", "odd") } else { text });
    }
    let total = |b: &cfray_model::report::Bucket| b.causes.iter().map(|(_, n)| n).sum::<u64>();
    let peak = timeline.buckets.iter().max_by_key(|b| (total(b), std::cmp::Reverse(b.start_s)))?;
    Some(Chart {
        bars,
        plot: plot.to_string(),
        axis: axis.to_string(),
        most: words::number(most),
        most_traffic: if most_traffic > 0 { words::number(most_traffic) } else { String::new() },
        start_ms: first.start_s.checked_mul(1000)?,
        step_ms: step.checked_mul(1000)?,
        step: words::duration(step as f64),
        label: format!(
            "{} by cause over all requests, {} UTC; at most {} in {}, at {}",
            words::incidents(&report.meta.statuses, 2),
            words::span(Some(Stamp::from_secs(first.start_s)), Some(Stamp::from_secs(end))),
            words::number(most),
            words::duration(step as f64),
            words::moment(Stamp::from_secs(peak.start_s)),
        ),
    })
}

/// Lines at round numbers of incidents, at most four, and the numbers.
fn grid(most: u64) -> (Group, Group) {
    let (mut grid, mut labels) = (Group::new().set("class", "grid"), Group::new());
    if most == 0 {
        return (grid, labels);
    }
    let steps = (0..19).flat_map(|power| [1u64, 2, 5].map(|n| n.saturating_mul(10u64.saturating_pow(power))));
    let step = steps.into_iter().find(|step| most / step <= 4).unwrap_or(most);
    for n in 1..=most / step {
        let y = 100.0 - HIGHEST * (n * step) as f64 / most as f64;
        let at = format!("{y:.2}%");
        grid = grid.add(Line::new().set("x1", "0").set("x2", "100%").set("y1", at.clone()).set("y2", at.clone()));
        labels = labels.add(Text::new(words::number(n * step)).set("x", 3).set("y", at).set("dy", "1.05em"));
    }
    (grid, labels)
}

/// Places between 0 and 1 with a time each, at round times, at most nine.
fn ticks(start_s: i64, end_s: i64) -> Vec<(f64, String)> {
    const STEPS: [i64; 20] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800];
    let span = (end_s - start_s).max(1);
    let step = STEPS.into_iter().find(|step| span / step <= 8).unwrap_or(span / 8);
    let first = start_s.div_euclid(step) * step + if start_s.rem_euclid(step) == 0 { 0 } else { step };
    let label = |at: i64| {
        let shape = match step {
            86_400.. => "%d %b",
            _ if at.rem_euclid(86_400) == 0 => "%d %b",
            60.. => "%H:%M",
            _ => "%H:%M:%S",
        };
        words::shaped(Stamp::from_secs(at), shape)
    };
    (0..=8).map(|n| first + n * step).take_while(|at| *at <= end_s).map(|at| ((at - start_s) as f64 / span as f64, label(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_at_round_times() {
        let labels = |from, to| ticks(from, to).into_iter().map(|(_, l)| l).collect::<Vec<_>>().join(" ");
        // 2026-11-22T10:02:11Z
        let start = 1_795_341_731;
        assert_eq!(labels(start, start + 25), "10:02:15 10:02:20 10:02:25 10:02:30 10:02:35");
        assert_eq!(labels(start, start + 1080), "10:05 10:10 10:15 10:20");
        assert_eq!(labels(start, start + 86_400), "12:00 15:00 18:00 21:00 23 Nov 03:00 06:00 09:00");
        assert_eq!(labels(start, start + 1), "10:02:11 10:02:12");
    }
}

//! The time chart: 520s by cause over all traffic, as bare rectangles that stretch to any width.

use crate::words;
use cfray_model::report::Report;
use cfray_model::{Cause, Stamp};
use serde::Serialize;

/// Colours beside grey.
const COLOURS: usize = 8;
/// Most bars drawn.
const BARS: usize = 180;

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

/// One rectangle in units of bars (x) and percent (y).
#[derive(Serialize)]
pub struct Rect {
    class: String,
    x: String,
    y: String,
    height: String,
}

/// What the template draws.
#[derive(Serialize)]
pub struct Chart {
    /// Number of bars.
    pub bars: usize,
    rects: Vec<Rect>,
    /// Path of all traffic; empty when not known.
    traffic: String,
    most: String,
    most_traffic: String,
    /// Start in milliseconds since the epoch.
    start_ms: i64,
    /// Width of a bar in milliseconds.
    step_ms: i64,
    step: String,
    ticks: Vec<String>,
    /// The chart in a sentence, for those who do not see it.
    label: String,
}

/// Draws the timeline; `None` when there is none.
pub fn draw(report: &Report, palette: &Palette) -> Option<Chart> {
    let timeline = &report.timeline;
    let (first, last) = (timeline.buckets.first()?, timeline.buckets.last()?);
    let bucket = timeline.bucket_s.max(1);
    let spanned = usize::try_from((last.start_s - first.start_s).max(0) / bucket).ok()? + 1;
    let per_bar = spanned.div_ceil(BARS);
    let bars = spanned.div_ceil(per_bar);
    let step = bucket.checked_mul(i64::try_from(per_bar).ok()?)?;
    let causes: Vec<Cause> = report.causes.iter().map(|c| c.cause).collect();
    let mut counts = vec![vec![0u64; causes.len()]; bars];
    let mut traffic = vec![0u64; bars];
    for b in &timeline.buckets {
        let Some(at) = usize::try_from((b.start_s - first.start_s) / step).ok().filter(|at| *at < bars) else { continue };
        if let Some(sum) = traffic.get_mut(at) {
            *sum += b.requests;
        }
        for (cause, n) in &b.causes {
            let place = causes.iter().position(|c| c == cause).and_then(|place| counts.get_mut(at)?.get_mut(place));
            if let Some(sum) = place {
                *sum += n;
            }
        }
    }
    let most = counts.iter().map(|c| c.iter().sum::<u64>()).max().unwrap_or(0);
    let most_traffic = traffic.iter().copied().max().unwrap_or(0);
    let mut rects = Vec::new();
    for (x, stack) in counts.iter().enumerate() {
        let mut top = 100.0;
        for (cause, n) in causes.iter().zip(stack).filter(|(_, n)| **n > 0) {
            // A lone 520 among thousands still shows.
            let height = (96.0 * *n as f64 / most as f64).max(1.5);
            top -= height;
            rects.push(Rect {
                class: palette.class(*cause),
                x: format!("{:.2}", x as f64 + 0.06),
                y: format!("{top:.2}"),
                height: format!("{height:.2}"),
            });
        }
    }
    let path = match most_traffic {
        0 => String::new(),
        _ => {
            traffic.iter().enumerate().fold(String::from("M0 100"), |mut path, (x, n)| {
                let y = 100.0 - 96.0 * *n as f64 / most_traffic as f64;
                path.push_str(&format!("L{x} {y:.1}H{}", x + 1));
                path
            }) + &format!("L{bars} 100Z")
        }
    };
    let end = first.start_s + step * i64::try_from(bars).ok()?;
    let long = end - first.start_s > 86_400;
    let ticks = (0..=4).map(|i| {
        words::shaped(Stamp::from_secs(first.start_s + (end - first.start_s) * i / 4), if long { "%d %b %H:%M" } else { "%H:%M" })
    });
    let peak = counts.iter().enumerate().max_by_key(|(at, c)| (c.iter().sum::<u64>(), std::cmp::Reverse(*at))).map_or(0, |(at, _)| at);
    let peak_at = words::moment(Stamp::from_secs(first.start_s + step * i64::try_from(peak).ok()?));
    Some(Chart {
        bars,
        rects,
        traffic: path,
        most: words::number(most),
        most_traffic: words::number(most_traffic),
        start_ms: first.start_s.checked_mul(1000)?,
        step_ms: step.checked_mul(1000)?,
        step: words::duration(step as f64),
        ticks: ticks.collect(),
        label: format!(
            "{} by cause over all requests, {} to {} UTC; at most {} in {}, at {peak_at}",
            words::incidents(&report.meta.statuses, 2),
            words::moment(Stamp::from_secs(first.start_s)),
            words::moment(Stamp::from_secs(end)),
            words::number(most),
            words::duration(step as f64)
        ),
    })
}

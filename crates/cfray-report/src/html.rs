//! One page that holds everything: no network, opens from disk, forbids itself what it does not need.
//!
//! The template escapes whatever it is given (its name ends in `.html`); the script only ever sets text.
//! Rows travel deflated in an element that is no script, so nothing in them is ever markup.

mod chart;
mod context;
mod data;
mod impact;

use crate::digest::csp_hash;
use crate::view::View;
use crate::{RenderOptions, ReportError};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};
use std::io::Write;

const TEMPLATE: &str = include_str!("html/report.html");
const STYLE: &str = include_str!("html/style.css");
/// One script in four files: what a page may do stands in one hash.
const SCRIPT: &str = concat!(
    include_str!("html/script/rows.js"),
    include_str!("html/script/chart.js"),
    include_str!("html/script/detail.js"),
    include_str!("html/script/page.js"),
);

/// Writes the page.
pub fn render(view: &View<'_>, options: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    let palette = chart::Palette::new(&view.head);
    let packed = data::pack(view, &palette)?;
    let page = context::Page::new(view, &palette, &packed.rows, options);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("report.html", TEMPLATE)?;
    let page = environment.get_template("report.html")?.render(context! {
        page => Serde(page),
        style => STYLE,
        script => SCRIPT,
        style_hash => csp_hash(STYLE),
        script_hash => csp_hash(SCRIPT),
        data => packed.base64,
    })?;
    out.write_all(page.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

#[cfg(test)]
mod tests;

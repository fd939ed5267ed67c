//! placeholder
use crate::view::View;
use crate::{RenderOptions, ReportError};
use std::io::Write;

/// Page.
pub fn render(_: &View<'_>, _: &RenderOptions, _: &mut dyn Write) -> Result<(), ReportError> {
    Ok(())
}

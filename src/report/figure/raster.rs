//! PNG from SVG.

use crate::error::{Error, Result};
use resvg::{tiny_skia, usvg};
use std::sync::Arc;

/// Letters, digits and the signs of figures: a part of Roboto Regular (Christian Robertson; Apache-2.0).
const FONT: &[u8] = include_bytes!("roboto-subset.ttf");

/// The drawing at so many pixels per px. Equal drawings give equal bytes: no font of the machine is read.
///
/// # Errors
/// Internal: the SVG is none, or larger than an image can be.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let internal = |what: String| Error::internal(format!("a figure as PNG: {what}"));
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    let options = usvg::Options {
        font_family: "Roboto".to_owned(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| internal(e.to_string()))?;
    let [width, height] =
        [tree.size().width(), tree.size().height()].map(|side| (side * scale).ceil() as u32);
    let mut image = tiny_skia::Pixmap::new(width, height).ok_or_else(|| internal("its size".to_owned()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut image.as_mut());
    image.encode_png().map_err(|e| internal(e.to_string()))
}

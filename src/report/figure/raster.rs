//! PNG and PDF from SVG.

use crate::error::{Error, Result};
use resvg::{tiny_skia, usvg};
use std::{fmt::Debug, sync::Arc};
use svg2pdf::{ConversionOptions, PageOptions};

/// Letters, digits and the signs of figures: a part of Roboto Regular (Christian Robertson; Apache-2.0).
const FONT: &[u8] = include_bytes!("roboto-subset.ttf");

/// Of SVG's px there are 96 to an inch.
const SVG_DPI: f32 = 96.0;

fn internal(what: impl Debug) -> Error {
    Error::internal(format!("a figure in another format: {what:?}"))
}

fn tree(svg: &str) -> Result<usvg::Tree> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    let options = usvg::Options {
        font_family: "Roboto".to_owned(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    usvg::Tree::from_str(svg, &options).map_err(internal)
}

/// The drawing at so many pixels per px. Equal drawings give equal bytes: no font of the machine is read.
///
/// # Errors
/// Internal: the SVG is none, or larger than an image can be.
pub fn png(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let tree = tree(svg)?;
    let [width, height] =
        [tree.size().width(), tree.size().height()].map(|side| (side * scale).ceil() as u32);
    let mut image = tiny_skia::Pixmap::new(width, height).ok_or_else(|| internal("its size"))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut image.as_mut());
    image.encode_png().map_err(internal)
}

/// One page of the drawing's size, in which texts are outlines. Its objects stand in another order each time.
///
/// # Errors
/// Internal: the SVG is none.
pub fn pdf(svg: &str) -> Result<Vec<u8>> {
    let page = PageOptions { dpi: SVG_DPI };
    svg2pdf::to_pdf(&tree(svg)?, ConversionOptions::default(), page).map_err(internal)
}

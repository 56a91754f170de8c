//! PNG and PDF from SVG.

use crate::error::{Error, Result};
use krilla::{Document, geom::Size, page::PageSettings};
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::{tiny_skia, usvg};
use std::{fmt::Debug, sync::Arc};

/// Letters, digits and the signs of figures: a part of Roboto Regular (Christian Robertson; Apache-2.0).
const FONT: &[u8] = include_bytes!("roboto-subset.ttf");

/// SVG has 96 px to an inch, PDF 72 points.
const POINTS: f32 = 72.0 / 96.0;

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

/// One page of the drawing's size, whose texts can be searched. Equal drawings give equal bytes.
///
/// # Errors
/// Internal: the SVG is none, or has no size.
pub fn pdf(svg: &str) -> Result<Vec<u8>> {
    let tree = tree(svg)?;
    let [width, height] = [tree.size().width(), tree.size().height()].map(|side| side * POINTS);
    let no_size = || internal("its size");
    let mut document = Document::new();
    let mut page = document.start_page_with(PageSettings::from_wh(width, height).ok_or_else(no_size)?);
    let mut surface = page.surface();
    let size = Size::from_wh(width, height).ok_or_else(no_size)?;
    surface.draw_svg(&tree, size, SvgSettings::default()).ok_or_else(no_size)?;
    surface.finish();
    page.finish();
    document.finish().map_err(internal)
}

//! Figures: drawn as SVG, to be read in print, in grey and by colour-blind readers.

mod bars;
mod canvas;
mod curves;
mod draw;
mod heat_map;
mod histogram;
mod palette;
mod plot;
mod raster;
#[cfg(test)]
mod tests;

pub use canvas::marked_up;
pub use draw::figures;
pub use raster::{pdf, png};

/// A drawing with what has to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// For files: lower case, without blanks.
    pub name: String,
    pub title: String,
    /// Whole sentences: what is shown, units, n, the model.
    pub caption: String,
    pub svg: String,
}

/// A name for files of any text: a long one ends in its hash.
fn file_name(text: &str) -> String {
    const LONGEST: usize = 120;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).collect();
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    match name.get(..LONGEST) {
        Some(start) if name.len() > LONGEST => {
            format!("{start}-{}", &blake3::hash(text.as_bytes()).to_hex().as_str()[..8])
        }
        _ => name,
    }
}

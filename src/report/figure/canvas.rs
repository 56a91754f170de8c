//! SVG, written by hand: a few marks with what they stand for on hover. Deterministic to the byte.
//!
//! Ink and ground are presentation attributes with a class, which the styles of a page override: one file is right in
//! print, and in a dark page.

use std::fmt::Write;

pub const INK: &str = "#1a1a1a";
pub const GROUND: &str = "#ffffff";
pub const FAINT: &str = "#d0d0d0";

/// Where a text stands by its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing of a width and height in px.
pub struct Canvas {
    pub width: f64,
    pub height: f64,
    body: String,
}

/// A number with at most two decimals.
pub fn px(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text as XML, in one line.
pub fn escaped(text: &str) -> String {
    marked_up(text, |c| matches!(c, '\n' | '\t').then_some(' '))
}

/// Text in XML or HTML, with what stands for each control character.
pub fn marked_up(text: &str, control: impl Fn(char) -> Option<char>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.extend(control(c)),
            c => out.push(c),
        }
    }
    out
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    fn mark(&mut self, tag: &str, attributes: &str, title: &str) {
        let _ = match title {
            "" => writeln!(self.body, "<{tag} {attributes}/>"),
            title => writeln!(self.body, "<{tag} {attributes}><title>{}</title></{tag}>", escaped(title)),
        };
    }

    /// The class of a colour that a page may change.
    fn class(colour: &str, of: &str) -> String {
        match colour {
            INK => format!(" class=\"ink-{of}\""),
            GROUND => format!(" class=\"ground-{of}\""),
            FAINT => format!(" class=\"faint-{of}\""),
            _ => String::new(),
        }
    }

    pub fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str, opacity: f64, title: &str) {
        let opacity =
            if opacity < 1.0 { format!(" fill-opacity=\"{}\"", px(opacity)) } else { String::new() };
        let at = [x, y, width.max(0.0), height.max(0.0)].map(px);
        let attributes = format!(
            "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"{opacity}{}",
            at[0],
            at[1],
            at[2],
            at[3],
            Self::class(fill, "fill")
        );
        self.mark("rect", &attributes, title);
    }

    /// The outline of a rectangle.
    pub fn frame(&mut self, [x, y, width, height]: [f64; 4], stroke: &str, thick: f64) {
        let at = [x, y, width, height, thick].map(px);
        let attributes = format!(
            "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{}\"{}",
            at[0],
            at[1],
            at[2],
            at[3],
            at[4],
            Self::class(stroke, "stroke")
        );
        self.mark("rect", &attributes, "");
    }

    /// A line through points; `dash` as in SVG, empty for a solid one.
    pub fn line(&mut self, points: &[[f64; 2]], stroke: &str, thick: f64, dash: &str, title: &str) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", px(*x), px(*y))).collect();
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        let attributes = format!(
            "points=\"{}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{}\"{dash}{}",
            points.join(" "),
            px(thick),
            Self::class(stroke, "stroke")
        );
        self.mark("polyline", &attributes, title);
    }

    /// A filled shape.
    pub fn area(&mut self, points: &[[f64; 2]], fill: &str, opacity: f64) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", px(*x), px(*y))).collect();
        let attributes = format!(
            "points=\"{}\" fill=\"{fill}\" fill-opacity=\"{}\"{}",
            points.join(" "),
            px(opacity),
            Self::class(fill, "fill")
        );
        self.mark("polygon", &attributes, "");
    }

    /// A filled shape that stands for something.
    pub fn shape(&mut self, points: &[[f64; 2]], fill: &str, title: &str) {
        let points: Vec<String> = points.iter().map(|[x, y]| format!("{},{}", px(*x), px(*y))).collect();
        self.mark("polygon", &format!("points=\"{}\" fill=\"{fill}\"", points.join(" ")), title);
    }

    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, size: f64, text: &str) {
        self.turned([x, y], anchor, size, 0.0, INK, text);
    }

    /// Text turned by so many degrees about its place.
    pub fn turned(
        &mut self,
        [x, y]: [f64; 2],
        anchor: Anchor,
        size: f64,
        degrees: f64,
        fill: &str,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let at = [x, y].map(px);
        let turn = match degrees {
            0.0 => String::new(),
            degrees => format!(" transform=\"rotate({} {} {})\"", px(degrees), at[0], at[1]),
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\" fill=\"{fill}\"{}{turn}>{}</text>",
            at[0],
            at[1],
            px(size),
            Self::class(fill, "fill"),
            escaped(text)
        );
    }

    /// The width of a text, about.
    pub fn width_of(text: &str, size: f64) -> f64 {
        0.52 * size * text.chars().count() as f64
    }

    /// The whole file; `label` says what it shows to whoever cannot see it.
    pub fn finish(self, label: &str) -> String {
        let [width, height] = [self.width, self.height].map(px);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"Roboto, 'Helvetica Neue', Arial, sans-serif\" role=\"img\" aria-label=\"{}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{GROUND}\" class=\"ground-fill\"/>\n{}</svg>\n",
            escaped(label),
            self.body
        )
    }
}

//! The terminal: its size, its colours, and the progress bar that is on it.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal, stderr, stdout},
    sync::Mutex,
};
use terminal_size::{Height, Width, terminal_size_of};

/// The columns of stdout's terminal, else of the variable COLUMNS; `None` where text may be as wide as it is.
pub fn width() -> Option<usize> {
    size().map(|(width, _)| width).or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
}

/// Columns and lines of stdout's terminal.
pub fn size() -> Option<(usize, usize)> {
    let (Width(width), Height(height)) = terminal_size_of(stdout())?;
    (width > 0 && height > 0).then_some((width.into(), height.into()))
}

/// The words that begin a line, or stand behind a run's name, and are coloured as the command-line parser colours its own.
const COLOURED: [(&str, AnsiColor); 5] = [
    ("error:", AnsiColor::Red),
    ("failed:", AnsiColor::Red),
    ("FAILED:", AnsiColor::Red),
    ("MISSING:", AnsiColor::Red),
    ("warning:", AnsiColor::Yellow),
];

/// Whether stdout shows colours.
pub fn has_colour() -> bool {
    AutoStream::choice(&stdout()) != ColorChoice::Never
}

/// Text in lines of at most `width` columns, each after `indent`; a word that is longer stays whole.
pub fn wrapped(text: &str, indent: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let (mut lines, mut line) = (String::new(), indent.to_owned());
    for word in text.split(' ') {
        let is_empty = line.trim_start().is_empty();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > width {
            lines += &format!("{}\n", std::mem::replace(&mut line, format!("{indent}{word}")));
        } else {
            line = if is_empty { line + word } else { format!("{line} {word}") };
        }
    }
    format!("{lines}{line}\n")
}

/// Text for stderr, coloured where that is a terminal and `NO_COLOR` and its like do not forbid it.
pub fn for_stderr(text: &str) -> String {
    coloured(text, AutoStream::choice(&stderr()) != ColorChoice::Never)
}

/// Text for stdout, as [`for_stderr`].
pub fn for_stdout(text: &str) -> String {
    coloured(text, has_colour())
}

fn coloured(text: &str, wanted: bool) -> String {
    if !wanted {
        return text.to_owned();
    }
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    for (word, colour) in COLOURED {
        let at = if line.trim_start().starts_with(word) {
            line.find(word)
        } else {
            line.find(&format!(": {word}"))
        };
        if let Some(at) = at {
            let at = at + line[at..].find(word).unwrap_or(0);
            let style = Style::new().bold().fg_color(Some(colour.into()));
            return format!("{}{style}{word}{style:#}{}", &line[..at], &line[at + word.len()..]);
        }
    }
    line.to_owned()
}

/// The bar that is on the terminal, so that whatever else is written goes above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn current() -> Option<ProgressBar> {
    BAR.lock().ok()?.clone()
}

/// A bar on stderr, of one line that fits: `total` steps, 0 where their number is unknown. Hidden where stderr is no
/// terminal.
pub fn begin_bar(total: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(8);
    let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
    // The message is cut at the edge.
    let template = match total {
        0 => "{spinner} {wide_msg}",
        _ if terminal_size_of(stderr()).is_some_and(|(Width(width), _)| width < 40) => "{wide_msg}",
        _ => "{bar:16} {wide_msg}",
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    if let Ok(mut place) = BAR.lock() {
        *place = Some(bar.clone());
    }
    bar
}

/// Takes the bar off the terminal.
pub fn end_bar() {
    if let Some(bar) = BAR.lock().ok().and_then(|mut bar| bar.take()) {
        bar.finish_and_clear();
    }
}

/// Writes by `write` while no bar is drawn.
pub fn above_bar(write: impl FnOnce()) {
    match current() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three", "  ", Some(9)), "  one two\n  three\n");
        assert_eq!(wrapped("one two", "", None), "one two\n");
        assert_eq!(wrapped("longer_than_that", "  ", Some(9)), "  longer_than_that\n");
    }

    #[test]
    fn errors_failures_and_warnings_are_coloured_and_nothing_else() {
        let red = |word: &str| format!("\u{1b}[1m\u{1b}[31m{word}\u{1b}[0m");
        assert_eq!(coloured("error: no\n", true), format!("{} no\n", red("error:")));
        assert_eq!(coloured("[1/2] a: FAILED: no", true), format!("[1/2] a: {} no", red("FAILED:")));
        assert_eq!(coloured("error: no\n", false), "error: no\n");
        let plain = "finetune: 3 steps\nno error\n";
        assert_eq!(coloured(plain, true), plain);
    }
}

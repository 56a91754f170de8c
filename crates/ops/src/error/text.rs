//! Text from outside (files, paths, arguments, programs) made safe to print or record: control and invisible characters
//! are escaped, and long text is shortened.

use std::borrow::Cow;

/// The most characters of a message, and of an excerpt in it.
const MESSAGE: usize = 2000;
const EXCERPT: usize = 80;

/// Keeps line breaks and tabs; other control characters, and those that are invisible or change the writing direction,
/// are escaped as in Rust: `\r`, `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| acts(c) && c != '\n' && c != '\t')
}

/// [`printable`], shortened in the middle to at most 2000 characters.
pub fn message(text: &str) -> Cow<'_, str> {
    shortened(text, MESSAGE, printable)
}

/// A cell, a name or another piece of a file, on one line and shortened to at most 80 characters.
pub fn excerpt(text: &str) -> Cow<'_, str> {
    shortened(text, EXCERPT, |text| escaped(text, acts))
}

fn acts(c: char) -> bool {
    let unseen = matches!(c,
        '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || unseen
}

fn escaped(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if acts(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Shortened before escaping, since it may be gigabytes, and after, since escaping makes it longer.
fn shortened<'a>(
    text: &'a str,
    most: usize,
    escape: impl for<'b> Fn(&'b str) -> Cow<'b, str>,
) -> Cow<'a, str> {
    match cut(text, most) {
        None => match escape(text) {
            Cow::Borrowed(text) => Cow::Borrowed(text),
            Cow::Owned(text) => Cow::Owned(cut(&text, most).unwrap_or(text)),
        },
        Some(short) => {
            let text = escape(&short);
            Cow::Owned(cut(&text, most).unwrap_or_else(|| text.into_owned()))
        }
    }
}

/// The beginning and the end of the text; `None` if it has no more than `most` characters.
fn cut(text: &str, most: usize) -> Option<String> {
    // There are at most as many characters as bytes.
    if text.len() <= most || text.chars().count() <= most {
        return None;
    }
    let end = (most - 1) / 2;
    let begins = text.char_indices().nth(most - 1 - end)?.0;
    let ends = text.char_indices().rev().nth(end.checked_sub(1)?)?.0;
    Some(format!("{}…{}", &text[..begins], &text[ends..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_or_hides_is_written_out() {
        assert_eq!(printable("a\x1b[31mb\r\x07\u{9b}2J\u{7f}"), r"a\u{1b}[31mb\r\u{7}\u{9b}2J\u{7f}");
        assert_eq!(
            printable("\u{202e}txt.\u{2066}\u{feff}\u{200b}"),
            r"\u{202e}txt.\u{2066}\u{feff}\u{200b}"
        );
        assert_eq!(excerpt("a\tb\nc"), r"a\tb\nc");
        // What was written out once stays as it is.
        assert_eq!(printable(&printable("\x1b")), r"\u{1b}");
    }

    #[test]
    fn ordinary_words_of_any_language_stay_as_they_are() {
        for text in ["", "lines\n\tof usage\n", "Löwe 日本語 🙂 👩\u{200d}🔬 می\u{200c}خواهم e\u{301} …"]
        {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_is_too_long_loses_its_middle() {
        let text = format!("begins {}{} ends", "é".repeat(1 << 20), "\r".repeat(1 << 20));
        let short = message(&text);
        assert_eq!(short.chars().count(), MESSAGE);
        assert!(short.starts_with("begins éé") && short.contains('…') && short.ends_with(r"\r\r ends"));
        assert_eq!(message(&short), short);
        let whole = "x".repeat(EXCERPT);
        assert_eq!(excerpt(&whole), whole);
        let cut = excerpt(&format!("{whole}yz")).into_owned();
        assert_eq!(cut, format!("{}…{}yz", "x".repeat(40), "x".repeat(37)));
        // Eight characters for one.
        assert_eq!(excerpt(&"\u{202e}".repeat(EXCERPT)).chars().count(), EXCERPT);
    }
}

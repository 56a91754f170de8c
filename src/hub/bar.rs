//! Progress bars for downloads.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for a file of this size, if it is known; hidden if stderr is not a terminal.
pub(super) fn of_file(file: &str, size: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {wide_msg}"),
        None => (ProgressBar::no_length(), "{bytes} {bytes_per_sec} {elapsed} {wide_msg}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(file.to_owned())
}

/// Shown while another process has the lock.
pub(super) fn of_waiting() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner()
        .with_message("another process is downloading the same file; waiting for it");
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

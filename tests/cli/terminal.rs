//! What is on a real terminal of 80 and of 120 columns: bars, `status --watch`, colours.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use crate::{
    fixture::{Bench, QUICK},
    output::plain,
    processes::{signal, wait_until},
};

const LINES: u16 = 24;

/// A pseudo-terminal with a process on it.
struct Terminal {
    child: Child,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Every character that was written.
    written: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

fn nonzero(n: u16) -> std::num::NonZeroU16 {
    n.try_into().unwrap()
}

/// Both ends of a pseudo-terminal; `None` where there are none.
fn pair(columns: u16) -> Option<(OwnedFd, OwnedFd)> {
    let (mut own, mut other) = (-1, -1);
    let size = libc::winsize { ws_row: LINES, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointers are valid for the call, and both descriptors are new and owned by nobody else.
    unsafe {
        let made = libc::openpty(
            &raw mut own,
            &raw mut other,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        );
        (made == 0).then(|| (OwnedFd::from_raw_fd(own), OwnedFd::from_raw_fd(other)))
    }
}

impl Terminal {
    /// Starts a command with both outputs on the terminal; `None`, and the test counts as skipped, where there is no
    /// terminal.
    fn start(test: &str, columns: u16, mut command: Command) -> Option<Self> {
        let Some((own, other)) = pair(columns) else {
            println!("skipped: {test}: there are no pseudo-terminals here");
            return None;
        };
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(Stdio::null()).stdout(other.try_clone().unwrap()).stderr(other);
        // Who starts the tests in the background of a shell has it ignored.
        // SAFETY: the action of a signal may be set between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGINT, libc::SIG_DFL);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // The command holds the other end.
        drop(command);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(nonzero(LINES), nonzero(columns), 1000)));
        let written = Arc::new(Mutex::new(String::new()));
        let reader = thread::spawn({
            let (screen, written, mut file) = (screen.clone(), written.clone(), File::from(own));
            move || {
                assert!(file.as_raw_fd() >= 0);
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = file.read(&mut bytes) {
                    screen.lock().unwrap().process(&bytes[..n]);
                    *written.lock().unwrap() += &String::from_utf8_lossy(&bytes[..n]);
                }
            }
        });
        Some(Self { child, screen, written, reader: Some(reader) })
    }

    fn lines(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let width = screen.screen().size().1;
        let lines: Vec<String> =
            screen.screen().rows(0, width.into()).map(|line| line.trim_end().to_owned()).collect();
        let last = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines[..last].to_vec()
    }

    /// Waits until the screen satisfies `is`.
    fn wait(&self, what: &str, is: impl Fn(&[String]) -> bool) -> Vec<String> {
        let began = Instant::now();
        loop {
            let lines = self.lines();
            if is(&lines) {
                return lines;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{what} did not appear:\n{}",
                lines.join("\n")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The exit code, once everything is on the screen.
    fn end(&mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        status.code()
    }
}

fn run(bench: &Bench, more: &[&str]) -> Command {
    plain(bench, &bench.arguments("runs", "sst2", more))
}

/// A sweep whose grid is `more`.
fn sweep(bench: &Bench, more: &[&str]) -> Command {
    let usual =
        ["--tasks", "sst2", "--model", "model", "--data", "glue", "--store", "runs", "--threads", "1"];
    let sets = QUICK.iter().flat_map(|set| ["--set", set]);
    let words = ["sweep"].into_iter().chain(usual).chain(sets).chain(more.iter().copied());
    plain(bench, &words.map(str::to_owned).collect::<Vec<_>>())
}

fn is_bar(line: &str) -> bool {
    line.contains('█') || line.contains('░') || line.contains(" · ")
}

#[test]
fn a_bar_says_what_runs_in_one_line_and_leaves_nothing_behind() {
    for columns in [80, 120] {
        let bench = Bench::new("SST-2");
        let long = ["--set", "train.epochs=20000", "--seed", "42"];
        let Some(mut terminal) = Terminal::start("a bar", columns, run(&bench, &long)) else { return };
        let lines = terminal.wait("the bar", |lines| lines.iter().any(|line| line.contains("loss")));
        let bars: Vec<&String> = lines.iter().filter(|line| is_bar(line)).collect();
        let [bar] = &bars[..] else { panic!("not one bar:\n{}", lines.join("\n")) };
        assert!(bar.contains("sst2 good 42 · finetune ") && bar.contains("/400000 · ETA "), "{bar}");
        signal(&terminal.child, libc::SIGINT);
        assert_eq!(terminal.end(), Some(4));
        let left = terminal.lines();
        assert!(
            left.last().unwrap().contains("To resume: ") || left.join("").contains("To resume: "),
            "{left:?}"
        );
        assert!(!left.iter().any(|line| is_bar(line)), "a bar was left:\n{}", left.join("\n"));
    }
}

#[test]
fn a_sweep_that_is_stopped_leaves_no_bar_either() {
    let bench = Bench::new("SST-2");
    let Some(mut terminal) =
        Terminal::start("a stopped sweep", 80, sweep(&bench, &["--set", "train.epochs=20000"]))
    else {
        return;
    };
    terminal.wait("the bar", |lines| lines.iter().any(|line| line.contains("sst2 good 1337 · finetune")));
    signal(&terminal.child, libc::SIGINT);
    assert_eq!(terminal.end(), Some(4));
    let left = terminal.lines().join("\n");
    assert!(!left.lines().any(is_bar), "{left}");
    // The table of what there is, and how to go on.
    assert!(left.contains("pending") && left.contains("To resume: "), "{left}");
}

#[test]
fn the_table_of_a_sweep_fits_the_terminal_and_tells_what_is_left_of_each_model() {
    let bench = Bench::new("SST-2");
    let grid = ["--modes", "good,bad,random", "--seeds", "1,2"];
    for columns in [120, 80] {
        let Some(mut terminal) = Terminal::start("a sweep's table", columns, sweep(&bench, &grid)) else {
            return;
        };
        assert_eq!(terminal.end(), Some(0));
        let lines = terminal.lines();
        let rows: Vec<&String> = lines.iter().filter(|line| line.starts_with('│')).collect();
        assert_eq!(rows.len(), 7, "{}", lines.join("\n"));
        // Broken lines would not end in their border.
        assert!(rows.iter().all(|row| row.ends_with('│')), "{}", lines.join("\n"));
        for column in ["mode", "seed", "full", "pruned", "retrained", "heads", "FFNs"] {
            assert!(rows[0].contains(column), "{column}: {}", lines.join("\n"));
        }
        let modes: Vec<_> =
            rows[1..].iter().map(|row| row.split(['│', '┆']).find_map(mode).unwrap()).collect();
        assert_eq!(modes, ["good", "random", "bad"].repeat(2));
        let legend =
            lines.iter().any(|line| line.contains("warning of all 6 runs: importance and report share"));
        assert!(legend, "{}", lines.join("\n"));
    }
    // At 80 columns, what is the same in all rows stands above.
    let Some(mut terminal) = Terminal::start("a sweep's table", 80, sweep(&bench, &grid)) else { return };
    terminal.end();
    let lines = terminal.lines().join("\n");
    assert!(lines.contains("all: status done, metric accuracy"), "{lines}");
}

fn mode(cell: &str) -> Option<&str> {
    Some(cell.trim()).filter(|cell| ["good", "random", "bad"].contains(cell))
}

#[test]
fn watch_keeps_the_progress_at_the_bottom_and_cuts_the_table() {
    let bench = Bench::new("SST-2");
    let seeds = (1..=25).map(|seed| seed.to_string()).collect::<Vec<_>>().join(",");
    let quick = ["--set", "train.epochs=1", "--set", "data.train_limit=16", "--set", "data.dev_limit=16"];
    // A setting that differs gives each run a row.
    let order = format!("seeds.order={seeds}");
    let done = sweep(&bench, &[&quick[..], &["--modes", "full", "--set", &order, "--quiet"]].concat())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut running = sweep(&bench, &["--seeds", "7,8", "--set", "train.epochs=20000"]);
    let mut running = running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let live = || {
        let words = ["status", "--store", "runs"].map(str::to_owned);
        String::from_utf8(plain(&bench, &words).output().unwrap().stdout).unwrap().contains("/400000")
    };
    assert!(wait_until(&mut running, live));
    for columns in [80, 120] {
        let words = ["status", "--watch", "--store", "runs"].map(str::to_owned);
        let Some(mut terminal) = Terminal::start("--watch", columns, plain(&bench, &words)) else { break };
        let lines = terminal.wait("progress", |lines| lines.iter().any(|line| line.contains("/400000")));
        let all = lines.join("\n");
        assert_eq!(lines.len(), usize::from(LINES) - 1, "{all}");
        let at = lines.iter().position(|line| line.starts_with("sweep ")).unwrap();
        assert!(
            lines[at..].iter().any(|line| line.contains("running ") && line.contains("finetune")),
            "{all}"
        );
        assert!(!lines[at..].iter().any(|line| line.contains('│')), "{all}");
        let cut = lines.iter().find(|line| line.starts_with("… ")).expect("the table is cut");
        assert!(cut.ends_with(" more rows"), "{cut}");
        assert!(lines[..at].iter().any(|line| line.starts_with("└")), "{all}");
        signal(&terminal.child, libc::SIGINT);
        assert_eq!(terminal.end(), None);
    }
    signal(&running, libc::SIGTERM);
    assert_eq!(running.wait().unwrap().code(), Some(4));
}

#[test]
fn the_demo_says_on_a_terminal_what_to_type_next_once() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench { root: folder };
    let quick =
        ["run", "--set", "data.train_limit=96", "--set", "data.dev_limit=48", "--set", "train.epochs=1"];
    let demo = || {
        let mut command = plain(&bench, &quick.map(str::to_owned));
        command.env("LOTTERY_CACHE", bench.path("cache")).env_remove("CARGO");
        command
    };
    let Some(mut terminal) = Terminal::start("next", 120, demo()) else { return };
    assert_eq!(terminal.end(), Some(0));
    let written = terminal.written.lock().unwrap().replace("\r\n", "\n");
    let next = written.split_once("next:\n").expect("what to type next").1;
    // The same command in another mode, and it finds what it shares.
    assert!(next.contains(" run --set 'data.train_limit=96' "), "{next}");
    assert!(next.contains("'train.epochs=1' --mode random  #"), "{next}");
    // Whoever repeats it has seen that.
    let Some(mut terminal) = Terminal::start("next", 120, demo()) else { return };
    assert_eq!(terminal.end(), Some(0));
    assert!(!terminal.written.lock().unwrap().contains("next:"));
}

#[test]
fn errors_are_red_as_the_parsers_are_unless_colours_are_not_wanted() {
    let bench = Bench::new("SST-2");
    let red = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m";
    for (unwanted, has) in [(false, true), (true, false)] {
        let mut command = run(&bench, &["--set", "data.max_length=65"]);
        if unwanted {
            command.args(["--quiet"]);
        }
        let (variable, value) = if unwanted { ("NO_COLOR", "1") } else { ("LOTTERY_NOTHING", "") };
        let mut wrapped = Command::new("env");
        wrapped.arg(format!("{variable}={value}")).arg(command.get_program()).args(command.get_args());
        wrapped.current_dir(bench.root.path()).env("HF_HUB_OFFLINE", "1");
        let Some(mut terminal) = Terminal::start("colours", 80, wrapped) else { return };
        assert_eq!(terminal.end(), Some(2));
        let written = terminal.written.lock().unwrap();
        assert_eq!(written.contains(red), has, "{written:?}");
        assert!(written.contains("data.max_length") && written.contains('\u{1b}') == has, "{written:?}");
    }
}

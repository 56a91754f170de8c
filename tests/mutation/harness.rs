//! Runs the cases of a reader and gathers what went wrong, each fault once.
//!
//! * `MUTATION_CASES`: how many cases in all, over all readers (a million for the whole test)
//! * `MUTATION_SEED`: other cases than the usual ones
//! * `MUTATION_FROM`: the number of each reader's first case
//! * `MUTATION_ONLY`: this case alone, and shows its input
//!
//! Cases are numbered from 0. Reader, seed and number say what a case is.

use super::{meter, random::Random};
use std::{
    any::Any,
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

/// Ends the case with a fault that is the same in all cases with this `kind`.
pub fn fault(kind: &str, detail: String) -> ! {
    panic::panic_any(Fault { kind: kind.to_owned(), detail });
}

const USUAL_CASES: u64 = 10_000;
/// A case that takes longer is a fault: it takes less than a tenth of a second on any machine.
const SLOW: Duration = Duration::from_secs(10);
/// Whoever takes this long does not come back.
const HANGS: u64 = 120;

/// Readers take turns, so that whatever is asked for or panics belongs to the case that runs.
static TURN: Mutex<()> = Mutex::new(());
static RUNS: AtomicBool = AtomicBool::new(false);
/// The first of the case that runs.
static FAULT: Mutex<Option<Fault>> = Mutex::new(None);

/// The case that runs, for a signal handler.
static READER: Mutex<&'static str> = Mutex::new("");
static SEED: AtomicU64 = AtomicU64::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);

struct Fault {
    kind: String,
    /// What is this case's own.
    detail: String,
}

/// Cases with faults of one kind.
struct Found {
    first: u64,
    cases: u64,
    detail: String,
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Whether inputs are shown.
pub fn shows() -> bool {
    std::env::var_os("MUTATION_ONLY").is_some()
}

/// Shows an input where one case was asked for.
pub fn show(name: &str, input: &[u8]) {
    if shows() {
        let shown: String = String::from_utf8_lossy(&input[..input.len().min(6000)]).escape_debug().collect();
        eprintln!("{name} ({} bytes): {shown}", input.len());
    }
}

/// Runs `of_thousand` parts of all cases. A case that panics, asks for too much memory or is slow is a fault.
pub fn run(reader: &'static str, of_thousand: u64, mut case: impl FnMut(&mut Random)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    prepare();
    let seed = variable("MUTATION_SEED").unwrap_or(0);
    let all = variable("MUTATION_CASES").unwrap_or(USUAL_CASES);
    let from = variable("MUTATION_FROM").unwrap_or(0);
    let only = variable("MUTATION_ONLY");
    let numbers = only.map_or(from..(all * of_thousand).div_ceil(1000), |only| only..only + 1);
    *READER.lock().unwrap_or_else(PoisonError::into_inner) = reader;
    SEED.store(seed, SeqCst);
    let started = Instant::now();
    let mut faults: BTreeMap<String, Found> = BTreeMap::new();
    for number in numbers.clone() {
        if let Some(Fault { kind, detail }) = of_case(reader, seed, number, &mut case) {
            faults.entry(kind).or_insert(Found { first: number, cases: 0, detail }).cases += 1;
        }
    }
    let cases = numbers.end.saturating_sub(numbers.start);
    let seconds = started.elapsed().as_secs_f64();
    println!("{reader}: {cases} cases in {seconds:.1} s, {} faults", faults.len());
    if faults.is_empty() {
        return;
    }
    let mut text = format!("{} faults in {cases} cases of the reader {reader}:\n", faults.len());
    for (kind, Found { first, cases, detail }) in &faults {
        _ = writeln!(text, "* case {first} (and {} more): {kind} {detail}", cases - 1);
    }
    panic!(
        "{text}Look at one with MUTATION_SEED={seed} MUTATION_ONLY=<case> cargo test --test mutation {reader}"
    );
}

fn of_case(reader: &str, seed: u64, number: u64, case: &mut impl FnMut(&mut Random)) -> Option<Fault> {
    let mut random = Random::of(reader, seed, number);
    NUMBER.store(number, SeqCst);
    BEGAN.store(now(), SeqCst);
    let (base, began) = (meter::begin(), Instant::now());
    RUNS.store(true, SeqCst);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| case(&mut random)));
    RUNS.store(false, SeqCst);
    BEGAN.store(0, SeqCst);
    if outcome.is_err() {
        return FAULT.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
    if let Some(bytes) = meter::too_much(base) {
        let kind = format!("asked for more than {} bytes of memory:", meter::MOST);
        return Some(Fault { kind, detail: bytes.to_string() });
    }
    let slow = || Fault { kind: "took very long:".to_owned(), detail: format!("{:?}", began.elapsed()) };
    (began.elapsed() > SLOW).then(slow)
}

/// Seconds on a clock of one's own, from 1.
fn now() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    1 + START.get_or_init(Instant::now).elapsed().as_secs()
}

fn of_panic(place: &str, payload: &(dyn Any + Send)) -> Fault {
    let short = |text: &str| text.chars().take(400).collect::<String>().escape_debug().to_string();
    if let Some(Fault { kind, detail }) = payload.downcast_ref() {
        return Fault { kind: format!("{kind}:"), detail: short(detail) };
    }
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
    Fault { kind: format!("panicked at {place}:"), detail: short(text) }
}

fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !RUNS.load(SeqCst) || shows() {
                usual(info);
            }
            let mut first = FAULT.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_none() && RUNS.load(SeqCst) {
                let place =
                    info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
                *first = Some(of_panic(&place, info.payload()));
            }
        }));
        on_abort();
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_secs(1));
                let began = BEGAN.load(SeqCst);
                if began != 0 && now().saturating_sub(began) > HANGS {
                    tell("does not end");
                    std::process::abort();
                }
            }
        });
    });
}

/// A process that is aborted (out of memory or of stack, a panic while another unwinds) still says over which case.
fn on_abort() {
    #[cfg(unix)]
    // SAFETY: what is called neither allocates nor waits.
    unsafe {
        _ = signal_hook::low_level::register(signal_hook::consts::SIGABRT, || {
            tell(if meter::request() > meter::MOST {
                "was aborted, after a request for memory"
            } else {
                "was aborted"
            });
        });
    }
}

fn tell(what: &str) {
    let mut line = Line { text: [0; 300], length: 0 };
    let reader = READER.try_lock().map_or("?", |reader| *reader);
    let (seed, number, request) = (SEED.load(SeqCst), NUMBER.load(SeqCst), meter::request());
    let asked = if request > meter::MOST { request } else { 0 };
    _ = writeln!(
        line,
        "\nreader {reader}, seed {seed}, case {number}: {what} (bytes asked for at once: {asked})"
    );
    _ = std::io::stderr().write_all(&line.text[..line.length]);
}

/// Text without an allocation.
struct Line {
    text: [u8; 300],
    length: usize,
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, new: &str) -> std::fmt::Result {
        let room = &mut self.text[self.length..];
        let taken = new.len().min(room.len());
        room[..taken].copy_from_slice(&new.as_bytes()[..taken]);
        self.length += taken;
        Ok(())
    }
}

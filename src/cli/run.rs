//! `lottery run`: one task × mode × seed.

use super::{
    console::{Console, report_share},
    output::{document, print},
    run_args::{RunArgs, RunOptions},
    signals,
    telemetry::{Telemetry, not_written},
};
use crate::{
    config::{EMBEDDED_MODEL, ExperimentConfig},
    cores,
    engine::Machine,
    error::{Error, Result, printable},
    events::{Lines, TensorBoard, lines},
    experiment::{self, Experiment, Record, protocol, transfer},
    store::{Count, Keep, Store},
    sweep::live::Report,
    train::{Event, Progress},
};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::DecimalBytes;
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

pub fn run(arguments: &RunArgs) -> Result<()> {
    let (config, options) = arguments.resolve()?;
    let share = cores::begin(config.run.threads, arguments.threads_alone)?;
    let stop = if options.dry_run { Arc::default() } else { signals::stop_flag()? };
    let report = arguments.report.clone().map(Report::to);
    let mut telemetry = Telemetry::new(Console::new(options.quiet, stop), report);
    options.notes.iter().for_each(|note| telemetry.note(note));
    report_share(config.run.threads, share, &mut telemetry);
    if options.dry_run {
        let store = Store::at(&options.store)?;
        let experiment = Experiment::load(config, None, &mut telemetry)?;
        let plan = experiment::plan(&experiment, &store)?;
        if options.json {
            return print(&format!("{:#}\n", json!({ "config": experiment.config, "plan": plan })));
        }
        let text = toml::to_string(&experiment.config).map_err(|e| Error::internal(e.to_string()))?;
        let lines: String = plan.iter().map(|line| format!("# {line}\n")).collect();
        return print(&format!("{text}\n{lines}"));
    }
    let store = Store::open(&options.store)?;
    record_events(&config, &options, &store, &mut telemetry)?;
    let (record, path) = compute(config, &store, &mut telemetry).inspect_err(|error| {
        let message = error.to_string();
        telemetry.event(&match error {
            Error::Stopped(_) => Event::Stopped { message },
            _ => Event::Failed { message, exit_code: error.exit_code() },
        });
    })?;
    trim(&record, &store, &options, arguments.leave_shared, &mut telemetry);
    if options.json {
        return print(&document(&record)?);
    }
    print(&printable(&summary(&record, &path)))?;
    if record.config.model == EMBEDDED_MODEL && arguments.mode.is_none() && arguments.config.is_none() {
        what_next().lines().for_each(|line| telemetry.note(line));
    }
    Ok(())
}

/// Applies the retention policy to the run's stages. The record is written, so a failure costs only disk space.
fn trim(
    record: &Record,
    store: &Store,
    options: &RunOptions,
    leave_shared: bool,
    progress: &mut dyn Progress,
) {
    if options.keep == Keep::Models {
        return;
    }
    let Ok(graph) = protocol::graph(&record.config) else { return };
    let left = |node: &str| leave_shared && graph.is_read(node);
    let left: Vec<&String> = record.stages.iter().filter(|(node, _)| left(node)).map(|(_, id)| id).collect();
    let stages: BTreeSet<&str> =
        record.stages.values().filter(|id| !left.contains(id)).map(String::as_str).collect();
    match store.trim(stages, options.keep) {
        Ok(gc) => {
            let Count { files, bytes } = gc.total();
            let keep = options.keep;
            progress.note(&format!("--keep {keep}: {files} files removed, {}", DecimalBytes(bytes)));
        }
        Err(error) => progress.warn(&format!("--keep {}: {error}", options.keep)),
    }
}

/// Starts to record the events of this run; the first one describes the run.
fn record_events(
    config: &ExperimentConfig,
    options: &RunOptions,
    store: &Store,
    telemetry: &mut Telemetry,
) -> Result<()> {
    let run = experiment::run_name(config)?;
    // TensorBoard was asked for and must work; the other events are recorded without being asked for.
    if let Some(dir) = &options.tensorboard {
        telemetry.add_recorder(Box::new(TensorBoard::create(dir, &run)?));
    }
    let path = store.events_path(&run);
    match Lines::open(&path) {
        Ok(lines) => telemetry.add_recorder(Box::new(lines)),
        Err(error) => telemetry.note(&not_written(&path, &error)),
    }
    telemetry.event(&Event::RunBegins {
        format_version: lines::FORMAT_VERSION,
        lottery_version: env!("CARGO_PKG_VERSION"),
        run: &run,
        config: &json!(config),
    });
    Ok(())
}

fn compute(
    config: ExperimentConfig,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<(Record, PathBuf)> {
    let cache = store.dir().join("cache");
    let ticket = match transfer::source(&config) {
        None => None,
        Some(source) => {
            progress.note(&format!("the ticket is that of {}:", source.task));
            let source = Experiment::load(source, Some(&cache), progress)?;
            Some(transfer::find(&source, store, progress)?)
        }
    };
    let mut experiment = Experiment::load(config, Some(&cache), progress)?;
    if let Some(ticket) = ticket {
        experiment = experiment.with_ticket(ticket)?;
    }
    if let Machine::Cuda { .. } = experiment.inputs.machine {
        cores::feed_gpu();
    }
    let (record, path) = experiment::run(&experiment, store, progress)?;
    // The others were reported when the texts were read.
    let new = record.warnings.iter().filter(|warning| !experiment.inputs.warnings.contains(warning));
    new.for_each(|warning| progress.warn(warning));
    Ok((record, path))
}

/// Suggestions for what to run after the embedded model, as command lines.
fn what_next() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let (own, rest) = words.split_at(1);
    let own = if std::env::var_os("CARGO").is_some() { "cargo run --release --" } else { &own[0] };
    let rest = shlex::try_join(rest.iter().map(String::as_str)).unwrap_or_else(|_| "run".to_owned());
    format!(
        "next:\n\
         {own} {rest} --mode random  # equally many units, drawn at random\n\
         {own} {rest} --mode bad     # equally many, the unimportant ones; both share this fine-tuning and search\n\
         {own} run --task rte --model google-bert/bert-base-uncased --data GLUE  # the real thing\n\
         {own} run --help"
    )
}

fn summary(record: &Record, path: &Path) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let names: Vec<&String> = record.full.metrics.keys().collect();
    let mut header = vec![format!("{} {} seed {}", record.task, record.mode, record.seed)];
    header.extend(names.iter().map(|n| n.to_string()));
    header.extend(["heads", "FFNs", "encoder weights"].map(str::to_owned));
    table.set_header(header);
    let ticket = &record.ticket;
    let of = |kept: &str, total: &str| format!("{}/{}", ticket[kept], ticket[total]);
    let all = |total: &str| format!("{0}/{0}", ticket[total]);
    let left = format!("{:.1} %", 100.0 * ticket["encoder_weights_kept"].as_f64().unwrap_or(f64::NAN));
    let kept = [of("heads_kept", "heads_total"), of("ffns_kept", "ffns_total"), left];
    let whole = [all("heads_total"), all("ffns_total"), "100.0 %".to_owned()];
    for (name, scores, units) in [
        ("full", &record.full, &whole),
        ("pruned", &record.pruned, &kept),
        ("retrained", &record.retrained, &kept),
    ] {
        let mut row = vec![name.to_owned()];
        row.extend(names.iter().map(|n| match scores.metrics.get(*n) {
            Some(value) => format!("{value:.4}"),
            None => String::new(),
        }));
        row.extend(units.iter().cloned());
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let baseline = record.full.baseline.unwrap_or(f64::NAN);
    format!("{table}\nmajority baseline: {} {baseline:.4}\nrecord: {}\n", record.metric, path.display())
}

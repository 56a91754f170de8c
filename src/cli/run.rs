//! `lottery run`: one task × mode × seed.

use super::{
    console::{Console, feed, report_share},
    output::{document, print, show},
    run_args::{RunArgs, RunOptions},
    signals,
    sweep::{plan::Forecast, short_label},
    table::Sheet,
    telemetry::{Telemetry, not_written},
    terminal,
};
use crate::{
    config::{EMBEDDED_MODEL, ExperimentConfig, unset},
    cores,
    error::{Error, Result},
    events::{Lines, TensorBoard, lines},
    experiment::{self, Experiment, Record, prepare, protocol, provenance::command_line},
    store::{Count, Keep, Store},
    sweep::{Sweep, live::Report, run_result::run_results},
    train::{Event, Progress},
};
use indicatif::DecimalBytes;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{IsTerminal, stderr},
    path::{Path, PathBuf},
    sync::Arc,
};

pub fn run(arguments: &RunArgs) -> Result<()> {
    let (config, options) = arguments.resolve()?;
    let share = cores::begin(config.run.threads, arguments.threads_alone)?;
    let stop = if options.dry_run { Arc::default() } else { signals::stop_flag()? };
    let label = short_label(&config);
    let report = arguments.report.clone().map(Report::to);
    let mut telemetry = Telemetry::new(Console::new(options.quiet, stop).labelled(label), report);
    options.notes.iter().for_each(|note| telemetry.note(note));
    report_share(config.run.threads, share, &mut telemetry);
    if options.dry_run {
        return dry_run(config, &options, arguments.measure, &mut telemetry);
    }
    let temporary = arguments.temporary_store()?;
    let store = Store::open(temporary.as_ref().map_or(&*options.store, |folder| folder.path()))?;
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
        let mut value = json!(record);
        if temporary.is_none() {
            value["path"] = json!(path);
        }
        print(&document(&value)?)?;
        return deny(arguments.deny_warnings, &record.warnings);
    }
    let text = summary(&json!(record), &path, terminal::width());
    match (&temporary, text.rsplit_once("record: ")) {
        (Some(_), Some((scores, _))) => show(&format!("{scores}every stage works here; nothing was kept\n"))?,
        _ => show(&text)?,
    }
    let typed = &arguments.settings;
    let asked = typed.mode.is_some() || typed.config.is_some() || arguments.smoke;
    let computed = telemetry.has_computed();
    if record.config.model == EMBEDDED_MODEL && !asked && computed && stderr().is_terminal() {
        what_next().lines().for_each(|line| telemetry.note(line));
    }
    deny(arguments.deny_warnings, &record.warnings)
}

/// Prints the settings and the stages, and what those that are to be computed will take.
fn dry_run(
    config: ExperimentConfig,
    options: &RunOptions,
    measure: bool,
    telemetry: &mut Telemetry,
) -> Result<()> {
    let store = Store::at(&options.store)?;
    let experiment = Experiment::load(config, None, telemetry)?;
    let plan = experiment::plan(&experiment, &store)?;
    let alone = Sweep::new("run", vec![experiment.config.clone()], &store)?;
    let forecast = Forecast::new(&alone, &store, &run_results(&alone, &store)?, (options.keep, 1), measure)?;
    if options.json {
        let (config, estimate) = (&experiment.config, forecast.json());
        return print(&format!("{:#}\n", json!({ "config": config, "plan": plan, "estimate": estimate })));
    }
    let text = toml::to_string(&experiment.config).map_err(|e| Error::internal(e.to_string()))?;
    let unset: String = unset(&experiment.config)?
        .iter()
        .map(|key| format!("# {} is not set: {}; {}\n", key.key, key.about, key.holds))
        .collect();
    let Forecast { time, disk, .. } = forecast;
    let plan = plan.into_iter().chain([format!("time: {time}"), format!("disk: {disk}")]);
    print(&format!("{text}\n{unset}\n{}", plan.map(|line| format!("# {line}\n")).collect::<String>()))
}

/// # Errors
/// Warned: there are warnings, and they are denied.
fn deny(denied: bool, warnings: &[String]) -> Result<()> {
    match warnings {
        [first, rest @ ..] if denied => {
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            Err(Error::Warned(format!("--deny-warnings: the record is written, and warns: {first}{more}")))
        }
        _ => Ok(()),
    }
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
        command: &command_line(),
        config: &json!(config),
    });
    Ok(())
}

fn compute(config: ExperimentConfig, store: &Store, progress: &mut Telemetry) -> Result<(Record, PathBuf)> {
    let experiment = prepare::prepare(config, store, progress)?;
    progress.expect(experiment.trainings());
    feed(&experiment.inputs.machine);
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

/// The scores of a record as a table, in at most `width` columns.
pub fn summary(record: &Value, path: &Path, width: Option<usize>) -> String {
    let text = |key: &str| record[key].as_str().map_or_else(|| record[key].to_string(), str::to_owned);
    let names: Vec<String> =
        record["full"]["metrics"].as_object().into_iter().flatten().map(|(n, _)| n.clone()).collect();
    let mut header = vec![format!("{} {} seed {}", text("task"), text("mode"), text("seed"))];
    header.extend(names.iter().cloned());
    header.extend(["heads", "FFNs", "encoder weights"].map(str::to_owned));
    let mut table = Sheet::of_numbers(header);
    let ticket = &record["ticket"];
    let of = |kept: &str, total: &str| format!("{}/{}", ticket[kept], ticket[total]);
    let all = |total: &str| format!("{0}/{0}", ticket[total]);
    let left = format!("{:.1} %", 100.0 * ticket["encoder_weights_kept"].as_f64().unwrap_or(f64::NAN));
    let kept = [of("heads_kept", "heads_total"), of("ffns_kept", "ffns_total"), left];
    let whole = [all("heads_total"), all("ffns_total"), "100.0 %".to_owned()];
    for (name, units) in [("full", &whole), ("pruned", &kept), ("retrained", &kept)] {
        let mut row = vec![name.to_owned()];
        row.extend(names.iter().map(|metric| {
            let value = record[name]["metrics"][metric].as_f64();
            value.map(|value| format!("{value:.4}")).unwrap_or_default()
        }));
        row.extend(units.iter().cloned());
        table.row(row);
    }
    let baseline = record["full"]["baseline"].as_f64().unwrap_or(f64::NAN);
    let words = record["baselines"]["bag_of_words"]["metrics"][text("metric")].as_f64();
    let words = words.map(|score| format!("; bag of words: {score:.4}")).unwrap_or_default();
    format!(
        "{}majority class: {} {baseline:.4}{words}\nrecord: {}\n",
        table.text(width),
        text("metric"),
        path.display()
    )
}

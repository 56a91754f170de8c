//! `lottery status`: how the sweeps and records of a store stand.

use super::{args, run::print, sweep::duration};
use crate::{
    error::{Error, Result},
    store::Store,
    sweep::{
        live::Live,
        state::Status,
        status::{Overview, SweepStatus, overview},
    },
};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use std::{collections::BTreeMap, io::IsTerminal, path::PathBuf, thread, time::Duration};

/// How often `--watch` looks.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// `lottery status`, as typed.
#[derive(Args, Debug)]
#[command(about = "How the sweeps and records of a store stand")]
pub struct StatusArgs {
    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Look again every two seconds, until nothing runs
    #[arg(long, conflicts_with = "json")]
    watch: bool,

    /// Every sweep, run and record as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &StatusArgs) -> Result<()> {
    let store = Store::at(&args::store_folder(arguments.store.as_deref()))?;
    loop {
        let overview = overview(&store)?;
        if arguments.json {
            let text = serde_json::to_string(&overview).map_err(|e| Error::internal(e.to_string()))?;
            return print(&format!("{text}\n"));
        }
        let clear = if arguments.watch && std::io::stdout().is_terminal() { "\x1b[2J\x1b[H" } else { "" };
        print(&format!("{clear}{}", shown(&overview)))?;
        if !arguments.watch || overview.sweeps.iter().all(|sweep| sweep.count(Status::Running) == 0) {
            return Ok(());
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn shown(overview: &Overview) -> String {
    let sweeps: String = overview.sweeps.iter().map(sweep).collect();
    format!("{sweeps}{}", records(overview))
}

fn sweep(sweep: &SweepStatus) -> String {
    let [done, failed, running, pending] =
        [Status::Done, Status::Failed, Status::Running, Status::Pending].map(|status| sweep.count(status));
    let mut text = format!(
        "sweep {}: {} runs, {done} done, {failed} failed, {running} running, {pending} pending\n",
        sweep.id,
        sweep.runs.len()
    );
    for run in sweep.of(Status::Running) {
        text += &format!("  running {}: {}\n", run.state.run, run.live.as_ref().map_or("begins".into(), at));
    }
    for run in sweep.of(Status::Failed) {
        let error = run.state.error.as_deref().unwrap_or("no reason is known");
        text += &format!("  failed  {}: {error}\n          log: {}\n", run.state.run, run.log.display());
    }
    text
}

/// `finetune 120/345, loss 0.41, 3900 tokens/s, ETA 1 min 3 s`
fn at(live: &Live) -> String {
    let steps = match (live.done, live.total) {
        (0, _) => String::new(),
        (done, 0) => format!(" {done}"),
        (done, total) => format!(" {done}/{total}"),
    };
    let detail = if live.detail.is_empty() { String::new() } else { format!(", {}", live.detail) };
    let eta = live.eta.map(|eta| format!(", ETA {}", duration(eta))).unwrap_or_default();
    format!("{}{steps}{detail}{eta}", live.stage)
}

/// Means over the records of each task × method × mode.
fn records(overview: &Overview) -> String {
    let mut groups: BTreeMap<[&str; 4], Vec<[f64; 3]>> = BTreeMap::new();
    for record in &overview.records {
        let summary = &record.summary;
        let group = [&summary.task, &summary.method, &summary.mode, &summary.metric].map(String::as_str);
        groups.entry(group).or_default().push(summary.scores());
    }
    if groups.is_empty() {
        return format!("no records in {}\n", overview.store.display());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["task", "method", "mode", "metric", "records", "full", "pruned", "retrained"]);
    for (group, scores) in &groups {
        let mean = |n: usize| scores.iter().map(|score| score[n]).sum::<f64>() / scores.len() as f64;
        let mut row: Vec<String> = group.iter().map(|name| (*name).to_owned()).collect();
        row.push(scores.len().to_string());
        row.extend([0, 1, 2].map(|n| format!("{:.4}", mean(n))));
        table.add_row(row);
    }
    table.column_iter_mut().skip(4).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    format!("{} records, means by task, method and mode\n{table}\n", overview.records.len())
}

//! `lottery gc`: frees disk space in a store.

use super::{
    options,
    output::{document, print, to_stderr},
    table::Sheet,
    terminal,
};
use crate::{
    error::Result,
    store::{Collector, Count, Store},
    sweep::gc::collect,
};
use clap::Args;
use indicatif::DecimalBytes;
use serde_json::json;
use std::path::PathBuf;

const ABOUT: &str = "\
Free disk space in a store.

Records, tickets and metrics are always kept, and so are the models of `lottery pretrain`. A finished stage stays \
finished: repeating the run computes nothing. Weights that another search needs later are restored by training, and \
must match the removed ones bit for bit.

--keep models removes what is no longer used: temporary files of killed processes, checkpoints of finished stages, the \
remains of stages that have no checkpoint, files that sweeps wrote for their processes, and locks of stages that are \
gone. --keep tickets also removes the weights of fine-tuned and retrained models, and the checkpoints of interrupted \
training runs, which then start over. --keep none also removes predictions, encoded texts, and the logs and events of \
finished runs.

Files in use are left alone. The command may be interrupted and repeated at any time.";

const EXAMPLES: &str = "\
Examples:
  Show what would be removed, without removing it:
    lottery gc --keep tickets --dry-run

  Remove all weights from another store:
    lottery gc --store /scratch/runs --keep tickets

  Keep a sweep's disk use down to what its running processes need:
    lottery sweep study.toml --keep tickets";

/// The flags of `lottery gc`.
#[derive(Args, Debug)]
#[command(about = "Free disk space in a store; records, tickets and metrics are kept", long_about = ABOUT, after_help = EXAMPLES)]
pub struct GcArgs {
    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// What to keep besides records, tickets and metrics: models, tickets or none [default: models]
    #[arg(long, value_name = "POLICY")]
    keep: Option<String>,

    /// Show what would be removed without removing it
    #[arg(long)]
    dry_run: bool,

    /// Print what was removed as one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &GcArgs) -> Result<()> {
    let keep = options::keep(arguments.keep.as_deref())?;
    let store = Store::at(&options::store_folder(arguments.store.as_deref(), options::variable))?;
    let gc = collect(&store, keep, !arguments.dry_run)?;
    if arguments.json {
        let report = json!({
            "format_version": 1,
            "store": store.dir(),
            "keep": keep,
            "dry_run": arguments.dry_run,
            "removed": gc.removed,
            "total": gc.total(),
            "held": gc.in_use,
            "damaged": gc.damaged,
        });
        return print(&document(&report)?);
    }
    print(&table(&gc, if arguments.dry_run { "would be removed" } else { "removed" }))?;
    if !gc.in_use.is_empty() {
        to_stderr(&format!("in use, not removed: {}", gc.in_use.join(", ")));
    }
    gc.damaged.iter().for_each(|what| to_stderr(&format!("warning: not removed: {what}")));
    Ok(())
}

fn table(gc: &Collector, removed: &str) -> String {
    let mut table = Sheet::of_numbers([removed, "files", "size"]);
    let kinds = gc.removed.iter().map(|(kind, count)| (kind.label(), *count));
    for (label, Count { files, bytes }) in kinds.chain([("total", gc.total())]) {
        table.row([label.to_owned(), files.to_string(), DecimalBytes(bytes).to_string()]);
    }
    table.text(terminal::width())
}

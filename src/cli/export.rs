//! `lottery export`: a ticket as a model that other programs load, or as one file.

use super::{
    console::{Console, report_share},
    options::{numbers, store_folder, variable},
    output::{document, print, show},
    signals,
    table::Sheet,
    terminal,
};
use crate::{
    cores,
    engine::{Device, Machine},
    error::{Error, Result},
    eval::{Development, RecordFile, Source, Trained},
    experiment::{data_folder, ticket_file::About, words::Texts, workload},
    export::{
        self, Examples, Form, Grid, Model, Report, TicketReport, card_rows, check_out, measured_on,
        write_model, write_ticket,
    },
    hub::HubSettings,
    ops::Format,
    store::Store,
    task::{Labels, TaskId},
    train::Progress,
};
use clap::{ArgGroup, Args};
use std::path::PathBuf;

const ABOUT: &str = "\
Writes a ticket as a model that other programs load, or as one file that another machine takes up.

SOURCE is a record, a finished stage (its id or its folder), or a ticket file. A record stands for its retrained model; the \
pruned one is its stage evaluate-…, the full one its stage finetune-….

--masked has the full size, with zeros where units are pruned: any program loads it, and it is not faster. --physical has \
the kept units alone, and a loader of a few lines for transformers. --ticket is one safetensors file with the mask and where \
it comes from, which `lottery run --ticket FILE` takes up.

What was written is read again and compared with its source: the logits of the task's development examples, else of drawn \
words, must be equal to 1e-5. Only then does the folder get its name. Parameters, arithmetic, file size and measured latency \
are printed, with those of the full model, and stand in the folder's model card (README.md).";

const EXAMPLES: &str = "\
Examples:
  The retrained ticket of a run as a small model, with its speed:
    lottery export runs/results/rte/heads+ffns/good/seed-1337.json --physical --out rte-ticket

  The pruned model, not retrained, for any program:
    lottery export evaluate-41eebff320de --masked --out rte-pruned

  The ticket alone, and on another machine:
    lottery export search-2868b2c32db7 --ticket --out ticket.safetensors
    lottery run --ticket ticket.safetensors --mode random";

/// The flags of `lottery export`.
#[derive(Args, Clone, Debug)]
#[command(about = "Write a ticket as a model for other programs (masked or physical), or as one file")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
#[command(group(ArgGroup::new("form").required(true).args(["masked", "physical", "ticket"])))]
pub struct ExportArgs {
    /// A record, a stage's id or folder, or a ticket file
    #[arg(value_name = "SOURCE")]
    source: String,

    /// The folder to write; with --ticket, the file
    #[arg(long, value_name = "PATH")]
    out: PathBuf,

    /// Full size, with zeros where units are pruned
    #[arg(long, help_heading = "What to write")]
    masked: bool,

    /// The kept units alone: smaller and faster
    #[arg(long, help_heading = "What to write")]
    physical: bool,

    /// The mask with its base model and provenance, in one safetensors file
    #[arg(long, help_heading = "What to write")]
    ticket: bool,

    /// With a ticket file: the model that its mask is applied to (a folder, a stage, or a name on the hub)
    #[arg(long, value_name = "MODEL", conflicts_with = "ticket", help_heading = "What to write")]
    model: Option<String>,

    /// The folder of the task's data, for the comparison [default: the record's, else LOTTERY_DATA]
    #[arg(long, value_name = "DIR", help_heading = "Check and measure")]
    data: Option<String>,

    /// Batch sizes x lengths whose latency is measured, or off
    #[arg(long, value_name = "GRID", default_value = "1,32x128", help_heading = "Check and measure")]
    latency: String,

    /// Where to measure: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", help_heading = "Check and measure")]
    device: Device,

    /// The format of the matrix products that are timed
    #[arg(long, value_name = "TYPE", default_value = "f32", help_heading = "Check and measure")]
    dtype: Format,

    /// CPU threads [default: one per core, less those that other runs use]
    #[arg(long, value_name = "N", value_parser = numbers(1..=1024), help_heading = "Check and measure")]
    threads: Option<u64>,

    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    store: Option<PathBuf>,

    /// Print what was written and measured as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,

    /// Print no progress and no notes, only errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

pub fn run(arguments: &ExportArgs) -> Result<()> {
    let stop = signals::stop_flag()?;
    let mut console = Console::new(arguments.quiet, stop);
    check_out(&arguments.out, !arguments.ticket)?;
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let source = Source::find(&arguments.source, &store, &mut console)?;
    if arguments.ticket {
        let report = write_ticket(&source, &arguments.out)?;
        return shown(arguments, &report, &ticket_text(&report));
    }
    let grid = match arguments.latency.as_str() {
        "off" => None,
        grid => Some(grid.parse::<Grid>().map_err(|e| Error::usage(format!("--latency {grid}: {e}")))?),
    };
    let threads = arguments.threads.map(|n| n as usize);
    let share = cores::begin(threads, None)?;
    report_share(threads, share, &mut console);
    let (about, with) = (export::about(&source)?, arguments.model.as_deref());
    let with = with.map(|model| Source::find(model, &store, &mut console)).transpose()?;
    let task = about.as_ref().and_then(export::task).map(TaskId::spec);
    let mut trained = source.trained(with.as_ref(), task.map(workload::head), &mut console)?;
    if let (true, Some(Labels::Classes(names))) = (trained.fresh, task.map(|task| task.labels)) {
        trained.labels = names.iter().map(|name| (*name).to_owned()).collect();
    }
    let model = Model {
        form: if arguments.masked { Form::Masked } else { Form::Physical },
        trained: &trained,
        source: described(&source, &arguments.source),
        examples: &examples(&trained, about.as_ref(), arguments.data.as_deref(), &mut console)?,
        about,
        grid: grid.as_ref(),
        machine: &Machine::open(arguments.device, arguments.dtype, &mut |why| console.note(why))?,
    };
    let report = write_model(&model, &arguments.out, &mut console)?;
    report.notes.iter().for_each(|note| console.warn(note));
    shown(arguments, &report, &model_text(&report))
}

/// What is exported, for the model card.
fn described(source: &Source, typed: &str) -> String {
    match source {
        Source::Model(folder) => format!("the model {}", folder.name),
        Source::Stage(done, _) => format!("stage {}", done.id()),
        Source::Record(RecordFile { record, .. }) => {
            format!(
                "stage {}, a record's retrained model",
                record["stages"]["retrain"].as_str().unwrap_or("?")
            )
        }
        Source::Ticket(file) => format!("ticket {} ({typed})", &file.hash[..12]),
    }
}

/// The task's development examples where they are at hand, else drawn words.
fn examples(
    trained: &Trained,
    about: Option<&About>,
    data: Option<&str>,
    progress: &mut dyn Progress,
) -> Result<Examples> {
    let Some((about, task)) = about.and_then(|about| Some((about, export::task(about)?))) else {
        return Examples::generated(trained);
    };
    let recorded = || about.config["data"]["dir"].as_str().map(str::to_owned);
    let usual = || variable("LOTTERY_DATA");
    let named = data.map(str::to_owned).or_else(recorded).or_else(usual);
    let text = |key: &str| about.config["data"][key].as_str().map(str::to_owned);
    let texts = Texts::named(task, text("text"), text("dev_text"));
    // Nothing is fetched for a check.
    let read = data_folder(task, named.as_deref(), &HubSettings::cache_only())
        .and_then(|found| Development::load(task.spec(), &found.dir, texts.as_ref()));
    match read {
        Ok(dev) => {
            Examples::of_task(task.spec().name, dev, trained, trained.bert.config.longest_sequence().min(128))
        }
        // Named data must be there.
        Err(error) if data.is_some() => Err(error),
        Err(_) => {
            progress.note("the task's data is not at hand (--data): drawn words are compared");
            Examples::generated(trained)
        }
    }
}

fn shown(arguments: &ExportArgs, report: &impl serde::Serialize, text: &str) -> Result<()> {
    if arguments.json {
        return print(&document(report)?);
    }
    show(text)
}

fn ticket_text(report: &TicketReport) -> String {
    format!(
        "ticket: {} kept, of {}, {} bytes\n{}\n",
        report.kept,
        report.about.base.title(),
        report.bytes,
        report.path
    )
}

fn model_text(report: &Report) -> String {
    let mut table = Sheet::of_numbers(["", "full model", "this export", "ratio"]);
    card_rows(report).into_iter().for_each(|row| table.row(row));
    let latency = if report.latency.is_empty() { String::new() } else { measured_on(report) + "\n" };
    let [heads, ffns] = [report.units.heads, report.units.ffns];
    format!(
        "{}{} of {} heads and {} of {} FFNs kept\n{latency}{}\n",
        table.text(terminal::width()),
        heads[0],
        heads[1],
        ffns[0],
        ffns[1],
        report.path
    )
}

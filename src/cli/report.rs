//! `lottery report`: tables, statistics and figures of a store's records.

use super::{
    choice::one_of,
    options::{real, store_folder, variable},
    output::{counted, document, print, show, to_stderr},
    status::warn_of,
    table::{Column, Sheet},
    terminal,
};
use crate::{
    choice::{Choice, choices},
    error::{Error, Result, excerpt, message, none_of},
    report::{
        Options, Paper, Report, Runs,
        figure::{figures, pdf, png},
        lm_eval, mlflow, page,
        table::{self, Table},
    },
    store::{Store, atomic_write},
    task::TaskId,
};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
};

choices! {
    /// How tables are written.
    pub enum Format ("format") {
        /// tables that fit the terminal
        Terminal = "terminal",
        /// GitHub's tables
        Markdown = "markdown",
        /// floats with booktabs
        Latex = "latex",
        /// one table, every column, unrounded
        Csv = "csv",
        /// all tables, every column, unrounded
        Json = "json",
        /// one table with types, for pandas and others
        Parquet = "parquet",
    }
}

const ABOUT: &str = "\
What the records of a store say together: means and standard deviations over seeds, differences between good, bad and random \
subnetworks with their statistics, agreement of tickets over seeds, and which sparsities match the full model.

Runs are averaged only where settings, model and data are equal by content; where groups differ, the table says in what. \
Damaged records are named on stderr, left out and counted.";

const EXAMPLES: &str = "\
Examples:
  Tables in the terminal, with tests by example from the stored predictions:
    lottery report runs --stages
  For a paper, and for pandas:
    lottery report runs --format latex --out tables.tex
    lottery report runs --long --format parquet --out runs.parquet
  Figures, and one page with everything:
    lottery report runs --stages --figures figures --html report.html
  Beside the published numbers:
    lottery report runs --task mrpc --published prasanna2020";

/// Pixels of an image for each px of its figure: 200 dots per inch.
const PIXELS: f32 = 2.0;

/// The flags of `lottery report`.
#[derive(Args, Debug)]
#[command(about = "Tables, statistics and figures of a store's records")]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub struct ReportArgs {
    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(value_name = "STORE")]
    store: Option<PathBuf>,

    /// Only these tasks
    #[arg(long, value_name = "TASKS", value_delimiter = ',', value_parser = one_of::<TaskId>())]
    task: Vec<String>,

    /// How tables are written
    #[arg(long, value_name = "FORMAT", default_value = "terminal", value_parser = one_of::<Format>())]
    format: String,

    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Write to this file in the place of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// A row for each run, with all metrics
    #[arg(long, conflicts_with = "table")]
    long: bool,

    /// Only this table: results, comparisons, agreement, matching, highest, transfer, sensitivity, task_share or published
    #[arg(long, value_name = "NAME")]
    table: Option<String>,

    /// Also read the stages: tests by example from predictions, rank correlations from tickets
    #[arg(long)]
    stages: bool,

    /// Means that differ by less than this count as equivalent, in the equivalence tests
    #[arg(long, value_name = "DIFFERENCE", default_value = "0.01", value_parser = real)]
    margin: f64,

    /// Put a paper's numbers beside ours
    #[arg(long, value_name = "PAPER", value_parser = one_of::<Paper>())]
    published: Option<String>,

    /// Draw figures into this folder, each as SVG, PNG and PDF, with a list of their captions
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,

    /// Write one page with all tables and figures, which needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write results in the layout of lm-evaluation-harness into a folder of each run; with --stages also samples
    #[arg(long, value_name = "DIR")]
    lm_eval: Option<PathBuf>,

    /// Write a run of MLflow for each record into this folder, which MLflow calls mlruns
    #[arg(long, value_name = "DIR")]
    mlflow: Option<PathBuf>,

    /// Fail where a record is damaged (exit code 3)
    #[arg(long)]
    strict: bool,
}

pub fn run(arguments: &ReportArgs) -> Result<()> {
    let store = Store::at(&store_folder(arguments.store.as_deref(), variable))?;
    let tasks = arguments.task.iter().map(|task| task.parse()).collect::<Result<Vec<TaskId>>>()?;
    if !(arguments.margin > 0.0 && arguments.margin.is_finite()) {
        return Err(Error::usage("--margin: expected a difference of scores above 0, such as 0.01"));
    }
    let format = if arguments.json { Format::Json } else { Format::read(&arguments.format)? };
    let paper = arguments.published.as_deref().map(Paper::read).transpose()?;
    let runs = Runs::read(&store, &tasks)?;
    warn_of(&runs.ignored);
    let options = Options { margin: arguments.margin, stages: arguments.stages, paper };
    let report = Report::new(&runs, options)?;
    for text in &report.left_out {
        to_stderr(&format!("warning: {}", message(text)));
    }
    if arguments.figures.is_some() || arguments.html.is_some() {
        arguments.draw(&report, store.dir())?;
    }
    if let Some(dir) = &arguments.lm_eval {
        lm_eval(report.runs, dir, arguments.stages)?;
        to_stderr(&format!("written: {} in {}", counted(report.runs.len(), "run"), dir.display()));
    }
    if let Some(dir) = &arguments.mlflow {
        mlflow(report.runs, dir)?;
        to_stderr(&format!("written: {} in {}", counted(report.runs.len(), "run"), dir.display()));
    }
    // Whoever asks for files alone gets no tables beside them.
    let files = [&arguments.figures, &arguments.html, &arguments.lm_eval, &arguments.mlflow];
    if arguments.out.is_some() || files.iter().all(|file| file.is_none()) {
        arguments.write(&report, format)?;
    }
    if arguments.strict && !runs.ignored.is_empty() {
        return Err(Error::data(format!(
            "{} files among the records were left out, and --strict was given. Remove or mend them, or leave --strict away.",
            runs.ignored.len()
        )));
    }
    Ok(())
}

impl ReportArgs {
    /// Figures and the page.
    fn draw(&self, report: &Report, store: &Path) -> Result<()> {
        let figures = figures(report, self.stages)?;
        if let Some(dir) = &self.figures {
            let mut captions = String::new();
            for figure in &figures {
                atomic_write(&dir.join(format!("{}.svg", figure.name)), figure.svg.as_bytes())?;
                atomic_write(&dir.join(format!("{}.png", figure.name)), &png(&figure.svg, PIXELS)?)?;
                atomic_write(&dir.join(format!("{}.pdf", figure.name)), &pdf(&figure.svg)?)?;
                captions += &format!(
                    "## {}\n\n![{}]({}.svg)\n\n{}\n\n",
                    figure.title, figure.title, figure.name, figure.caption
                );
            }
            atomic_write(&dir.join("figures.md"), captions.as_bytes())?;
            to_stderr(&format!("written: {} figures in {}", figures.len(), dir.display()));
        }
        if let Some(path) = &self.html {
            atomic_write(path, page(report, &figures, &store.display().to_string()).as_bytes())?;
            to_stderr(&format!("written: {}", path.display()));
        }
        Ok(())
    }

    fn write(&self, report: &Report, format: Format) -> Result<()> {
        let tables = self.tables(report, format)?;
        let bytes = match format {
            Format::Terminal if self.out.is_none() => return show(&text(report, &tables, terminal::width())),
            Format::Terminal => text(report, &tables, None).into_bytes(),
            Format::Markdown => joined(&tables, table::markdown).into_bytes(),
            Format::Latex => joined(&tables, table::latex).into_bytes(),
            Format::Csv => table::csv(&tables[0])?,
            Format::Parquet => table::parquet(&tables[0])?,
            Format::Json => document(&json(report, &tables))?.into_bytes(),
        };
        match &self.out {
            Some(path) => {
                atomic_write(path, &bytes)?;
                to_stderr(&format!("written: {}", path.display()));
                Ok(())
            }
            None if format == Format::Parquet => binary(&bytes),
            None => print(&String::from_utf8_lossy(&bytes)),
        }
    }

    /// The tables that were asked for: of several formats the first is all that is written.
    fn tables(&self, report: &Report, format: Format) -> Result<Vec<Table>> {
        let mut tables = report.tables(self.long);
        let wanted = self.table.as_deref();
        // Hundreds of rows: for programs, and for who asks for them.
        if !self.long && (format == Format::Json || wanted.is_some()) {
            tables.extend(report.units());
        }
        let Some(wanted) = wanted else { return Ok(tables) };
        let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
        if !names.contains(&wanted) {
            let known = [
                "results",
                "comparisons",
                "agreement",
                "matching",
                "highest",
                "transfer",
                "sensitivity",
                "task_share",
                "published",
            ];
            return match known.contains(&wanted) {
                true => Err(Error::usage(format!(
                    "the report has no rows for the table {wanted} (format {format}). It has {}.",
                    names.join(", ")
                ))),
                false => Err(none_of(wanted, &known)),
            };
        }
        tables.retain(|table| table.name == wanted);
        Ok(tables)
    }
}

fn joined(tables: &[Table], of: impl Fn(&Table) -> String) -> String {
    tables.iter().map(of).collect::<Vec<_>>().join("\n")
}

/// Bytes that are no text: to a file or a pipe.
fn binary(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        return Err(Error::usage("a Parquet file is no text. Give --out FILE, or send stdout to a file."));
    }
    out.write_all(bytes).map_err(|e| Error::data(format!("cannot write to stdout: {e}. Give --out FILE.")))
}

/// Tables with their captions and notes, within so many columns.
pub fn texts(tables: &[Table], width: Option<usize>) -> String {
    let mut text = String::new();
    for table in tables {
        let (columns, rows) = table.shown();
        let kind = |column: &table::Column| match Table::is_number(column) {
            _ if column.extra => Column::Extra,
            true => Column::Number,
            false => Column::Text,
        };
        let mut sheet = Sheet::new(columns.iter().map(|column| (column.title, kind(column))));
        for row in rows {
            sheet.row(row.iter().map(|cell| excerpt(cell).into_owned()));
        }
        text += &terminal::wrapped(&table.caption, "", width.or(Some(120)));
        text += &sheet.text(width);
        for note in &table.notes {
            text += &terminal::wrapped(note, "  ", width.or(Some(120)));
        }
        text += "\n";
    }
    text
}

/// For people: every table with its caption and notes, then the warnings.
fn text(report: &Report, tables: &[Table], width: Option<usize>) -> String {
    let records = report.runs.len();
    if records == 0 {
        return "no records\n".to_owned();
    }
    let mut text = texts(tables, width);
    for warning in &report.warnings {
        text +=
            &format!("warning: {}: {} of {} records\n", message(&warning.text), warning.records, warning.of);
    }
    let ignored = report.ignored.len();
    text + &format!(
        "{}{}\n",
        counted(records, "record"),
        if ignored > 0 { format!(", {} left out", counted(ignored, "file")) } else { String::new() }
    )
}

fn json(report: &Report, tables: &[Table]) -> Value {
    let all: Map<String, Value> =
        tables.iter().map(|table| (table.name.to_owned(), table::json(table))).collect();
    let warnings =
        report.warnings.iter().map(|warning| json!({ "warning": warning.text, "records": warning.records }));
    json!({
        "format_version": 1,
        "records": report.runs.len(),
        "ignored": report.ignored,
        "left_out": report.left_out,
        "warnings": warnings.collect::<Vec<_>>(),
        "tables": all,
    })
}

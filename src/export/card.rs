//! The model card: what the model is, how it scores, what it costs, and how to load it.

use super::{Cost, Form, Report, Units, auto_class};
use crate::{
    error::excerpt,
    experiment::ticket_file::About,
    model::{Bert, Ffn, Head},
};
use serde_json::Value;
use std::fmt::Write;

/// The text of README.md.
pub fn text(report: &Report, bert: &Bert) -> String {
    let mut text = String::new();
    // Nothing fails to be written into a text.
    let _ = write_card(&mut text, report, bert);
    text
}

fn write_card(out: &mut String, report: &Report, bert: &Bert) -> std::fmt::Result {
    let about = report.about.as_ref();
    let base = about.and_then(|about| about.base.name.as_deref()).map(plain);
    let pipeline = match bert.head {
        Head::Classifier { .. } => "text-classification",
        Head::MaskedLm => "fill-mask",
        Head::Spans => "question-answering",
    };
    writeln!(out, "---\nlibrary_name: transformers\npipeline_tag: {pipeline}")?;
    // A folder's name is no model on the hub.
    if let Some(base) = base.as_deref().filter(|base| base.contains('/')) {
        let name = base.split('@').next().unwrap_or(base);
        writeln!(out, "base_model: {}", Value::from(name))?;
    }
    writeln!(out, "tags:\n- lottery-ticket\n- pruning\n---\n")?;
    let task = about.map_or("no task", |about| about.task.as_str());
    let form = match report.form {
        Form::Masked => "full size, zeros in the place of pruned units",
        Form::Physical => "the kept units alone",
    };
    writeln!(out, "# A lottery ticket ({}, {form})\n", plain(task))?;
    let Units { heads, ffns, neurons } = &report.units;
    writeln!(out, "| | |\n|---|---|")?;
    writeln!(out, "| exported from | {} |", plain(&report.source))?;
    if let Some(about) = about {
        let revision = about.base.revision.as_deref().map(|r| format!(", revision {}", plain(r)));
        let hash = plain(&about.base.sha256).into_owned();
        let title = base.unwrap_or("unknown".into());
        writeln!(out, "| pre-trained model | {title}{}, SHA-256 `{hash}` |", revision.unwrap_or_default())?;
        writeln!(out, "| task | {}, by {} |", plain(&about.task), plain(&about.metric))?;
        let mode = about.mode.as_deref().map_or("unknown".into(), plain);
        let seed = about.seed.map_or_else(|| "unknown".to_owned(), |seed| seed.to_string());
        writeln!(out, "| subnetwork, seed | {mode}, {seed} |")?;
    }
    if !report.labels.is_empty() {
        writeln!(
            out,
            "| labels | {} |",
            report.labels.iter().map(|l| plain(l)).collect::<Vec<_>>().join(", ")
        )?;
    }
    writeln!(
        out,
        "| units | {} of {} heads, {} of {} FFNs, {} of {} FFN neurons |",
        heads[0], heads[1], ffns[0], ffns[1], neurons[0], neurons[1]
    )?;
    report.notes.iter().try_for_each(|note| writeln!(out, "| note | {note} |"))?;
    if let Some(about) = about {
        write_scores(out, about)?;
    }
    write_loading(out, report.form, auto_class(bert.head))?;
    write_costs(out, report)?;
    writeln!(out, "\n## Units\n\n| layer | heads | FFN |\n|---|---|---|")?;
    for (l, layer) in bert.shape.iter().enumerate() {
        let heads: Vec<String> = layer.heads.iter().map(usize::to_string).collect();
        let heads = if heads.is_empty() { "none".to_owned() } else { heads.join(" ") };
        let ffn = match &layer.ffn {
            Ffn::Whole => "whole".to_owned(),
            Ffn::Absent => "none".to_owned(),
            Ffn::Neurons(kept) => format!("{} neurons", kept.len()),
        };
        writeln!(out, "| {l} | {heads} | {ffn} |")?;
    }
    writeln!(
        out,
        "\nWritten by lottery {}. It was read again and compared with its source on {}: the largest difference of a logit \
         is {:.1e}.",
        env!("CARGO_PKG_VERSION"),
        report.checked.on,
        report.checked.largest_difference
    )
}

fn write_scores(out: &mut String, about: &About) -> std::fmt::Result {
    let models = ["full", "pruned", "retrained"];
    let known: Vec<(&str, &serde_json::Map<String, Value>)> =
        models.iter().filter_map(|model| Some((*model, about.scores[model].as_object()?))).collect();
    let Some((_, first)) = known.first() else { return Ok(()) };
    let names: Vec<&String> = first.keys().collect();
    let head: Vec<_> = names.iter().map(|name| plain(name)).collect();
    writeln!(out, "\n## Scores on the development set\n\n| model | {} |", head.join(" | "))?;
    writeln!(out, "|---|{}", "---|".repeat(names.len()))?;
    for (model, scores) in &known {
        let score = |name: &&String| scores.get(*name).and_then(Value::as_f64);
        let row = names.iter().map(|name| score(name).map_or_else(String::new, |v| format!("{v:.4}")));
        writeln!(out, "| {model} | {} |", row.collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

fn write_loading(out: &mut String, form: Form, class: &str) -> std::fmt::Result {
    let (trust, why) = match form {
        Form::Masked => ("", "Any program that loads this kind of model loads it."),
        Form::Physical => (
            ", trust_remote_code=True",
            "`modeling_ticket.py` in this folder gives the layers their sizes; without it transformers builds a model of the \
             full size, into which these tensors do not fit.",
        ),
    };
    writeln!(
        out,
        "\n## Loading\n\n```python\nfrom transformers import AutoTokenizer, {class}\n\n\
         model = {class}.from_pretrained(FOLDER{trust})\n\
         tokenizer = AutoTokenizer.from_pretrained(FOLDER)\n```\n\n{why} `lottery eval FOLDER --task …` evaluates it."
    )
}

fn write_costs(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n## Cost\n\n| | full model | this export | ratio |\n|---|---|---|---|")?;
    for [what, full, export, ratio] in rows(report) {
        writeln!(out, "| {what} | {full} | {export} | {ratio} |")?;
    }
    if !report.latency.is_empty() {
        writeln!(out, "\nLatency: {}", measured_on(report))?;
    }
    Ok(())
}

/// How the latency was measured.
pub fn measured_on(report: &Report) -> String {
    let of = |key: &str| report.device[key].to_string().trim_matches('"').to_owned();
    let repetitions = report.latency.iter().map(|cell| cell.repetitions).min().unwrap_or(0);
    format!(
        "medians of at least {repetitions} forward passes of each model in turn, by lottery on {}, {} threads, {}.",
        plain(&of("name")),
        of("threads"),
        of("dtype")
    )
}

/// What is compared: its name, the full model's value, the export's, and their ratio.
pub fn rows(report: &Report) -> Vec<[String; 4]> {
    let [full, export] = ["full", "export"].map(|model| report.cost[model]);
    let row = |what: String, of: &dyn Fn(&Cost) -> f64, text: &dyn Fn(f64) -> String| {
        let (full, export) = (of(&full), of(&export));
        [what, text(full), text(export), format!("{:.3}", export / full)]
    };
    let count = |value: f64| grouped(value as u64);
    let mut rows = vec![
        row("parameters".into(), &|cost| cost.parameters as f64, &count),
        row("parameters that are not 0".into(), &|cost| cost.nonzero as f64, &count),
        row(format!("FLOPs per token, length {}", full.length), &|cost| cost.flops_per_token as f64, &count),
        row("weights' file, bytes".into(), &|cost| cost.bytes as f64, &count),
    ];
    rows.extend(report.latency.iter().map(|cell| {
        [
            format!("latency, batch {} × length {}", cell.batch, cell.length),
            format!("{:.2} ms", cell.full_ms),
            format!("{:.2} ms", cell.export_ms),
            format!("{:.3}", cell.ratio),
        ]
    }));
    rows
}

/// `12 345 678`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Text from a file within a line of a table.
fn plain(text: &str) -> std::borrow::Cow<'_, str> {
    let text = excerpt(text);
    if text.contains(['|', '`', '<', '[', '\n']) {
        text.replace(['|', '`', '<', '[', '\n'], " ").into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_texts_of_files_stay_in_their_cells() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!(plain("a|b\n`c`<d>[e]"), "a b\\n c  d> e]");
        assert_eq!(plain("owner/name"), "owner/name");
    }
}

//! Warnings that a reader of the record needs to interpret it.

use super::{Inputs, stages::Metrics, ticket::Ticket};
use crate::{config::Split, prune::Mask, task::MetricId};

/// Whether a score is within one standard error of the majority class's.
fn at_baseline(inputs: &Inputs, score: f64, baseline: f64) -> bool {
    let hidden = (0..inputs.dev.len()).map(|index| inputs.dev.hidden(index)).sum::<usize>();
    let n = if hidden > 0 { hidden } else { inputs.dev.examples() } as f64;
    let error = match inputs.task.metric {
        MetricId::Accuracy | MetricId::F1 | MetricId::ExactMatch => (baseline * (1.0 - baseline) / n).sqrt(),
        // The standard error of a correlation of independent variables.
        _ => 1.0 / n.sqrt(),
    };
    score <= baseline + error
}

/// The warnings of one run, most general first.
pub fn warnings(
    inputs: &Inputs,
    full: &Metrics,
    retrained: &Metrics,
    baseline: f64,
    ticket: Option<&Ticket>,
    mask: &Mask,
) -> Vec<String> {
    let mut out = inputs.warnings.clone();
    let name = inputs.task.metric.name();
    if ticket.is_some_and(|ticket| ticket.split == Some(Split::Dev) && ticket.task == inputs.task.name) {
        out.push("importance and report share the dev split".to_owned());
    }
    if at_baseline(inputs, full[name], baseline) {
        out.push(format!(
            "the full model is no better than the majority class: {name} {:.4} against {baseline:.4}; what survives pruning says nothing about the task",
            full[name]
        ));
    } else if at_baseline(inputs, retrained[name], baseline) {
        out.push(format!(
            "the retrained model is no better than the majority class: {name} {:.4} against {baseline:.4}",
            retrained[name]
        ));
    }
    if let Some(ticket) = ticket {
        if ticket.exhausted {
            out.push(
                "the search ran out of units to prune before the score fell below the threshold".to_owned(),
            );
        }
        out.extend(ticket.note.clone());
        let good = &ticket.mask;
        if (good.heads_kept(), good.ffns_kept()) != (mask.heads_kept(), mask.ffns_kept()) {
            out.push(format!(
                "this control is not of the good ticket's size: {} heads and {} FFNs against {} and {}",
                mask.heads_kept(),
                mask.ffns_kept(),
                good.heads_kept(),
                good.ffns_kept()
            ));
        }
    }
    out
}

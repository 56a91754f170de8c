//! Importances before anything is pruned.

use super::seeds;
use crate::{
    error::Result,
    report::{
        figure::{
            Figure, file_name,
            histogram::{self, Histogram},
        },
        group::{Group, Mean},
        tickets::first_importance,
    },
};

/// Importances of heads in the full model, of kept and of pruned ones.
pub fn importances(group: &Group) -> Result<Option<Figure>> {
    let mut of = Histogram { kept: Vec::new(), pruned: Vec::new(), cut: None };
    let (mut counted, mut cuts) = (0, Vec::new());
    for run in &group.runs {
        let Some(importance) = first_importance(run)? else { continue };
        let (values, kept) = (importance.heads.concat(), run.head_flags());
        if values.len() != kept.len() || values.iter().any(|value| value.is_nan()) {
            continue;
        }
        counted += 1;
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let pruned = kept.iter().filter(|kept| !**kept).count();
        if pruned > 0 && pruned < sorted.len() {
            cuts.push((sorted[pruned - 1] + sorted[pruned]) / 2.0);
        }
        for (value, kept) in values.into_iter().zip(kept) {
            if kept { of.kept.push(value) } else { of.pruned.push(value) }
        }
    }
    if counted == 0 || of.pruned.is_empty() {
        return Ok(None);
    }
    of.cut = Mean::of(&cuts).map(|mean| mean.mean);
    let title = format!("Importances: {}", group.name());
    Ok(Some(Figure {
        name: file_name(&format!("importance {} {}", group.name(), group.model)),
        caption: format!(
            "Importances of the heads of {} before anything is pruned ({} {}), of those that the ticket keeps and of those that it \
             prunes; heads of {} together. Dashed: where a single cut of the tickets' mean size would fall.",
            group.model,
            group.task,
            group.method,
            seeds(counted)
        ),
        svg: histogram::draw(&of, "importance of a head", "heads", &title),
        title,
    }))
}

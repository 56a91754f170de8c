//! The loss over the trainings of a family: the full models and the retrained subnetworks.

use super::seeds;
use crate::report::{
    figure::{
        Figure,
        canvas::INK,
        curves::{self, Axes, Curve},
        file_name, palette,
    },
    group::{Group, Mean},
    training::{losses, smooth},
};

/// Parts of a training that the loss is averaged over.
const PARTS: usize = 25;

/// Of the groups without a level; none where no events are left.
pub fn training(family: &[&Group]) -> Option<Figure> {
    let groups: Vec<&&Group> =
        family.iter().filter(|group| group.level.is_none() && group.mode != "full").collect();
    let first = groups.first()?;
    let mut full: Vec<(String, Vec<f64>)> = Vec::new();
    let (mut curves, mut most) = (Vec::new(), 0);
    for (nth, group) in groups.iter().enumerate() {
        let mut own = Vec::new();
        for run in &group.runs {
            let found = losses(run);
            let of = |node: &str| {
                let id = run.stage(node)?.to_string();
                Some((id.clone(), smooth(found.get(&id)?, PARTS)?))
            };
            own.extend(of("retrain").map(|(_, losses)| losses));
            full.extend(of("finetune"));
        }
        most = most.max(own.len());
        let (colour, dash) = palette::mode(group.mode, nth);
        curves.extend(curve(format!("{} retrained", group.mode), colour, dash, &own));
    }
    full.sort_by(|a, b| a.0.cmp(&b.0));
    full.dedup_by(|a, b| a.0 == b.0);
    let full: Vec<Vec<f64>> = full.into_iter().map(|(_, losses)| losses).collect();
    curves.extend(curve("full model".to_owned(), INK, "", &full));
    if curves.is_empty() {
        return None;
    }
    let name = first.family_title();
    let title = format!("Training: {name}");
    let axes = Axes { x: "share of the training's steps", y: "training loss", percent: true, markers: false };
    Some(Figure {
        name: file_name(&format!("training {name} {}", first.model)),
        caption: format!(
            "Training loss of {} on {} by the share of steps: means over {PARTS} equal parts and up to {}; bands: ± one standard \
             deviation over seeds.",
            first.model,
            first.task,
            seeds(most)
        ),
        svg: curves::draw(&curves, &[], &axes, &title),
        title,
    })
}

fn curve(name: String, colour: &'static str, dash: &'static str, runs: &[Vec<f64>]) -> Option<Curve> {
    let point = |part: usize| {
        let of = Mean::of(&runs.iter().map(|losses| losses[part]).collect::<Vec<_>>())?;
        Some(((part as f64 + 0.5) / PARTS as f64, of.mean, of.deviation.unwrap_or(0.0)))
    };
    (!runs.is_empty()).then(|| Curve { name, colour, dash, points: (0..PARTS).filter_map(point).collect() })
}

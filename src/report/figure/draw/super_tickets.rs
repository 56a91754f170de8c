//! What super tickets gain, and how much of it selection alone gives.

use crate::report::{
    figure::{
        Figure,
        bars::{self, Bar, Cluster},
        file_name, palette,
    },
    group::Mean,
    levels::Levels,
    super_ticket::Gain,
};

/// The gain of the best level, of winning and of random tickets, by the published rule and cross-fitted; tasks side by side.
pub fn super_tickets(all: &[Levels]) -> Vec<Figure> {
    let mut models: Vec<&str> = all.iter().map(|levels| levels.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    models.into_iter().filter_map(|model| figure(model, all)).collect()
}

fn figure(model: &str, all: &[Levels]) -> Option<Figure> {
    let own: Vec<&Levels> =
        all.iter().filter(|levels| levels.model == model && levels.levels.len() > 1).collect();
    let cluster = |levels: &&Levels| {
        let pair = |name: &str, mode: &str, gain: &Gain| {
            let n = levels.seeds.len();
            let colour = palette::mode(mode, 0).0;
            [
                Bar {
                    name: name.to_owned(),
                    colour,
                    light: true,
                    mean: Mean { n, mean: gain.published, deviation: None },
                },
                Bar {
                    name: String::new(),
                    colour,
                    light: false,
                    mean: Mean { n, mean: gain.cross_fitted, deviation: gain.standard_error },
                },
            ]
        };
        let found = &levels.super_ticket;
        let random = found.null.as_ref().map(|gain| pair("random", "random", gain));
        let bars = pair("winning", "good", &found.winning).into_iter().chain(random.into_iter().flatten());
        Cluster { name: [&*levels.task, &levels.metric].join(", "), bars: bars.collect(), lines: Vec::new() }
    };
    let clusters: Vec<Cluster> = own.iter().map(cluster).collect();
    let title = format!("Super tickets: gain of the best level, {model}");
    (!clusters.is_empty()).then(|| Figure {
        name: file_name(&format!("super tickets {model}")),
        caption: format!(
            "What the best of the levels of one-shot pruning gains over the full {model}, mean over seeds: chosen and reported on the \
             same examples (light, the published rule), and chosen on one half and reported on the other (dark, ± one standard error \
             over seeds). Random tickets of the same sizes: what choosing alone gains."
        ),
        svg: bars::draw(&clusters, ["same examples", "cross-fitted"], "gain over the full model", &title),
        title,
    })
}

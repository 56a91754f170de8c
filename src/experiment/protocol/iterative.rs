//! Iterative magnitude pruning with rewinding (Chen et al. 2020, algorithm 1): train, prune, rewind to the pre-trained
//! weights, and again under the mask. Each round's training is that of a ticket of its sparsity, so that deeper tickets
//! share all rounds of shallower ones.

use super::{
    comparison::{FINETUNE, Found, finetune},
    definition::{Protocol, without_ticket_file},
};
use crate::{
    config::ExperimentConfig,
    error::{Error, Result},
    experiment::{
        graph::Graph,
        name::numbered,
        stages::{Magnitude, Start, Subnetwork, Train, USUAL},
    },
    prune::{HeadRule, Mode, Rates, Sparsity},
};

pub struct Iterative;

impl Protocol for Iterative {
    fn find(&self, graph: &mut Graph, config: &ExperimentConfig) -> Result<Found> {
        without_ticket_file(config)?;
        if config.mode == Mode::Bad || config.mode.control(&config.control).of_seeds() {
            return Err(Error::usage(format!(
                "the method {} has no {} subnetwork. Take the mode good, random, inverse or full.",
                config.method, config.mode
            )));
        }
        finetune(graph, config);
        let rules = &config.prune;
        if config.mode == Mode::Full {
            return Ok(Found { trained: FINETUNE, tickets: Vec::new() });
        }
        let Sparsity { share, of } = config.prune.sparsity.unwrap_or(USUAL);
        let good = ExperimentConfig { mode: Mode::Good, ..config.clone() };
        let (mut trained, mut ticket) = (FINETUNE, None);
        let shares = rules.rounds(share);
        let all = rules.all_rounds(shares.len()) as u64;
        for (round, share) in shares.into_iter().enumerate() {
            // The first round is the fine-tuning, unless its schedule is a part of a longer one.
            if ticket.is_some() || rules.rates == Rates::Whole {
                let tickets: Vec<_> = ticket.into_iter().collect();
                let mut round_of = Train::new(config);
                if !tickets.is_empty() {
                    round_of = round_of.of(Subnetwork::of_run(&good, tickets));
                    if rules.head != HeadRule::Rewound {
                        round_of = round_of.from(Start::Head(trained));
                    }
                }
                if rules.rates == Rates::Whole {
                    round_of = round_of.part(round as u64, all);
                }
                trained = numbered("round", round as u64);
                graph.add(trained, None, round_of);
            }
            let node = numbered("prune", round as u64 + 1);
            graph.add(node, None, Magnitude::of(config, trained).round(Sparsity { share, of }, ticket));
            ticket = Some(node);
        }
        Ok(Found { trained, tickets: ticket.into_iter().collect() })
    }
}

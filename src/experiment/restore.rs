//! Weights that were removed to save room, and that another stage loads.

use super::{graph::Node, stage::Given};
use crate::{
    cores,
    error::{Error, Result},
    store::{Availability, Done, Pinned, Restore, Store, WEIGHTS},
    train::{Event, Progress},
};

/// Sees to it that the weights of the stage of `node`, which is done, are there, and stay while the returned pin lives.
pub(super) fn weights_for(
    node: &Node,
    given: &Given,
    store: &Store,
    progress: &mut dyn Progress,
) -> Result<Pinned> {
    let id = given.outcome(node.name)?.id();
    let mut announced = false;
    loop {
        let wanted = store.pin_or_restore(id, WEIGHTS, &mut |id| {
            if progress.stop_wanted() {
                return Err(Error::stopped(&format!("while another process computes the weights of {id}")));
            }
            cores::release();
            if !announced {
                progress.note(&format!("{id}: another process computes its weights; waiting"));
                progress.event(&Event::StageWaits { stage: id.as_str() });
            }
            announced = true;
            Ok(())
        })?;
        match wanted {
            Availability::Pinned(pinned) => return Ok(pinned),
            Availability::Removed(_) if progress.stop_wanted() => {
                return Err(Error::stopped(&format!("before the weights of {id}")));
            }
            Availability::Removed(restore) => retrain(node, given, restore, progress)?,
        }
    }
}

/// Scores and tickets in the store belong to the bits that were removed: other bits are refused.
fn retrain(node: &Node, given: &Given, restore: Restore, progress: &mut dyn Progress) -> Result<()> {
    let (done, own) = (restore.done().clone(), given.inputs.machine.program());
    let id = done.id();
    let by: Vec<&str> =
        done.info()["computed_by"].as_array().into_iter().flatten().filter_map(|by| by.as_str()).collect();
    let kernels = |program: &str| program.rsplit(' ').next().map(str::to_owned);
    if restore.is_known_to_differ(&own) || by.iter().any(|program| kernels(program) != kernels(&own)) {
        return Err(other_bits(&done, &by, &own));
    }
    progress.note(&format!("{id}: its weights were removed to save room; training them again"));
    progress.event(&Event::StageBegins { stage: id.as_str() });
    let given = Given { id, ..*given };
    let (bert, summary) = node.stage.retrain(&given, restore.checkpoint_dir(), progress)?;
    if !restore.finish(&bert.to_safetensors()?, &own)? {
        return Err(other_bits(&done, &by, &own));
    }
    progress.end(&format!(
        "{id}: weights restored, bit for bit, after {} steps in {:.1} s",
        summary.steps, summary.seconds
    ));
    let (stage, seconds) = (id.as_str(), summary.seconds);
    progress.event(&Event::StageEnds { stage, seconds, metrics: None });
    Ok(())
}

fn other_bits(done: &Done, by: &[&str], own: &str) -> Error {
    Error::data(format!(
        "the weights of {} were removed to save room, and this machine computes others: they were computed by lottery \
         {}, and this is {own}. The scores and tickets in the store belong to the removed weights, so nothing is mixed \
         with them. Run the command on a machine of that kind (LOTTERY_KERNELS chooses lesser kernels), or name another \
         store with --store; to begin anew in this one, delete {} and the stages whose stage.json names it.",
        done.id(),
        by.join(" and "),
        done.dir().display()
    ))
}

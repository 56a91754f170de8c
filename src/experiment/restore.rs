//! Restores weights that were removed to save space and that another stage loads.

use super::{graph::Node, stage::Given};
use crate::{
    cores,
    error::{Error, Result},
    store::{Availability, Done, Pinned, Restore, Store, WEIGHTS},
    train::{Event, Progress},
};

/// Pins the weights of `node`, whose stage is done, after restoring them if they were removed.
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
                return Err(Error::stopped(&format!("while another process restores the weights of {id}")));
            }
            cores::release();
            if !announced {
                progress.note(&format!("{id}: waiting for another process that is restoring its weights"));
                progress.event(&Event::StageWaits { stage: id.as_str() });
            }
            announced = true;
            Ok(())
        })?;
        match wanted {
            Availability::Pinned(pinned) => return Ok(pinned),
            Availability::Removed(_) if progress.stop_wanted() => {
                return Err(Error::stopped(&format!("before the weights of {id} were restored")));
            }
            Availability::Removed(restore) => retrain(node, given, restore, progress)?,
        }
    }
}

/// Trains the weights again. The store's scores and tickets belong to the removed bits, so any others are refused.
fn retrain(node: &Node, given: &Given, restore: Restore, progress: &mut dyn Progress) -> Result<()> {
    let (done, own) = (restore.done().clone(), given.inputs.machine.program());
    let id = done.id();
    let by: Vec<&str> =
        done.info()["computed_by"].as_array().into_iter().flatten().filter_map(|by| by.as_str()).collect();
    let kernels = |program: &str| program.rsplit(' ').next().map(str::to_owned);
    if restore.is_known_to_differ(&own) || by.iter().any(|program| kernels(program) != kernels(&own)) {
        return Err(not_restorable(&done, &by, &own));
    }
    progress.note(&format!("{id}: its weights were removed to save space; restoring them by training"));
    progress.event(&Event::StageBegins { stage: id.as_str() });
    let given = Given { id, ..*given };
    let (bert, summary) = node.stage.retrain(&given, restore.checkpoint_dir(), progress)?;
    if !restore.finish(&bert.to_safetensors()?, &own)? {
        return Err(not_restorable(&done, &by, &own));
    }
    progress.end(&format!(
        "{id}: weights restored bit for bit, {} steps in {:.1} s",
        summary.steps, summary.seconds
    ));
    let (stage, seconds) = (id.as_str(), summary.seconds);
    progress.event(&Event::StageEnds { stage, seconds, metrics: None });
    Ok(())
}

fn not_restorable(done: &Done, by: &[&str], own: &str) -> Error {
    Error::data(format!(
        "the weights of {} were removed to save space, and this machine cannot restore them bit for bit: they were computed \
         by lottery {}, this is {own}. The store's scores and tickets belong to the removed weights, so others are not \
         used with them. Run the command on such a machine (LOTTERY_KERNELS selects kernels), or name another store with \
         --store; to start over in this one, delete {} and the stages whose stage.json names it.",
        done.id(),
        by.join(" and "),
        done.dir().display()
    ))
}

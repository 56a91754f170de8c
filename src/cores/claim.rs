//! Which cores a process may use, and how many threads are its share.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    thread::available_parallelism,
};

/// What a computing process announces to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The number of threads it was given; `None`: it takes its share.
    pub threads: Option<usize>,
    /// The cores that it may use, by number.
    pub cores: BTreeSet<usize>,
}

impl Claim {
    pub fn new(threads: Option<usize>) -> Self {
        Self { threads, cores: allowed() }
    }

    /// Whether both may use some core.
    pub fn meets(&self, other: &Self) -> bool {
        !self.cores.is_disjoint(&other.cores)
    }
}

/// The cores that this process may use: of those that it is bound to, as many as its control group lets it use at the
/// same time. Which of them is arbitrary, but the same for all processes of the group.
fn allowed() -> BTreeSet<usize> {
    let most = available_parallelism().map_or(1, usize::from);
    let bound = affinity().filter(|cores| !cores.is_empty());
    bound.map_or_else(|| (0..most).collect(), |cores| cores.into_iter().take(most).collect())
}

#[cfg(target_os = "linux")]
fn affinity() -> Option<BTreeSet<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).ok()?;
    Some((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

#[cfg(not(target_os = "linux"))]
fn affinity() -> Option<BTreeSet<usize>> {
    None
}

/// The number of threads of a process on these cores beside others, given by the names of their claims; a process
/// without a claim counts as the last. Each core is divided equally among the processes that share it, after what other
/// processes were given explicitly is taken off.
pub fn threads(own: Option<&OsString>, cores: &BTreeSet<usize>, others: &BTreeMap<OsString, Claim>) -> usize {
    let part = |core: &usize| {
        let (mut sharing, mut taken) = (1.0, 0.0);
        for claim in others.values().filter(|claim| claim.cores.contains(core)) {
            match claim.threads {
                Some(threads) => taken += threads as f64 / claim.cores.len() as f64,
                None => sharing += 1.0,
            }
        }
        (1.0 - f64::min(taken, 1.0)) / sharing
    };
    let share: f64 = cores.iter().map(part).sum();
    // Rounding leaves no core over: each process rounds the running sum up to and including itself.
    let earlier = others.iter().filter(|(name, claim)| {
        claim.threads.is_none() && !claim.cores.is_disjoint(cores) && own.is_none_or(|own| *name < own)
    });
    let before = earlier.count() as f64;
    let up_to = |processes: f64| (processes * share + 1e-6).floor() as usize;
    (up_to(before + 1.0) - up_to(before)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(threads: Option<usize>, cores: impl IntoIterator<Item = usize>) -> Claim {
        Claim { threads, cores: cores.into_iter().collect() }
    }

    /// What each of these gets beside all the others; those that were told a number have it.
    fn shares(claims: &[Claim]) -> Vec<usize> {
        let names: Vec<OsString> = (0..claims.len()).map(|n| format!("{n:02}").into()).collect();
        let all: BTreeMap<_, _> = names.iter().cloned().zip(claims.iter().cloned()).collect();
        let one = |(name, claim): (&OsString, &Claim)| {
            let mut others = all.clone();
            others.remove(name);
            claim.threads.unwrap_or_else(|| threads(Some(name), &claim.cores, &others))
        };
        names.iter().zip(claims).map(one).collect()
    }

    #[test]
    fn equal_processes_use_all_cores_together_and_no_more() {
        for cores in [1, 2, 3, 4, 16, 64, 255] {
            for processes in 1..20 {
                let shares = shares(&vec![claim(None, 0..cores); processes]);
                assert_eq!(shares.iter().sum::<usize>().max(processes), cores.max(shares.iter().sum()));
                assert!(shares.iter().sum::<usize>() <= cores.max(processes), "{cores}: {shares:?}");
                let [least, most] = [shares.iter().min(), shares.iter().max()].map(Option::unwrap);
                assert!(most - least <= 1, "{cores}: {shares:?}");
            }
        }
        assert_eq!(shares(&vec![claim(None, 0..16); 3]), [5, 5, 6]);
    }

    #[test]
    fn what_others_were_told_is_left_to_them() {
        let told = |threads| claim(Some(threads), 0..8);
        let free = claim(None, 0..8);
        assert_eq!(shares(&[told(2), free.clone()]), [2, 6]);
        assert_eq!(shares(&[told(1), free.clone(), told(2), free.clone()]), [1, 2, 2, 3]);
        // More than there is: one thread still computes.
        assert_eq!(shares(&[told(64), free.clone()]), [64, 1]);
        assert_eq!(shares(&[told(8), told(8), free]), [8, 8, 1]);
    }

    #[test]
    fn only_processes_on_the_same_cores_share() {
        assert_eq!(shares(&[claim(None, 0..4), claim(None, 4..8)]), [4, 4]);
        assert_eq!(shares(&[claim(None, [1, 3]), claim(None, [0, 2]), claim(None, [1, 3])]), [1, 2, 1]);
        // A bound one and one that may go everywhere.
        assert_eq!(shares(&[claim(None, 0..4), claim(None, 0..8)]), [2, 6]);
        assert_eq!(shares(&[claim(Some(4), 0..4), claim(None, 0..8)]), [4, 4]);
        assert!(!claim(None, 0..4).meets(&claim(None, 4..8)));
    }

    #[test]
    fn whoever_has_made_no_claim_comes_last() {
        let others = |n: usize| (0..n).map(|n| (format!("{n}").into(), claim(None, 0..4))).collect();
        let cores = (0..4).collect();
        assert_eq!([0, 1, 2, 3, 4].map(|n| threads(None, &cores, &others(n))), [4, 2, 2, 1, 1]);
    }

    #[test]
    fn this_process_may_use_as_many_cores_as_the_system_says() {
        let cores = Claim::new(None).cores.len();
        assert_eq!(cores, available_parallelism().unwrap().get());
    }
}

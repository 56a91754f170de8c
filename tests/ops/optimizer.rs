//! Optimizers with decay groups, clip, state from before, and weights held at zero, step after step.

use crate::support::{Sums, holds, indices, numbers, on_threads, wide};
use lottery::{
    choice::Choice,
    ops::{
        WeightMask,
        optimizer::{AdamW, Adamax, Kind, Optimizer, State, clip_scale, norm},
    },
};
use proptest::prelude::{Strategy, any, prop};
use std::{env, ops::Range, process::Command};

const STEPS: u32 = 3;

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    n: usize,
    /// Weight decay applies between the first and second of these borders, between the third and fourth, and so on.
    borders: Vec<usize>,
    decay: f64,
    learning_rate: f64,
    clip: f64,
    /// Size of the gradients.
    scale: f32,
    seed: u64,
    /// Which part of the weights is held, drawn one by one, and whether all between the second and third border are.
    held: Option<(f32, bool)>,
    /// Steps taken before, without a mask.
    before: u32,
}

impl Case {
    fn optimizer(&self) -> Optimizer {
        let (beta1, beta2, weight_decay) = (0.9, 0.999, self.decay);
        match self.kind {
            Kind::AdamW => Optimizer::AdamW(AdamW { beta1, beta2, epsilon: 1e-8, weight_decay }),
            Kind::Adamax => Optimizer::Adamax(Adamax { beta1, beta2, epsilon: 1e-6, weight_decay }),
        }
    }

    fn decayed(&self) -> Vec<Range<usize>> {
        self.borders.chunks_exact(2).map(|b| b[0]..b[1]).collect()
    }

    fn mask(&self) -> Option<WeightMask> {
        let (share, tensor) = self.held?;
        let mut mask = WeightMask::all_kept(self.n);
        let kept = numbers(self.n, self.seed, 3).into_iter().map(|draw| (draw + 1.0) / 2.0 >= share);
        mask.set(0..self.n, kept);
        if let (true, &[_, start, end, ..]) = (tensor, &self.borders[..]) {
            mask.set(start..end, (start..end).map(|_| false));
        }
        Some(mask)
    }

    /// Every seventh element has no gradient, like a word that is not in the batch; those of held weights are anything.
    fn gradient(&self, step: u32) -> Vec<f32> {
        let (g, mask) = (numbers(self.n, self.seed, 10 + step).into_iter().enumerate(), self.mask());
        let wild = [f32::NAN, f32::INFINITY, -1e30, -0.0, 3.0];
        let held = |i: usize| mask.as_ref().is_some_and(|mask| !mask.keeps(i));
        g.map(|(i, g)| match i {
            _ if held(i) => wild[i % wild.len()],
            _ if i % 7 == 0 => 0.0,
            _ => g * self.scale,
        })
        .collect()
    }

    fn start(&self) -> (Vec<f32>, State) {
        let mut state = self.optimizer().state(self.n);
        if self.before > 0 {
            let [first, second] = state.slots_mut() else { panic!("both have two slots") };
            first.values = numbers(self.n, self.seed, 4);
            first.values.iter_mut().for_each(|m| *m *= self.scale);
            let of = |m: &f32| if self.kind == Kind::AdamW { m * m } else { m.abs() };
            second.values = first.values.iter().map(of).collect();
            state.steps = self.before;
        }
        (numbers(self.n, self.seed, 1), state)
    }
}

/// w ← w - η (m̂ / (√v̂ + ε) + λ w), with m and v of the clipped gradient: the published algorithm on the kept weights. Of
/// Adamax w ← w - η (m / (u + ε) + λ w) with u ← max(β₂ u, |g| + ε).
fn exact(case: &Case) -> [Sums; 3] {
    let (weights, state) = case.start();
    let mut w = Sums::from(&weights);
    let [mut m, mut v] = [0, 1].map(|slot| Sums::from(&state.slots()[slot].values));
    let (decayed, mask) = (case.decayed(), case.mask());
    let kept = |i: usize| mask.as_ref().is_none_or(|mask| mask.keeps(i));
    let decays: Vec<bool> = (0..case.n).map(|i| decayed.iter().any(|r| r.contains(&i))).collect();
    for t in 1..=STEPS {
        let g = wide(&case.gradient(t));
        let norm = (0..case.n).filter(|i| kept(*i)).map(|i| g[i] * g[i]).sum::<f64>().sqrt();
        let scale = if case.clip > 0.0 && norm > case.clip { case.clip / norm } else { 1.0 };
        let t = (case.before + t) as i32;
        let (c1, c2) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
        for i in (0..case.n).filter(|i| kept(*i)) {
            let g = g[i] * scale;
            (m.value[i], m.size[i]) = (0.9 * m.value[i] + 0.1 * g, 0.9 * m.size[i] + 0.1 * g.abs());
            let root = match case.kind {
                Kind::AdamW => {
                    v.value[i] = 0.999 * v.value[i] + 0.001 * g * g;
                    c1 * ((v.value[i] / c2).sqrt() + 1e-8)
                }
                Kind::Adamax => {
                    v.value[i] = (0.999 * v.value[i]).max(g.abs() + 1e-6);
                    v.value[i] + 1e-6
                }
            };
            let decay = if decays[i] { case.decay * w.value[i] } else { 0.0 };
            let step = case.learning_rate * (m.value[i] / root + decay);
            w.add_sized(i, -step, case.learning_rate * (m.size[i] / root + decay.abs()));
        }
    }
    v.size.clone_from(&v.value);
    // A weight is rounded more finely than its update.
    w.size.iter_mut().zip(weights).for_each(|(size, w)| *size -= 0.95 * f64::from(w.abs()));
    for i in (0..case.n).filter(|i| !kept(*i)) {
        for sums in [&mut w, &mut m, &mut v] {
            (sums.value[i], sums.size[i]) = (0.0, 0.0);
        }
    }
    [w, m, v]
}

/// Weights, both slots and the gradient behind all steps, of which every single one is looked at.
fn trained(case: &Case, mask: Option<&WeightMask>) -> [Vec<f32>; 4] {
    let ((mut w, mut state), decayed) = (case.start(), case.decayed());
    if let Some(mask) = mask {
        mask.apply(&mut w);
        state.hold(mask);
    }
    let kept = |i: &usize| mask.is_none_or(|mask| mask.keeps(*i));
    let mut g = vec![];
    for t in 1..=STEPS {
        g = case.gradient(t);
        let length = norm(&g, mask);
        let naive = (0..case.n).filter(kept).map(|i| f64::from(g[i]).powi(2)).sum::<f64>().sqrt();
        assert!((length - naive).abs() <= 1e-12 * naive, "{length} {naive}");
        let scale = clip_scale(length, case.clip);
        assert!(case.clip == 0.0 || scale * length <= case.clip);
        state.step(&mut w, &mut g, mask, &decayed, case.learning_rate, scale);
        for i in (0..case.n).filter(|i| !kept(i)) {
            let [first, second] = state.slots() else { panic!("both have two slots") };
            let zeros = [w[i], first.values[i], second.values[i]].map(f32::to_bits);
            assert_eq!(zeros, [0; 3], "{i} of step {t}");
        }
    }
    assert_eq!(state.steps, case.before + STEPS);
    let [m, v] = [0, 1].map(|slot| state.slots()[slot].values.clone());
    [w, m, v, g]
}

fn check(case: &Case) -> [Vec<f32>; 4] {
    let mask = case.mask();
    let found @ [w, m, v, left] = &on_threads(|| trained(case, mask.as_ref()));
    let [exact_w, exact_m, exact_v] = exact(case);
    exact_w.assert_near(w, 1e-5, "weights");
    exact_m.assert_near(m, 1e-6, "first moments");
    match case.kind {
        // The kernel's 1 - β₂ is a difference of f32s, 1.3e-5 off.
        Kind::AdamW => exact_v.assert_near(v, 2e-5, "second moments"),
        Kind::Adamax => exact_v.assert_near(v, 1e-6, "largest gradients"),
    }
    assert!(left.iter().all(|g| *g == 0.0), "the gradient is not cleared");
    if mask.is_none() {
        let all = WeightMask::all_kept(case.n);
        assert!(trained(case, Some(&all)) == *found, "a mask that holds nothing changes something");
    }
    found.clone()
}

fn corner(kind: Kind) -> Case {
    Case {
        kind,
        n: 1,
        borders: vec![],
        decay: 0.1,
        learning_rate: 1e-2,
        clip: 1.0,
        scale: 3.0,
        seed: 6,
        held: None,
        before: 0,
    }
}

#[test]
fn steps_agree_with_f64_in_the_corners() {
    for case in Kind::all().iter().map(|kind| corner(*kind)) {
        check(&case);
        check(&Case { borders: vec![0, 1], ..case.clone() });
        // The border of two parallel tasks lies at 65 536; a group ends before it, at it, or goes over it.
        for borders in [vec![0, 65_535], vec![3, 65_536], vec![0, 17, 17, 65_537], vec![5, 5, 65_500, 65_613]]
        {
            check(&Case { n: 65_613, borders, ..case.clone() });
        }
        check(&Case { n: 100, borders: vec![1, 99], clip: 0.0, scale: 1e-7, ..case });
    }
}

/// Prints a hash of all bits.
#[test]
fn what_is_held_stays_zero_and_the_rest_agrees_with_f64_in_the_corners() {
    let mut hasher = blake3::Hasher::new();
    let mut check = |case: &Case| {
        for values in check(case) {
            hasher.update(bytemuck::cast_slice(&values));
        }
    };
    for case in Kind::all().iter().map(|kind| Case { before: 5, ..corner(*kind) }) {
        for share in [0.0, 0.5, 1.0] {
            check(&Case { held: Some((share, false)), ..case.clone() });
            // Pieces that begin and end anywhere in the mask's words, and a tensor that is held as a whole.
            for borders in [vec![], vec![0, 65_535], vec![3, 17, 130, 65_537], vec![5, 40, 65_530, 65_613]] {
                let held = Some((share, !borders.is_empty()));
                check(&Case { n: 65_613, borders, held, ..case.clone() });
            }
            check(&Case {
                n: 95,
                borders: vec![1, 31, 64, 70],
                held: Some((share, true)),
                clip: 0.0,
                ..case.clone()
            });
        }
    }
    println!("all bits: {}", hasher.finalize());
}

#[test]
fn held_and_kept_weights_have_the_same_bits_with_every_instruction_set() {
    let digests = ["avx512", "avx2", "base"].map(|kernels| {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "optimizer::what_is_held_stays_zero_and_the_rest_agrees_with_f64_in_the_corners",
                "--exact",
            ])
            .arg("--nocapture")
            .env("LOTTERY_KERNELS", kernels)
            .output()
            .unwrap();
        assert!(output.status.success(), "{kernels}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        let (_, digest) = said.split_once("all bits: ").unwrap();
        digest[..64].to_owned()
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn steps_agree_with_f64_over_drawn_groups_and_masks() {
    let kind = prop::sample::select(Kind::all().to_vec());
    let n = prop::sample::select(vec![1usize, 15, 16, 17, 130, 5001]);
    let rates = (prop::sample::select(vec![0.0, 0.01, 0.3]), prop::sample::select(vec![2e-5, 1e-3, 0.1]));
    let clip = prop::sample::select(vec![0.0, 0.5, 1.0, 1e6]);
    let scale = prop::sample::select(vec![1e-6f32, 1e-2, 1.0, 100.0]);
    let held = prop::option::of((prop::sample::select(vec![0.0f32, 0.1, 0.5, 0.9, 1.0]), any::<bool>()));
    let before = prop::sample::select(vec![0, 1, 200]);
    let shapes = ((kind, n), 0usize..9, rates, clip, scale, any::<u64>(), held, before);
    let shapes =
        shapes.prop_map(|((kind, n), count, (decay, learning_rate), clip, scale, seed, held, before)| {
            let mut borders: Vec<usize> =
                indices(count, n + 1, seed, 2).into_iter().map(|b| b as usize).collect();
            borders.sort_unstable();
            Case { kind, n, borders, decay, learning_rate, clip, scale, seed, held, before }
        });
    holds(48, shapes, |case| {
        check(&case);
    });
}

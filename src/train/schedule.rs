//! The learning rate over a run: linear warm-up from 0, then linear decay to 0 (Devlin et al. 2019, A.2).

/// Multiplier of the peak learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    warmup_steps: u64,
    total_steps: u64,
}

impl Linear {
    /// `warmup` is the fraction of all steps that warms up.
    pub fn new(total_steps: u64, warmup: f64) -> Self {
        Self { warmup_steps: (total_steps as f64 * warmup).round() as u64, total_steps }
    }

    /// The multiplier of step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps as f64;
        }
        let decay = (self.total_steps - self.warmup_steps).max(1);
        self.total_steps.saturating_sub(step) as f64 / decay as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_warm_up_the_rate_falls_from_one_to_one_step_above_zero() {
        let s = Linear::new(4, 0.0);
        assert_eq!([0, 1, 2, 3, 4].map(|t| s.factor(t)), [1.0, 0.75, 0.5, 0.25, 0.0]);
    }

    #[test]
    fn with_warm_up_the_rate_rises_first() {
        let s = Linear::new(10, 0.2);
        assert_eq!([0, 1, 2, 6, 9].map(|t| s.factor(t)), [0.0, 0.5, 1.0, 0.5, 0.125]);
    }
}

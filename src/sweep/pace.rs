//! How long trainings and evaluations take: by their tokens, and by their steps.

/// What a stage reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    pub tokens: f64,
    /// Updates of the weights; none of an evaluation.
    pub steps: f64,
}

/// Seconds of a token, and of a step whatever its tokens are: the optimizer's part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    token: f64,
    step: f64,
}

impl Pace {
    /// What fits best, by relative error, so that one run that something slowed down counts little; neither is below 0. Of works
    /// with as many tokens a step all is by token. None without any.
    pub fn of(seen: &[(Work, f64)]) -> Option<Self> {
        // t a + n b = 1 for each, t and n being tokens and steps in a second.
        let rows: Vec<(f64, f64)> = seen
            .iter()
            .filter(|(work, seconds)| work.tokens > 0.0 && *seconds > 0.0)
            .map(|(work, seconds)| (work.tokens / seconds, work.steps / seconds))
            .collect();
        let sum = |of: fn(&(f64, f64)) -> f64| rows.iter().map(of).sum::<f64>();
        let (tt, tn, nn) = (sum(|r| r.0 * r.0), sum(|r| r.0 * r.1), sum(|r| r.1 * r.1));
        let (t, n) = (sum(|r| r.0), sum(|r| r.1));
        if tt <= 0.0 {
            return None;
        }
        let by_token = Self { token: t / tt, step: 0.0 };
        let determinant = tt * nn - tn * tn;
        if determinant <= 1e-3 * tt * nn {
            return Some(by_token);
        }
        let (token, step) = ((nn * t - tn * n) / determinant, (tt * n - tn * t) / determinant);
        Some(match (token >= 0.0, step >= 0.0) {
            (true, true) => Self { token, step },
            (false, _) => Self { token: 0.0, step: n / nn },
            (true, false) => by_token,
        })
    }

    pub fn seconds(self, work: Work) -> f64 {
        self.token * work.tokens + self.step * work.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(tokens: f64, steps: f64, seconds: f64) -> (Work, f64) {
        (Work { tokens, steps }, seconds)
    }

    #[test]
    fn tokens_and_steps_are_told_apart_where_works_differ_in_them() {
        // A millisecond a token, a quarter of a second a step.
        let all = [(1000.0, 10.0), (4000.0, 10.0), (300.0, 40.0)];
        let all = all.map(|(t, n)| seen(t, n, 0.001 * t + 0.25 * n));
        let pace = Pace::of(&all).unwrap();
        assert!((pace.token - 0.001).abs() < 1e-12 && (pace.step - 0.25).abs() < 1e-9, "{pace:?}");
        assert!((pace.seconds(Work { tokens: 2000.0, steps: 4.0 }) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn equal_works_are_by_token_and_nothing_is_below_zero() {
        let pace = Pace::of(&[seen(1000.0, 10.0, 2.0), seen(2000.0, 20.0, 4.0)]).unwrap();
        assert_eq!(pace, Pace { token: 0.002, step: 0.0 });
        let evaluation = Pace::of(&[seen(1000.0, 0.0, 1.0)]).unwrap();
        assert_eq!(evaluation.seconds(Work { tokens: 500.0, steps: 0.0 }), 0.5);
        // More steps, less time.
        let pace = Pace::of(&[seen(1000.0, 10.0, 2.0), seen(1000.0, 100.0, 1.0)]).unwrap();
        assert!(pace.step == 0.0 && pace.token > 0.0);
        let pace = Pace::of(&[seen(100_000.0, 10.0, 1.0), seen(10.0, 10.0, 2.0), seen(50_000.0, 20.0, 3.0)])
            .unwrap();
        assert!(pace.token >= 0.0 && pace.step >= 0.0);
        assert_eq!((Pace::of(&[]), Pace::of(&[seen(0.0, 1.0, 1.0)])), (None, None));
    }

    #[test]
    fn one_run_that_was_slowed_down_counts_little() {
        let mut all: Vec<(Work, f64)> =
            (1..=9).map(|n| seen(1000.0 * f64::from(n), 10.0, f64::from(n))).collect();
        all.push(seen(1000.0, 10.0, 40.0));
        let seconds = Pace::of(&all).unwrap().seconds(Work { tokens: 5000.0, steps: 10.0 });
        assert!((4.0..6.5).contains(&seconds), "{seconds}");
    }
}

//! Against SciPy, statsmodels, krippendorff and deep-significance: `tests/golden/report_statistics.py` writes `report_statistics.json`.

use super::*;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/report_statistics.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn near(found: f64, wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_f64().unwrap();
    let apart = (found - wanted).abs();
    assert!(apart <= tolerance * wanted.abs().max(1.0), "{found} in the place of {wanted}");
}

#[test]
fn paired_tests_are_scipys() {
    let golden = golden();
    let pairs = golden["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 6);
    for case in pairs {
        let d = differences(&numbers(&case["a"]), &numbers(&case["b"]));
        let found = paired_t(&d).unwrap();
        near(found.t, &case["t"], 1e-9);
        near(found.p, &case["p"], 1e-9);
        near(found.interval[0], &case["interval"][0], 1e-8);
        near(found.interval[1], &case["interval"][1], 1e-8);
        near(wilcoxon(&d).unwrap(), &case["wilcoxon"], 1e-9);
        near(cohen_d_z(&d).unwrap(), &case["d_z"], 1e-9);
        near(hedges_g_z(&d).unwrap(), &case["g_z"], 1e-9);
        let margin = case["equivalent"]["margin"].as_f64().unwrap();
        near(equivalent(&d, margin).unwrap(), &case["equivalent"]["p"], 1e-9);
        if !case["bootstrap"].is_null() {
            let interval = bootstrap_mean(&d, 1).unwrap();
            near(interval.low, &case["bootstrap"][0], 1e-9);
            near(interval.high, &case["bootstrap"][1], 1e-9);
        }
    }
}

#[test]
fn a_drawn_bootstrap_repeats_itself_and_is_near_the_interval_of_the_t_test() {
    let d: Vec<f64> = (0..40).map(|n| f64::from(n % 7) * 0.01).collect();
    let (interval, t) = (bootstrap_mean(&d, 1).unwrap(), paired_t(&d).unwrap());
    assert_eq!(Some(interval), bootstrap_mean(&d, 1));
    assert!((interval.low - t.interval[0]).abs() < 5e-4 && (interval.high - t.interval[1]).abs() < 5e-4);
}

#[test]
fn corrections_and_power_are_those_of_statsmodels() {
    let golden = golden();
    let p: Vec<Option<f64>> = numbers(&golden["holm"]["p"]).into_iter().map(Some).collect();
    for (found, wanted) in holm(&p).into_iter().zip(numbers(&golden["holm"]["adjusted"])) {
        assert!((found.unwrap() - wanted).abs() < 1e-12);
    }
    // What is no test changes nothing.
    assert_eq!(holm(&[None, Some(0.02), Some(0.5)]), [None, Some(0.04), Some(0.5)]);
    for case in golden["detectable"].as_array().unwrap() {
        let n = case["n"].as_u64().unwrap() as usize;
        near(detectable_difference(n, case["power"].as_f64().unwrap()).unwrap(), &case["d"], 1e-4);
    }
}

#[test]
fn the_order_of_samples_is_that_of_deep_significance() {
    for case in golden()["orders"].as_array().unwrap() {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        near(violation_ratio(&a, &b), &case["violation"], 1e-6);
        // Both draw; the deviation over draws of 1000 resamples is below 0.01.
        near(almost_stochastic_order(&a, &b, 3).unwrap(), &case["epsilon"], 0.04);
    }
}

#[test]
fn agreement_is_that_of_the_packages() {
    for case in golden()["masks"].as_array().unwrap() {
        let masks = case["masks"].as_array().unwrap().iter();
        let masks: Vec<Vec<bool>> =
            masks.map(|m| m.as_str().unwrap().chars().map(|c| c == '1').collect()).collect();
        near(fleiss_kappa(&masks).unwrap(), &case["kappa"], 1e-12);
        near(krippendorff_alpha(&masks).unwrap(), &case["alpha"], 1e-12);
        let found = cochran_q(&masks).unwrap();
        near(found.q, &case["q"], 1e-12);
        near(found.p, &case["q_p"], 1e-9);
        let overlap = Overlap::of(&masks).unwrap();
        near(overlap.mean, &case["jaccard"], 1e-12);
        near(overlap.expected, &case["expected"], 1e-9);
    }
}

#[test]
fn answers_of_two_models_are_compared_as_by_statsmodels() {
    for case in golden()["tables"].as_array().unwrap() {
        let count = |key: &str| case[key].as_u64().unwrap();
        let table = McNemar { only_first: count("only_first"), only_second: count("only_second") };
        near(table.exact(), &case["exact"], 1e-9);
        near(table.chi_squared().0, &case["chi"], 1e-12);
        near(table.chi_squared().1, &case["chi_p"], 1e-9);
    }
    let right = [true, true, false, false, true];
    let table = McNemar::of(right, [true, false, true, false, false]);
    assert_eq!(table, McNemar { only_first: 2, only_second: 1 });
    assert!((table.exact() - 1.0).abs() < 1e-12);
}

#[test]
fn resampled_examples_tell_a_difference_from_none() {
    let right = |share: usize| -> Vec<f64> { (0..400).map(|n| f64::from(n * 7 % 100 < share)).collect() };
    let score = |right: &Vec<f64>, chosen: &[u32]| {
        chosen.iter().map(|at| right[*at as usize]).sum::<f64>() / chosen.len() as f64
    };
    let apart = paired_examples(&[(right(80), right(70))], 400, 500, 1, score).unwrap();
    assert!((apart.difference - 0.1).abs() < 1e-9 && apart.p < 0.01, "{apart:?}");
    assert!(apart.interval.low > 0.05 && apart.interval.high < 0.15, "{apart:?}");
    let shifted: Vec<f64> = right(80).into_iter().cycle().skip(13).take(400).collect();
    let same = paired_examples(&[(right(80), shifted)], 400, 500, 1, score).unwrap();
    assert!(same.p > 0.2 && same.interval.low < 0.0 && same.interval.high > 0.0, "{same:?}");
}

#[test]
fn spreads_are_compared_as_by_scipy() {
    let golden = golden();
    for case in golden["spreads"].as_array().unwrap() {
        let samples: Vec<Vec<f64>> = case["samples"].as_array().unwrap().iter().map(numbers).collect();
        let found = brown_forsythe(&samples.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        near(found.f, &case["f"], 1e-9);
        near(found.p, &case["p"], 1e-9);
    }
}

#[test]
fn what_is_undefined_is_none_and_never_a_number() {
    for samples in [&[&[0.5, 0.6][..], &[0.52, 0.61]][..], &[&[0.5, 0.7, 0.6]], &[&[], &[0.1, 0.2, 0.4]], &[]]
    {
        assert_eq!(brown_forsythe(samples), None, "{samples:?}");
    }
    for d in [&[][..], &[0.1], &[0.1, 0.1]] {
        assert_eq!((paired_t(d), cohen_d_z(d), equivalent(d, 0.1)), (None, None, None), "{d:?}");
    }
    assert_eq!((wilcoxon(&[0.0, 0.0]), hedges_g_z(&[0.1, 0.2])), (None, None));
    assert_eq!((bootstrap_mean(&[0.1], 1), detectable_difference(1, 0.8)), (None, None));
    let all = vec![vec![true; 4]; 3];
    assert_eq!((fleiss_kappa(&all), krippendorff_alpha(&all), cochran_q(&all)), (None, None, None));
    assert_eq!(fleiss_kappa(&all[..1]), None);
    assert!((Overlap::of(&all).unwrap().mean - 1.0).abs() < 1e-12 && Overlap::of(&all[..1]).is_none());
}

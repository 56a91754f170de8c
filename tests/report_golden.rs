//! Agreement, overlaps and heat maps of the published masks of Prasanna, Rogers and Rumshisky 2020, by the code of
//! `lottery report`, against the numbers that the authors printed.
//!
//! The golden folder is no part of this repository: it is `$LOTTERY_SHARED/golden`, described by the README there. Without
//! the variable every test here says that it was skipped.

use std::path::PathBuf;

use lottery::report::{
    statistics::{cochran_q, fleiss_kappa, krippendorff_alpha},
    survivors::{Survival, shared, survival},
};
use serde_json::Value;

const SEEDS: [u64; 5] = [1337, 42, 86, 71, 166];
const TASKS: [&str; 5] = ["CoLA", "MRPC", "RTE", "SST-2", "STS-B"];

/// The parsed golden file, or nothing (and a word on stderr) without `LOTTERY_SHARED`.
fn golden(test: &str, file: &str) -> Option<Value> {
    let Some(shared) = std::env::var_os("LOTTERY_SHARED") else {
        eprintln!("skipped: {test}: LOTTERY_SHARED is not set");
        return None;
    };
    let path = PathBuf::from(shared).join("golden").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// The masks of a task's good tickets, one for each seed: `final_head_mask` or `final_mlp_mask`.
fn masks(transitions: &Value, task: &str, key: &str) -> Vec<Vec<bool>> {
    let of = |seed: &u64| {
        let cases = transitions.as_array().unwrap();
        let case = cases.iter().find(|case| case["task"] == task && case["seed"] == *seed).unwrap();
        case[key].as_str().unwrap().bytes().map(|byte| byte == b'1').collect()
    };
    SEEDS.iter().map(of).collect()
}

fn near(found: f64, wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_f64().unwrap();
    assert!(
        (found - wanted).abs() <= tolerance * wanted.abs().max(1e-12),
        "{found} in the place of {wanted}"
    );
}

#[test]
fn the_agreement_of_published_tickets_is_the_printed_one() {
    let test = "the_agreement_of_published_tickets_is_the_printed_one";
    let Some(printed) = golden(test, "agreement.json") else { return };
    let transitions = golden(test, "transitions_heads_mlps.json").unwrap();
    assert_eq!(printed.as_object().unwrap().keys().collect::<Vec<_>>(), TASKS);
    for task in TASKS {
        let (heads, mlps) =
            (masks(&transitions, task, "final_head_mask"), masks(&transitions, task, "final_mlp_mask"));
        let wanted = &printed[task];
        near(krippendorff_alpha(&heads).unwrap(), &wanted["krippendorff_alpha_heads"], 1e-12);
        near(fleiss_kappa(&heads).unwrap(), &wanted["fleiss_kappa_heads"], 1e-12);
        // They computed it in single precision.
        near(fleiss_kappa(&heads).unwrap(), &wanted["published"]["kappa"], 3e-6);
        let cochran = cochran_q(&heads).unwrap();
        near(cochran.q, &wanted["cochran_q_heads"], 1e-12);
        near(cochran.p, &wanted["published"]["p"], 1e-9);
        near(krippendorff_alpha(&mlps).unwrap(), &wanted["published"]["alpha_mlp"], 1e-12);
        near(cochran_q(&mlps).unwrap().p, &wanted["published"]["p_mlp"], 1e-9);
    }
}

#[test]
fn heads_that_two_tasks_share_are_as_many_as_published() {
    let test = "heads_that_two_tasks_share_are_as_many_as_published";
    let Some(maps) = golden(test, "heatmaps.json") else { return };
    let transitions = golden(test, "transitions_heads_mlps.json").unwrap();
    let overlap = &maps["head_overlap_between_tasks"];
    let place =
        |task: &str| overlap["tasks"].as_array().unwrap().iter().position(|name| name == task).unwrap();
    for a in TASKS {
        for b in TASKS {
            let [first, second] = [a, b].map(|task| masks(&transitions, task, "final_head_mask"));
            let found = shared(&first, &second).unwrap();
            near(found.mean, &overlap["mean"][place(a)][place(b)], 1e-12);
            near(found.deviation.unwrap(), &overlap["std_ddof1"][place(a)][place(b)], 1e-12);
        }
    }
}

#[test]
fn the_summary_of_a_heat_map_is_the_printed_one() {
    let Some(maps) = golden("the_summary_of_a_heat_map_is_the_printed_one", "heatmaps.json") else { return };
    let numbers = |value: &Value| -> Vec<f64> {
        let rows = value.as_array().unwrap().iter();
        rows.flat_map(|row| row.as_array().cloned().unwrap_or_else(|| vec![row.clone()]))
            .map(|number| number.as_f64().unwrap())
            .collect()
    };
    for setting in ["heads_separate", "heads_together", "mlps_separate", "mlps_together"] {
        let map = &maps[setting];
        let of = Survival { mean: numbers(&map["heat_map_mean"]), deviation: numbers(&map["heat_map_std"]) };
        let (mean, deviation, often) = of.summary(5.0);
        near(mean, &map["published"][0], 1e-12);
        near(deviation, &map["published"][1], 1e-12);
        assert_eq!(often as u64, map["published"][2].as_u64().unwrap(), "{setting}");
    }
}

#[test]
fn survivors_over_the_tasks_that_are_there_are_those_of_the_masks_summed() {
    let test = "survivors_over_the_tasks_that_are_there_are_those_of_the_masks_summed";
    let Some(transitions) = golden(test, "transitions_heads_mlps.json") else { return };
    let tasks: Vec<Vec<Vec<bool>>> =
        TASKS.iter().map(|task| masks(&transitions, task, "final_head_mask")).collect();
    let found = survival(&tasks).unwrap();
    assert_eq!(found.mean.len(), 144);
    // Summed over units, the survivors of all tasks are their sizes: on the diagonal of the published overlaps.
    let maps = golden(test, "heatmaps.json").unwrap();
    let overlap = &maps["head_overlap_between_tasks"];
    let names = overlap["tasks"].as_array().unwrap();
    let sizes = names.iter().enumerate().filter(|(_, name)| TASKS.contains(&name.as_str().unwrap()));
    let sizes: f64 = sizes.map(|(at, _)| overlap["mean"][at][at].as_f64().unwrap()).sum();
    assert!((found.mean.iter().sum::<f64>() - sizes).abs() < 1e-9);
}

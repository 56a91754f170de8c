//! `lottery importance` and `lottery ablate`, and the baselines of a record.

use std::fs;

use lottery::{
    choice::Choice,
    model::{Head, weights::Pretrained},
    prune::{Estimator, Norm},
};
use serde_json::{Value, json};

use crate::fixture::{Bench, DEV, QUICK, SQUAD, TRAIN, done_stages, json_file, refused, stderr, succeeded};

const RECORD: &str = "runs/results/sst2/heads+ffns/good/seed-1337.json";

impl Bench {
    fn report(&self, verb: &str, arguments: &[&str]) -> Value {
        let output = succeeded(&mut self.verb(verb, &[arguments, &["--json"]].concat()));
        serde_json::from_slice(&output.stdout).expect("stdout holds JSON alone")
    }
}

fn numbers(units: &Value) -> Vec<f64> {
    let rows = units["heads"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone());
    rows.flatten().chain(units["ffns"].as_array().unwrap().clone()).map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn criteria_are_compared_on_a_records_model() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let before = done_stages(&bench.path("runs")).len();
    let report = bench.report("importance", &[RECORD, "--out", "importance.json"]);
    assert_eq!(json_file(&bench.path("importance.json")), report);
    // The record's own model and search, and one stage more.
    for stage in ["finetune", "search"] {
        assert_eq!(report[stage], record["stages"][stage]);
    }
    assert_eq!(done_stages(&bench.path("runs")).len(), before + 1);
    assert_eq!((&report["layers"], &report["heads_per_layer"]), (&json!(2), &json!(4)));
    let splits = report["splits"].as_array().unwrap();
    let named: Vec<(&str, u64)> =
        splits.iter().map(|s| (s["split"].as_str().unwrap(), s["examples"].as_u64().unwrap())).collect();
    assert_eq!(named, [("dev", DEV as u64), (&*format!("train:{DEV}"), DEV as u64)]);
    for split in splits {
        let scores = split["scores"].as_array().unwrap();
        let criteria: Vec<&str> = scores.iter().map(|s| s["criterion"].as_str().unwrap()).collect();
        assert_eq!(criteria, Estimator::names());
        for (scores, criterion) in scores.iter().zip(Estimator::all()) {
            assert!(numbers(&scores["none"]).iter().all(|score| *score >= 0.0));
            for norm in ["layer-l2", "global"] {
                assert!(numbers(&scores[norm]).iter().all(|score| (0.0..=1.0).contains(score)));
            }
            assert_eq!(scores["variance"].is_null(), criterion.gradient().is_none(), "{criterion}");
        }
        // |Σ g| ≤ Σ |g|
        let [token, example] = [0, 1].map(|n| numbers(&scores[n]["none"]));
        assert!(token.iter().zip(&example).all(|(token, example)| token >= example));
        let variance = numbers(&scores[1]["variance"]);
        assert!(variance.iter().all(|v| *v >= 0.0) && variance.iter().any(|v| *v > 0.0));
    }
    // The scores of data-free criteria are those of any data.
    for criterion in [Estimator::WeightL2, Estimator::WeightMean] {
        let n = Estimator::all().iter().position(|other| *other == criterion).unwrap();
        assert_eq!(splits[0]["scores"][n]["none"], splits[1]["scores"][n]["none"]);
    }
    assert_ne!(splits[0]["scores"][1]["none"], splits[1]["scores"][1]["none"]);
    // The search begins with the same scores.
    let ticket: Value =
        serde_json::from_slice(&bench.stage_file("runs", &record, "search", "ticket.json")).unwrap();
    assert_eq!(splits[0]["scores"][1]["layer-l2"], ticket["steps"][0]["importance"]);
    let steps = ticket["steps"].as_array().unwrap().len();
    let compared = 2 * if steps > 2 { steps } else { steps - 1 };
    assert_eq!(report["steps"].as_array().unwrap().len(), compared);
    let tables = report["correlations"].as_array().unwrap();
    assert_eq!(tables.len(), 2 * 2 * 2);
    for table in tables {
        for measure in ["spearman", "kendall"] {
            let rows = table[measure].as_array().unwrap();
            for (n, row) in rows.iter().enumerate() {
                // FFNs are equal by the synaptic flow of the chain.
                let is_flat = table["units"] == "ffns" && table["criteria"][n] == "synflow";
                assert_eq!(row[n], if is_flat { Value::Null } else { json!(1.0) }, "{table}");
                assert!((0..rows.len()).all(|m| row[m] == rows[m][n]));
            }
        }
    }
    assert_eq!(report["across_splits"].as_array().unwrap().len(), 2 * Estimator::names().len());
}

#[test]
fn a_stage_stands_for_its_record_and_repeating_computes_nothing() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let search = record["stages"]["search"].as_str().unwrap();
    let some = ["--criteria", "Example,fisher", "--split", "train:40", "--split", "dev"];
    let report = bench.report("importance", &[&[RECORD][..], &some].concat());
    assert_eq!(report["splits"][0]["split"], "train:40");
    assert_eq!(report["correlations"][0]["criteria"], json!(["example", "fisher"]));
    let again = [&[search][..], &some, &["--norm", "none"]].concat();
    let output = succeeded(&mut bench.verb("importance", &again));
    let id = report["importance"].as_str().unwrap();
    assert!(stderr(&output).contains(&format!("{id}: found in the store")), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for wanted in ["train:40: 40 examples, norm none", "head 1.3", "FFN 1", "Spearman", "between steps", id] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // Settings without a record, in a store of their own.
    let sets: Vec<&str> = QUICK.iter().flat_map(|set| ["--set", *set]).collect();
    let settings =
        [&["--task", "sst2", "--model", "model", "--data", "glue", "--threads", "1"][..], &sets].concat();
    let output = succeeded(&mut {
        let mut command = crate::fixture::lottery();
        let all = [&["importance", "--store", "other", "--json"], &settings[..], &some].concat();
        command.args(all).current_dir(bench.root.path());
        command
    });
    let other: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(other, report);
}

#[test]
fn a_changed_model_scores_as_the_same_change_by_hand() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    succeeded(&mut bench.export(&record, "finetune", &["--masked", "--out", "changed"]));
    let mut bert = Pretrained::load(&bench.path("changed"))
        .unwrap()
        .build(Head::Classifier { labels: 2 }, 0, false)
        .unwrap();
    for layer in 0..2 {
        let name = format!("bert.encoder.layer.{layer}.attention.self.value.weight");
        let range = bert.params.named(&name).unwrap().0.range.clone();
        bert.params.data[range].fill(0.0);
    }
    bench.write("changed/model.safetensors", bert.to_safetensors().unwrap());
    let eval = ["changed", "--task", "sst2", "--data", "glue", "--max-length", "32", "--json"];
    let expected = succeeded(&mut bench.verb("eval", &eval));
    let expected: Value = serde_json::from_slice(&expected.stdout).unwrap();
    let conditions = ["zero:value", "prune-smallest=0:layer", "prune-random=1:layer@0", "reset:layer@0"];
    let typed: Vec<&str> = conditions.iter().flat_map(|condition| ["--condition", *condition]).collect();
    let report = bench.report("ablate", &[&[RECORD][..], &typed, &["--out", "a.json"]].concat());
    assert_eq!(json_file(&bench.path("a.json")), report);
    assert_eq!(
        (&report["full"], &report["finetune"]),
        (&record["full"]["metrics"], &record["stages"]["finetune"])
    );
    assert_eq!(report["majority"], record["full"]["baseline"]);
    let found = report["conditions"].as_array().unwrap();
    assert_eq!(found[0]["metrics"], expected["metrics"]);
    assert_eq!((&found[1]["metrics"], &found[1]["difference"]), (&report["full"], &json!(0.0)));
    for (found, condition) in found.iter().zip(conditions) {
        assert_eq!((&found["condition"], &found["name"]), (&json!(condition), &Value::Null));
        let difference =
            |name: &str| found["metrics"][name].as_f64().unwrap() - report["full"][name].as_f64().unwrap();
        assert_eq!(found["difference"].as_f64().unwrap(), difference("accuracy"));
    }
    // Other noise, in a stage of its own.
    let other = bench.report("ablate", &[&[RECORD, "--noise-seed", "2"][..], &typed].concat());
    assert_ne!(other["ablate"], report["ablate"]);
    assert_eq!(other["conditions"][0], report["conditions"][0]);
}

#[test]
fn the_published_conditions_are_one_command() {
    let bench = Bench::new("SST-2");
    bench.record("sst2", &[]);
    let output = succeeded(&mut bench.verb("ablate", &[RECORD]));
    let text = String::from_utf8(output.stdout).unwrap();
    for wanted in
        ["full", "randomize_qkv/query_layer_1", "revert:fc", "-0.", "majority baseline", "scores: ablate-"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let report = bench.report("ablate", &[RECORD, "--condition", "zero:fc@1", "--published"]);
    let conditions = report["conditions"].as_array().unwrap();
    // Those of two layers: 29 randomised, 5 zeroed, 13 reverted, 6 pruned; and the first.
    assert_eq!((conditions.len(), &conditions[0]["condition"]), (51, &json!("zero:fc@1")));
    let of = |name: &str| {
        let row = conditions.iter().find(|row| row["name"] == name).unwrap();
        row["metrics"]["accuracy"].as_f64().unwrap()
    };
    let full = report["full"]["accuracy"].as_f64().unwrap();
    assert!(
        of("randomize_embeddings") < full
            && of("ablate_pruning/p_0.2_magnitude") > of("ablate_pruning/p_0.7_random") - 0.2
    );
}

#[test]
fn what_cannot_be_analysed_is_refused_with_what_to_give() {
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    fs::rename(bench.path(RECORD), bench.path("record.json")).unwrap();
    let id = record["stages"]["finetune"].as_str().unwrap();
    for (verb, arguments, code, wanted) in [
        ("importance", &["model"][..], 2, &["model is no record and no stage"][..]),
        ("importance", &[id], 3, &["no record in", id, "--task"]),
        ("importance", &["record.json", "--criteria", "fischer"], 2, &["fisher"]),
        (
            "importance",
            &["record.json", "--split", "heldout:0.1"],
            2,
            &["--set importance.split=heldout:0.1"],
        ),
        ("importance", &["record.json", "--split", "train:100000"], 2, &["more examples than"]),
        ("ablate", &["record.json", "--condition", "zero:query@2"], 2, &["no layer 2", "0 to 1"]),
        ("ablate", &["record.json", "--condition", "rotate:query"], 2, &["only word embeddings"]),
        ("ablate", &["record.json", "--condition", "shrink:query"], 2, &["shrink", "prune-smallest=SHARE"]),
    ] {
        refused(&mut bench.verb(verb, arguments), code, wanted);
    }
    assert!(Norm::names().contains(&"global"));
}

#[test]
fn a_record_has_the_majority_and_a_bag_of_words_beside_its_scores() {
    let bench = Bench::new("SST-2");
    let [good, random] = ["good", "random"].map(|mode| bench.record("sst2", &["--mode", mode]));
    let baselines = &good["baselines"];
    assert_eq!(baselines, &random["baselines"]);
    assert_eq!(baselines["majority"]["accuracy"], good["full"]["baseline"]);
    assert_eq!(baselines["bag_of_words"]["examples"], TRAIN);
    // The words alone decide this task, whose embeddings are random here.
    let accuracy = baselines["bag_of_words"]["metrics"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > good["full"]["baseline"].as_f64().unwrap(), "{baselines}");
    let mnli = Bench::new("MNLI").record("mnli", &["--mode", "full"]);
    let words = &mnli["baselines"]["bag_of_words"]["metrics"];
    assert!(words["accuracy"].is_f64() && words["accuracy_mismatched"].is_f64());
    let held = bench.record("sst2", &["--set", "importance.split=heldout:0.25"]);
    assert_eq!(held["baselines"]["bag_of_words"]["examples"], held["data"]["train"]["examples"]);
    let squad = Bench::new("SQuAD").record("squad", &[&["--mode", "full"], SQUAD].concat());
    assert_eq!(squad["baselines"], json!({ "majority": { "f1": 0.0 }, "bag_of_words": null }));
}

#[test]
fn the_heads_of_a_ticket_have_their_patterns_of_attention() {
    let bench = Bench::new("SST-2");
    // Nothing of the quick examples is long enough for a pattern.
    let record = bench.record("sst2", &["--set", "data.max_length=48"]);
    let words = |at: usize| (0..18).map(|n| ["a", "b", "c"][(at * n + at) % 3]).collect::<Vec<_>>().join(" ");
    let rows: String = (0..DEV).map(|at| format!("{}\t{}\n", words(at), at % 2)).collect();
    let short =
        refused(&mut bench.verb("attention", &[RECORD]), 3, &["no development example has 16 tokens"]);
    assert!(short.contains("data.max_length"), "{short}");
    drop(record);
    bench.write("glue/SST-2/dev.tsv", format!("sentence\tlabel\n{rows}"));
    let record = bench.record("sst2", &["--set", "data.max_length=48", "--seed", "7"]);
    let path = "runs/results/sst2/heads+ffns/good/seed-7.json";
    let report = bench.report("attention", &[path, "--examples", "30"]);
    assert_eq!(report["examples"], json!((0..30).collect::<Vec<_>>()));
    assert_eq!(report["finetune"], record["stages"]["finetune"]);
    let kept: Vec<String> = report["kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(|kept| if kept == true { '1' } else { '0' }).collect())
        .collect();
    assert_eq!(json!(kept), record["ticket"]["heads"]);
    let counts = |model: &str, attention: &str, layer: usize, head: usize| -> Vec<u64> {
        let row = report[model][attention][layer][head].as_array().unwrap();
        row.iter().map(|count| count.as_u64().unwrap()).collect()
    };
    // Every head of every example has one pattern, and shares are means of those.
    let mut sums = [[0.0; 5]; 2];
    let mut numbers = [0.0; 2];
    for (layer, flags) in kept.iter().enumerate() {
        for (head, flag) in flags.chars().enumerate() {
            let own = counts("finetuned", "weighted", layer, head);
            assert_eq!(own.iter().sum::<u64>(), 30);
            assert_eq!(counts("pretrained", "raw", layer, head).iter().sum::<u64>(), 30);
            let place = usize::from(flag == '1');
            sums[place].iter_mut().zip(&own).for_each(|(sum, count)| *sum += *count as f64 / 30.0);
            numbers[place] += 1.0;
        }
    }
    let rows = report["shares"].as_array().unwrap();
    for (place, heads) in [(0, "pruned"), (1, "kept")] {
        let is = |row: &&Value| {
            row["model"] == "fine-tuned" && row["attention"] == "weighted" && row["heads"] == heads
        };
        let row = rows.iter().find(is).unwrap();
        assert_eq!(row["count"].as_f64(), Some(numbers[place]));
        for (pattern, sum) in report["patterns"].as_array().unwrap().iter().zip(sums[place]) {
            let share = row["shares"][pattern.as_str().unwrap()].as_f64().unwrap();
            assert!((share - sum / f64::max(numbers[place], 1.0)).abs() < 1e-12, "{heads} {pattern}");
        }
    }
    let before = done_stages(&bench.path("runs")).len();
    assert_eq!(bench.report("attention", &[path, "--examples", "30"]), report);
    assert_eq!(done_stages(&bench.path("runs")).len(), before);
    let text = succeeded(&mut bench.verb("attention", &[path, "--examples", "30", "--heads"])).stdout;
    let text = String::from_utf8(text).unwrap();
    for word in ["pre-trained", "heterogeneous", "1.3", "30 development examples"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

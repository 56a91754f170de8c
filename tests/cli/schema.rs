//! Records of real runs against `schemas/record.schema.json`: it takes all of them, and nothing that is not one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use lottery::{
    choice::Choice,
    ops::{Format, optimizer},
    prune::{Estimator, Method, Mode, Norm, PrunedUnits, RandomRule, Rounds, Scope, WeightDraw},
    task::TaskId,
    train::{Batches, Schedule, Select},
};
use serde_json::{Value, json};

use crate::{
    fixture::{Bench, SQUAD, json_file, succeeded},
    validator::Validator,
};

fn schema() -> Value {
    json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/record.schema.json"))
}

fn validator() -> Validator {
    Validator::new(schema())
}

/// Records of all modes and of tasks that have all metrics between them.
fn records() -> Vec<Value> {
    let modes = Bench::new("SST-2");
    let mut records: Vec<Value> =
        Mode::names().iter().map(|mode| modes.record("sst2", &["--mode", mode])).collect();
    let ticket = modes.path("ticket.safetensors");
    records.push(modes.record("sst2", &["--set", "train.select=best-epoch", "--set", "data.fraction=0.5"]));
    succeeded(&mut modes.export(&records[0], "search", &["--ticket", "--out", ticket.to_str().unwrap()]));
    records.push(modes.record("sst2", &["--ticket", ticket.to_str().unwrap()]));
    for more in [
        ["--method", "magnitude"].as_slice(),
        &["--method", "one-shot", "--init", "step:1"],
        &["--method", "imp", "--sparsity", "0.2"],
        &["--method", "omp", "--ticket-from", "sst2"],
        &["--method", "gmp", "--sparsity", "0.5", "--init", "random-masked", "--set", "prune.initial=0.2"],
    ] {
        records.push(modes.record("sst2", more));
    }
    modes.write_task("MRPC");
    let shared =
        ["shared.finetune=true", "shared.learning_rate=0.001", "shared.finetune_learning_rate=0.001"];
    let shared =
        [&shared[..], &["shared.masked_units=drifting", "tasks.mrpc.prune.level=2", "prune.level=1"]]
            .concat();
    let shared: Vec<&str> = shared.into_iter().flat_map(|assignment| ["--set", assignment]).collect();
    records.push(modes.record("sst2", &[&["--method", "one-shot", "--with", "mrpc"], &shared[..]].concat()));
    records
        .push(modes.record("sst2", &["--method", "one-shot", "--ticket-from", "mrpc", "--init", "source"]));
    let finetuned = modes.path("runs/stages").join(records[0]["stages"]["finetune"].as_str().unwrap());
    records.push(modes.record("sst2", &["--finetuned", finetuned.to_str().unwrap()]));
    for (folder, task) in [("CoLA", "cola"), ("MRPC", "mrpc"), ("STS-B", "stsb"), ("MNLI", "mnli")] {
        records.push(Bench::new(folder).record(task, &["--mode", "full"]));
    }
    // Users' own tasks, which have every key of a definition between them.
    for (folder, keys) in [
        (
            "SST-2",
            "test = \"dev.tsv\"\nformat = \"tsv\"\nlabels = [\"0\", \"1\"]\ncolumns = { first = \"sentence\"",
        ),
        ("STS-B", "score = { min = 0, max = 5 }\ncolumns = { first = \"sentence1\", second = \"sentence2\""),
    ] {
        let bench = Bench::new(folder);
        let label = if folder == "SST-2" { "label" } else { "score" };
        let files =
            format!("name = \"own\"\nfolder = \"glue/{folder}\"\ntrain = \"train.tsv\"\ndev = \"dev.tsv\"\n");
        bench.write("own.toml", format!("{files}{keys}, label = \"{label}\" }}\n"));
        records.push(bench.record("own.toml", &["--mode", "full"]));
    }
    let words = Bench::new("SST-2");
    words.write("text.txt", crate::pretrain::text());
    words.write("other.txt", crate::pretrain::text() + "the end\n");
    let texts = ["--mode", "full", "--text", "text.txt", "--set", "data.dev_text=other.txt"];
    records.push(words.record("mlm", &texts));
    records.push(Bench::new("SQuAD").record("squad", &[&["--mode", "full"], SQUAD].concat()));
    records
}

/// The schema at this place, its `$ref` followed; what stands beside the `$ref` describes the field.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    }
}

/// Calls `visit` with the pointer, the resolved schema of every object that the schema describes by its `properties`,
/// and that object in this record.
fn objects(
    root: &Value,
    schema: &Value,
    record: &Value,
    at: &str,
    visit: &mut dyn FnMut(&str, &Value, &Value),
) {
    let schema = resolved(root, schema);
    if let (Some(properties), Some(fields)) = (schema["properties"].as_object(), record.as_object()) {
        visit(at, schema, record);
        for (key, value) in fields {
            if let Some(property) = properties.get(key) {
                objects(root, property, value, &format!("{at}/{key}"), visit);
            }
        }
    }
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_is_one_of_the_draft_that_it_names() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    Validator::new(schema);
}

#[test]
fn the_records_of_all_modes_are_valid_in_the_store_and_as_printed() {
    let validator = validator();
    let bench = Bench::new("SST-2");
    for mode in Mode::names() {
        let output = succeeded(bench.run("sst2", &["--mode", mode, "--json"]).arg("--quiet"));
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed["mode"], *mode);
        assert_eq!(validator.violations(&printed), [], "printed, {mode}");
        assert_eq!(validator.violations(&bench.stored_record("runs", &printed)), [], "stored, {mode}");
    }
}

#[test]
fn settings_other_than_the_defaults_are_valid() {
    let validator = validator();
    let bench = Bench::new("SST-2");
    for settings in [
        &["--preset", "prasanna2020-code", "--mode", "random"] as &[&str],
        &["--set", "importance.split=heldout:0.25", "--set", "seeds.init=3", "--method", "ffns"],
        &["--set", "importance.split=train:20", "--set", "data.train_limit=64", "--device", "cpu"],
        &["--preset", "liang2021-code", "--set", "seeds.data=7", "--set", "data.fraction=0.3"],
        &["--set", "train.warmup=1", "--set", "run.checkpoint_every=0", "--seed", "9223372036854775807"],
    ] {
        let record = bench.record("sst2", settings);
        assert_eq!(validator.violations(&record), [], "{settings:?}");
    }
}

/// Holds where a record's fields and the schema's are the same: a field that is added to the record and not to the
/// schema fails here, and so does one that only the schema has.
#[test]
fn the_schema_describes_exactly_the_fields_that_records_have_and_requires_those_they_all_have() {
    #[derive(Default)]
    struct Fields {
        described: BTreeSet<String>,
        required: BTreeSet<String>,
        seen: BTreeSet<String>,
        always: Option<BTreeSet<String>>,
    }
    let (schema, validator) = (schema(), validator());
    let mut places: BTreeMap<String, Fields> = BTreeMap::new();
    for record in records() {
        assert_eq!(validator.violations(&record), []);
        objects(&schema, &schema, &record, "", &mut |at, schema, object| {
            let place = places.entry(at.to_owned()).or_default();
            let required = schema["required"].as_array().into_iter().flatten();
            place.required = required.map(|name| name.as_str().unwrap().to_owned()).collect();
            place.described = names(&schema["properties"]);
            // Of rounds and other seeds.
            let numbered = |name: &String| {
                name.trim_end_matches("_s").rsplit_once('_').is_some_and(|(_, n)| n.parse::<u64>().is_ok())
            };
            place.seen.extend(names(object).into_iter().filter(|name| !numbered(name)));
            let always = place.always.take().map_or(names(object), |always| &always & &names(object));
            place.always = Some(always);
        });
    }
    for (at, fields) in &places {
        assert_eq!(fields.seen, fields.described, "fields of records at {at:?} and those described");
        assert_eq!(
            fields.always.as_ref(),
            Some(&fields.required),
            "fields of all records at {at:?} and `required`"
        );
    }
    for at in
        ["", "/model", "/ticket", "/pruned/metrics", "/timing", "/config/train", "/config/run", "/stages"]
    {
        assert!(places.contains_key(at), "{at:?} was not visited");
    }
}

#[test]
fn every_field_of_the_schema_says_what_it_is() {
    fn walk(root: &Value, schema: &Value, at: &str) -> usize {
        let Some(properties) = resolved(root, schema)["properties"].as_object() else { return 0 };
        let mut fields = 0;
        for (key, property) in properties {
            let at = format!("{at}/{key}");
            let told =
                |schema: &Value| schema["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(told(property) || told(resolved(root, property)), "{at} has no description");
            fields += 1 + walk(root, property, &at);
        }
        fields
    }
    let schema = schema();
    assert!(walk(&schema, &schema, "") > 80);
}

#[test]
fn the_names_of_settings_are_those_of_the_program() {
    let schema = schema();
    for (pointer, names) in [
        ("/$defs/task", TaskId::names()),
        ("/$defs/mode", Mode::names()),
        ("/$defs/method", Method::names()),
        ("/$defs/estimator", Estimator::names()),
        ("/$defs/config/properties/importance/properties/norm", Norm::names()),
        ("/$defs/dtype", Format::names()),
        ("/$defs/config/properties/importance/properties/pruned_units", PrunedUnits::names()),
        ("/$defs/config/properties/control/properties/random", RandomRule::names()),
        ("/$defs/config/properties/control/properties/weights", WeightDraw::names()),
        ("/$defs/config/properties/prune/properties/scope", Scope::names()),
        ("/$defs/config/properties/prune/properties/schedule", Rounds::names()),
        ("/$defs/config/properties/train/properties/optimizer", optimizer::Kind::names()),
        ("/$defs/config/properties/train/properties/schedule", Schedule::names()),
        ("/$defs/config/properties/train/properties/batches", Batches::names()),
        ("/$defs/config/properties/train/properties/select", Select::names()),
    ] {
        assert_eq!(schema.pointer(pointer).unwrap()["enum"], json!(names), "{pointer}");
    }
}

#[test]
fn fields_that_are_not_described_are_taken_except_in_the_config() {
    let validator = validator();
    let mut record = Bench::new("SST-2").record("sst2", &[]);
    record["later"] = json!({ "anything": [1, null] });
    record["timing"]["later_s"] = json!(1.5);
    assert_eq!(validator.violations(&record), []);
    for at in ["", "/data", "/train", "/importance", "/search", "/control", "/seeds", "/run"] {
        let mut wrong = record.clone();
        wrong.pointer_mut(&format!("/config{at}")).unwrap()["later"] = json!(1);
        let found = validator.violations(&wrong);
        assert!(found.iter().any(|(place, _)| *place == format!("/config{at}")), "{at}: {found:?}");
    }
}

/// Every described field that a good record has to have, one at a time.
#[test]
fn a_record_without_one_of_its_fields_is_refused() {
    let (schema, validator) = (schema(), validator());
    let record = Bench::new("SST-2").record("sst2", &[]);
    let mut fields = Vec::new();
    objects(&schema, &schema, &record, "", &mut |at, _, object| {
        fields.extend(names(object).into_iter().map(|name| (at.to_owned(), name)));
    });
    assert!(fields.iter().filter(|(at, _)| at.is_empty()).count() >= 19);
    for (at, name) in fields {
        let mut wrong = record.clone();
        wrong.pointer_mut(&at).unwrap().as_object_mut().unwrap().remove(&name);
        let found = validator.violations(&wrong);
        let told = |(place, words): &(String, String)| *place == at && words.contains(&name);
        assert!(found.iter().any(told), "without {at}/{name}: {found:?}");
    }
}

/// An object, a list, a text, a number and a truth value in the place of every field, except where that is its type.
#[test]
fn a_field_of_another_type_is_refused() {
    const FREE_TEXT: &[&str] = &[
        "/model/name",
        "/data/name",
        "/preset",
        "/device/name",
        "/config/preset",
        "/config/model",
        "/config/data/dir",
        "/config/data/text",
        "/config/data/dev_text",
        "/provenance/host",
        "/provenance/command",
        "/provenance/commit",
    ];
    let (schema, validator) = (schema(), validator());
    let record = Bench::new("SST-2").record("sst2", &[]);
    let mut fields = Vec::new();
    objects(&schema, &schema, &record, "", &mut |at, _, object| {
        fields.extend(names(object).into_iter().map(|name| format!("{at}/{name}")));
    });
    for field in fields {
        for other in [json!({}), json!(["2"]), json!("no such word"), json!(-1.5), json!(true)] {
            let mut wrong = record.clone();
            let value = wrong.pointer_mut(&field).unwrap();
            let of_a_device = field.starts_with("/devices/") && field.ends_with("/name");
            let its_own = (other.is_string() && (of_a_device || FREE_TEXT.contains(&&*field)))
                || (other.is_array() && field == "/warnings")
                || (other.is_boolean() && value.is_boolean());
            if its_own {
                continue;
            }
            *value = other.clone();
            let found = validator.violations(&wrong);
            assert!(found.iter().any(|(at, _)| at.starts_with(&field)), "{field} = {other}: {found:?}");
        }
    }
}

#[test]
fn a_value_that_no_run_writes_is_refused_where_it_stands() {
    let validator = validator();
    let bench = Bench::new("SST-2");
    let (good, full) = (bench.record("sst2", &[]), bench.record("sst2", &["--mode", "full"]));
    let of_good = [
        ("/format_version", json!(2)),
        ("/lottery_version", json!("next")),
        ("/task", json!("RTE")),
        ("/metric", json!("loss")),
        ("/metric", json!("corr")),
        ("/model/sha256", json!("0123")),
        ("/model/sha256", json!("A".repeat(64))),
        ("/model/layers", json!(0)),
        ("/method", json!("heads + ffns")),
        ("/mode", json!("best")),
        ("/mode", json!("Good")),
        ("/seed", json!(-1)),
        ("/seed", json!(1.5)),
        ("/preset", json!("")),
        ("/full/metrics/accuracy", json!(63.2)),
        ("/full/metrics/accuracy", json!(null)),
        ("/full/metrics", json!({})),
        ("/pruned/metrics", json!({ "accuracy": 0.5, "other": "high" })),
        ("/retrained/metrics", json!({ "matthews": 0.5 })),
        ("/full/baseline", json!(1.5)),
        ("/ticket/heads/1", json!("1121")),
        ("/ticket/heads/0", json!("")),
        ("/ticket/heads/0", json!("1011\n")),
        ("/ticket/heads", json!([])),
        ("/ticket/ffns", json!("1 ")),
        ("/ticket/heads_kept", json!(-1)),
        ("/ticket/encoder_weights_kept", json!(1.01)),
        ("/ticket/all_weights_kept", json!(-0.1)),
        ("/ticket/stage", json!("retrain-0123456789ab")),
        ("/ticket/stage", json!(null)),
        ("/importance/estimator", json!("sum")),
        ("/importance/norm", json!(null)),
        ("/importance/split", json!("heldout:1")),
        ("/importance/split", json!("train:0")),
        ("/warnings/0", json!(1)),
        ("/timing/finetune_s", json!(null)),
        ("/timing/search_s", json!(null)),
        ("/timing/retrain_s", json!(-1)),
        ("/timing/train_tokens_per_s", json!(null)),
        ("/device/threads", json!(0)),
        ("/device/dtype", json!("f64")),
        ("/device/kernels", json!("Avx2")),
        ("/config/run/device", json!("cuda:x")),
        ("/config/run/threads", json!(0)),
        ("/config/seeds/init", json!(-1)),
        ("/config/train/dropout", json!(1)),
        ("/config/train/learning_rate", json!(0)),
        ("/config/search/threshold", json!(0)),
        ("/config/data/max_length", json!(7)),
        ("/stages/finetune", json!("finetune-0123456789a")),
        ("/stages/search", json!("search-0123456789aB")),
        ("/stages/evaluate", json!("finetune-0123456789ab")),
        ("/stages/retrain", json!("search-0123456789ab")),
    ];
    let of_full = [
        ("/ticket/stage", good["ticket"]["stage"].clone()),
        ("/importance/norm", good["importance"]["norm"].clone()),
        ("/timing/search_s", json!(1.5)),
        ("/stages/retrain", good["stages"]["retrain"].clone()),
    ];
    for (record, wrong_values) in [(&good, &of_good as &[_]), (&full, &of_full)] {
        for (field, value) in wrong_values {
            let mut wrong = record.clone();
            *wrong.pointer_mut(field).unwrap_or_else(|| panic!("no {field} in the record")) = value.clone();
            let found = validator.violations(&wrong);
            assert!(found.iter().any(|(at, _)| at.starts_with(field)), "{field} = {value}: {found:?}");
        }
    }
    let mut searched = full;
    searched["stages"]["search"] = good["stages"]["search"].clone();
    assert!(!validator.violations(&searched).is_empty());
}

#[test]
fn tickets_of_searches_and_of_ticket_files_are_what_their_schema_says_and_nothing_else_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/ticket.schema.json");
    let validator = Validator::new(json_file(&path));
    let bench = Bench::new("SST-2");
    let record = bench.record("sst2", &[]);
    let file = bench.path("ticket.safetensors");
    succeeded(&mut bench.export(&record, "search", &["--ticket", "--out", file.to_str().unwrap()]));
    let taken = bench.record("sst2", &["--ticket", file.to_str().unwrap()]);
    let ticket = |record: &Value, node: &str| -> Value {
        serde_json::from_slice(&bench.stage_file("runs", record, node, "ticket.json")).unwrap()
    };
    let searched = ticket(&record, "search");
    assert!(!searched["steps"].as_array().unwrap().is_empty());
    for ticket in [&searched, &ticket(&taken, "ticket")] {
        assert_eq!(validator.violations(ticket), []);
    }
    for (pointer, wrong) in [
        ("/format_version", json!(2)),
        ("/heads/0", json!("11x1")),
        ("/threshold", json!(1.5)),
        ("/split", json!("test")),
        ("/steps/0/pruned_heads", json!([[0]])),
        ("/steps/0/accepted", json!("yes")),
        ("/steps/0/importance/heads", json!(["0.1"])),
    ] {
        let mut ticket = searched.clone();
        *ticket.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}: {searched}")) = wrong;
        assert_eq!(validator.violations(&ticket).len(), 1, "{pointer}");
    }
    // Every field that is written is described.
    let described = &json_file(&path)["properties"];
    for key in searched.as_object().unwrap().keys() {
        assert!(described[key].is_object(), "{key}");
    }
}

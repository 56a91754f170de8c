//! Task files that cannot be used.

use std::fs;

use crate::fixture::{Bench, assert_nothing_half_written, refused, table};

/// Replaces one file of RTE, and expects exit code 3, this paragraph, and an untouched store.
fn refuse(file: &str, content: impl AsRef<[u8]>, wanted: &[&str]) {
    let bench = Bench::new("RTE");
    bench.write(&format!("glue/RTE/{file}"), content);
    refused(&mut bench.run("rte", &[]), 3, wanted);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn a_missing_column_is_named_with_its_file() {
    let rows = table("RTE", 0, 10).replace("\tlabel", "\tlabels");
    refuse("dev.tsv", rows, &["glue/RTE/dev.tsv", "column \"label\" is missing", "\"labels\""]);
}

#[test]
fn an_unknown_label_is_named_with_its_line() {
    let rows = table("RTE", 0, 10) + "10\ta film\tthe plot\tperhaps\n";
    let wanted = ["glue/RTE/train.tsv:12", "unknown label \"perhaps\"", "\"entailment\", \"not_entailment\""];
    refuse("train.tsv", rows, &wanted);
}

#[test]
fn invalid_utf8_is_named_with_its_line() {
    let rows = [table("RTE", 0, 3).as_bytes(), b"3\tna\xefve\tfilm\tentailment\n"].concat();
    refuse("train.tsv", rows, &["glue/RTE/train.tsv:5", "invalid UTF-8", "Convert the file"]);
}

#[test]
fn a_file_without_rows_is_named() {
    for content in [String::new(), table("RTE", 0, 0)] {
        refuse("dev.tsv", &content, &["glue/RTE/dev.tsv: no rows"]);
        refuse("train.tsv", &content, &["glue/RTE/train.tsv: no rows"]);
    }
}

#[test]
fn a_short_row_is_named_with_its_line() {
    let rows = table("RTE", 0, 4) + "4\ta film";
    refuse("train.tsv", rows, &["glue/RTE/train.tsv:6", "2 columns, 4 are expected"]);
}

#[test]
fn an_unlabelled_test_file_is_recognised_by_its_columns() {
    refuse("dev.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n", &["test files cannot be used"]);
}

#[test]
fn a_missing_task_folder_says_what_is_there_and_what_is_expected() {
    let bench = Bench::new("RTE");
    let wanted = ["glue/SST-2", "holds: RTE", "SST-2/train.tsv", "SST-2/dev.tsv", "--data"];
    refused(&mut bench.run("sst2", &[]), 3, &wanted);
    refused(&mut bench.run("rte", &["--data", "nowhere"]), 3, &["nowhere/RTE", "--data"]);
    refused(&mut bench.run("rte", &["--data", "glue/RTE"]), 3, &["dev.tsv", "name the folder above RTE"]);
    fs::remove_file(bench.path("glue/RTE/dev.tsv")).unwrap();
    refused(&mut bench.run("rte", &[]), 3, &["glue/RTE/dev.tsv"]);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn texts_that_are_empty_or_long_or_unknown_are_data_like_any_other() {
    let bench = Bench::new("RTE");
    let long = "superb lovely ".repeat(200);
    let odd = format!(
        "0\t\t\tentailment\n1\t{long}\t{long}\tnot_entailment\n2\t日本語 🙂\t\u{0}\u{301}\tentailment\n"
    );
    for file in ["glue/RTE/train.tsv", "glue/RTE/dev.tsv"] {
        bench.write(file, table("RTE", 0, 12) + &odd);
    }
    bench.record("rte", &["--mode", "bad", "--set", "train.epochs=1"]);
}

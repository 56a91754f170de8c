//! Task files that cannot be used.

use std::fs;

use crate::fixture::{Bench, assert_nothing_half_written, files, json_file, refused, stderr, table};

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
    refuse("train.tsv", rows, &["glue/RTE/train.tsv:6", "2 columns instead of 4"]);
}

#[test]
fn an_unlabelled_test_file_is_recognised_by_its_columns() {
    refuse("dev.tsv", "index\tsentence1\tsentence2\n0\ta\tb\n", &["test files cannot be used"]);
}

#[test]
fn a_missing_task_folder_says_what_is_there_and_what_is_expected() {
    let bench = Bench::new("RTE");
    let wanted = ["glue/SST-2", "contains: RTE", "SST-2/train.tsv", "SST-2/dev.tsv", "--data"];
    refused(&mut bench.run("sst2", &[]), 3, &wanted);
    refused(&mut bench.run("rte", &["--data", "nowhere"]), 3, &["nowhere/RTE", "--data"]);
    refused(&mut bench.run("rte", &["--data", "glue/RTE"]), 3, &["dev.tsv", "the folder that contains RTE"]);
    fs::remove_file(bench.path("glue/RTE/dev.tsv")).unwrap();
    refused(&mut bench.run("rte", &[]), 3, &["glue/RTE/dev.tsv"]);
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn texts_that_are_empty_or_long_or_unknown_are_data_like_any_other() {
    let bench = Bench::new("RTE");
    let long = "superb lovely ".repeat(200);
    let odd = format!(
        "0\t\t\tentailment\n1\t{long}\t{long}\tnot_entailment\n2\t日本語 🙂\t\u{1}\u{301}\tentailment\n"
    );
    for file in ["glue/RTE/train.tsv", "glue/RTE/dev.tsv"] {
        bench.write(file, table("RTE", 0, 12) + &odd);
    }
    bench.record("rte", &["--mode", "bad", "--set", "train.epochs=1"]);
}

#[test]
fn another_kind_of_file_in_the_place_of_a_table_is_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n";
    refuse("train.tsv", pointer, &["glue/RTE/train.tsv is a Git LFS pointer", "git lfs pull"]);
    refuse("dev.tsv", b"\x1f\x8b\x08\0\0\0\0\0", &["glue/RTE/dev.tsv is compressed with gzip", "gunzip"]);
    let rows = table("RTE", 0, 4) + "4\ta \0film\tthe plot\tentailment\n";
    refuse("dev.tsv", rows, &["glue/RTE/dev.tsv:6: a NUL character at byte 5"]);
}

#[test]
fn a_file_of_one_line_of_megabytes_is_refused_in_a_few_words() {
    let rows = (table("RTE", 0, 4).replace('\n', "\r")) + &"x".repeat(4 << 20);
    let bench = Bench::new("RTE");
    bench.write("glue/RTE/train.tsv", &rows);
    let output = bench.run("rte", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.contains("glue/RTE/train.tsv: the lines end in CR only") && said.len() < 500, "{said}");
    // Nor does it grow where nothing is known of the cause.
    bench.write("glue/RTE/train.tsv", rows.replace('\r', " "));
    let said = refused(&mut bench.run("rte", &[]), 3, &["column \"label\" is missing", "…"]);
    assert!(said.len() < 1000, "{said}");
}

#[test]
fn what_a_file_holds_does_nothing_to_the_terminal_nor_to_what_is_recorded() {
    let bench = Bench::new("RTE");
    let label = "\x1b]0;title\x07\u{202e}\u{9b}2J\rperhaps";
    bench.write("glue/RTE/train.tsv", table("RTE", 0, 4) + &format!("4\ta\tb\t{label}\n"));
    let shown = r#"unknown label "\u{1b}]0;title\u{7}\u{202e}\u{9b}2J\rperhaps"; RTE allows"#;
    let said = refused(&mut bench.run("rte", &[]), 3, &[shown]);
    assert!(!said.contains(|c: char| c.is_control() || c == '\u{202e}'), "{said:?}");
    let events = files(&bench.path("runs/events"));
    let text = fs::read_to_string(bench.path("runs/events").join(&events[0])).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(last["message"].as_str().unwrap().contains(shown), "{last}");

    // A sweep tells it of its run, and writes it down.
    let mut sweep = crate::sweep::sweep(&bench, "runs", &["--tasks", "rte", "--seeds", "1", "--keep-going"]);
    let output = sweep.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    let told = [stderr(&output), String::from_utf8(output.stdout).unwrap()];
    for told in told {
        let acts = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(told.contains(shown) && !told.contains(acts), "{told:?}");
    }
    let sweeps = bench.path("runs/sweeps");
    let state = files(&sweeps).into_iter().find(|path| path.parent().unwrap().ends_with("runs")).unwrap();
    assert!(json_file(&sweeps.join(state))["error"].as_str().unwrap().contains(shown));
}

#[cfg(unix)]
#[test]
fn a_folder_a_pipe_or_a_link_to_nowhere_in_the_place_of_a_table_is_an_error_and_no_wait() {
    let bench = Bench::new("RTE");
    let path = bench.path("glue/RTE/dev.tsv");
    let refuse = |wanted: &str| _ = refused(&mut bench.run("rte", &[]), 3, &["glue/RTE/dev.tsv", wanted]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refuse("it is a folder, not a regular file");
    fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    refuse("it is a named pipe, not a regular file");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("gone.tsv", &path).unwrap();
    refuse("is a link to gone.tsv, which does not exist");
    fs::remove_dir_all(bench.path("glue")).unwrap();
    std::os::unix::fs::symlink("gone", bench.path("glue")).unwrap();
    refused(
        &mut bench.run("rte", &[]),
        3,
        &["no folder glue/RTE; glue is a link to gone, which does not exist"],
    );
    assert_nothing_half_written(&bench.path("runs"));
}

#[test]
fn files_of_the_original_corpora_are_recognised() {
    let bench = Bench::new("MRPC");
    let train = bench.path("glue/MRPC/train.tsv");
    fs::rename(&train, bench.path("glue/MRPC/msr_paraphrase_train.txt")).unwrap();
    refused(
        &mut bench.run("mrpc", &[]),
        3,
        &["msr_paraphrase_train.txt is from the original corpus", "train.tsv"],
    );
    let bench = Bench::new("MNLI");
    bench.write("glue/MNLI/dev_matched.tsv", table("MNLI", 0, 3) + "3\ta\tb\t-\n");
    refused(
        &mut bench.run("mnli", &[]),
        3,
        &["dev_matched.tsv:5: the label is \"-\"", "awk -F'\\t' '$4 != \"-\"'"],
    );
}

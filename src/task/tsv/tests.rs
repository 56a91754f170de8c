use super::*;
use crate::task::TaskId;

fn parsed(task: TaskId, content: &[u8]) -> Result<Vec<Example>> {
    let wanted = Wanted { spec: task.spec(), labels: true, only: None };
    Ok(parse(&wanted, Path::new("some/dev.tsv"), content)?.examples)
}

fn message(task: TaskId, content: &[u8]) -> String {
    let error = parsed(task, content).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    error.to_string()
}

fn pair(first: &str, second: &str, class: u32) -> Example {
    Example { first: first.into(), second: Some(second.into()), label: Label::Class(class) }
}

#[test]
fn columns_are_found_by_name_wherever_they_stand() {
    let usual = b"index\tsentence1\tsentence2\tlabel\n0\tA b.\tC \"d.\tnot_entailment\n";
    let moved = b"label\textra\tsentence2\tsentence1\nnot_entailment\t?\tC \"d.\tA b.\n";
    let expected = vec![pair("A b.", "C \"d.", 1)];
    assert_eq!(parsed(TaskId::Rte, usual).unwrap(), expected);
    assert_eq!(parsed(TaskId::Rte, moved).unwrap(), expected);
}

#[test]
fn a_file_without_header_is_read_by_position() {
    let examples = parsed(TaskId::Cola, b"gj04\t1\t\tIt rains.\nks08\t0\t*\tRains it the.").unwrap();
    let label = |index: usize| examples[index].label;
    assert_eq!((label(0), label(1)), (Label::Class(1), Label::Class(0)));
    assert_eq!(examples[1].first, "Rains it the.");
    assert_eq!(examples[1].second, None);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_part_of_the_text() {
    let content = b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t2\t3\tx\ty\r\n\r\n";
    assert_eq!(parsed(TaskId::Mrpc, content).unwrap(), [pair("x", "y", 1)]);
}

#[test]
fn class_indices_follow_the_label_names() {
    let content = b"sentence1\tsentence2\tgold_label\na\tb\tcontradiction\na\tb\tentailment\na\tb\tneutral\n";
    let expected = [pair("a", "b", 0), pair("a", "b", 1), pair("a", "b", 2)];
    assert_eq!(parsed(TaskId::Mnli, content).unwrap(), expected);
}

#[test]
fn a_score_is_a_number_from_0_to_5() {
    let content = b"sentence1\tsentence2\tscore\na\tb\t3.800\n";
    assert_eq!(parsed(TaskId::Stsb, content).unwrap()[0].label, Label::Score(3.8));
    for bad in ["5.1", "-1", "NaN", "high", ""] {
        let text = message(TaskId::Stsb, format!("sentence1\tsentence2\tscore\na\tb\t{bad}\n").as_bytes());
        assert!(text.starts_with(&format!("some/dev.tsv:2: unknown label \"{bad}\"")), "{text}");
        assert!(text.contains("a number from 0 to 5"), "{text}");
    }
}

#[test]
fn a_missing_column_is_named_with_the_header_found() {
    let text = message(TaskId::Rte, b"index\tsentence1\tsentence2\n0\ta\tb\n");
    assert!(text.starts_with("some/dev.tsv: column \"label\" is missing"), "{text}");
    assert!(text.contains("the header has: \"index\", \"sentence1\", \"sentence2\"."), "{text}");
    let text = message(TaskId::Qnli, b"index\tquestion\tlabel\n0\ta\tentailment\n");
    assert!(text.contains("column \"sentence\" is missing"), "{text}");
}

#[test]
fn an_unknown_label_is_named_with_its_line_and_the_labels_allowed() {
    let text = message(TaskId::Rte, b"sentence1\tsentence2\tlabel\na\tb\tentailment\na\tb\tmaybe\n");
    assert!(text.starts_with("some/dev.tsv:3: unknown label \"maybe\""), "{text}");
    assert!(text.contains("\"entailment\", \"not_entailment\""), "{text}");
}

#[test]
fn invalid_utf8_is_named_with_its_line() {
    let text = message(TaskId::Sst2, b"sentence\tlabel\nfine\t1\nb\xffd\t0\n");
    assert!(text.starts_with("some/dev.tsv:3: invalid UTF-8 at byte 2"), "{text}");
    let text = message(TaskId::Sst2, b"sent\xe9nce\tlabel\nfine\t1\n");
    assert!(text.starts_with("some/dev.tsv:1: invalid UTF-8"), "{text}");
}

#[test]
fn a_short_row_is_named_with_its_line() {
    let text = message(TaskId::Rte, b"index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\ta\tb\n");
    assert!(text.starts_with("some/dev.tsv:3: the row has 3 columns instead of 4"), "{text}");
    let text = message(TaskId::Cola, b"gj04\t1\tIt rains.\n");
    assert!(text.starts_with("some/dev.tsv:1: the row has 3 columns instead of 4"), "{text}");
}

#[test]
fn a_file_without_rows_is_an_error() {
    for content in [&b""[..], b"\n", b"\xef\xbb\xbf", b"index\tsentence1\tsentence2\tlabel\n"] {
        assert!(message(TaskId::Rte, content).starts_with("some/dev.tsv: no rows."));
    }
    assert!(message(TaskId::Cola, b"").contains("no rows"));
}

#[test]
fn the_few_broken_rows_of_qqp_are_left_out_and_many_are_an_error() {
    let header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n";
    let file =
        |good: usize| format!("{header}7\t1\t2\tbroken\nrest\t1\n{}", "1\t2\t3\ta\tb\t0\n".repeat(good));
    assert_eq!(parsed(TaskId::Qqp, file(200).as_bytes()).unwrap().len(), 200);
    assert!(message(TaskId::Qqp, file(199).as_bytes()).starts_with("some/dev.tsv:2: the row has 4 columns"));
}

#[test]
fn another_kind_of_file_is_named_whatever_its_lines_lack() {
    let wide: Vec<u8> =
        "\u{feff}sentence\tlabel\nfine\t1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 7] = [
        (b"\x1f\x8b\x08\0\0\0\0\0", "is compressed with gzip. Decompress it first"),
        (b"PK\x03\x04\x14\0\0\0", "is a zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html>\n", "is a web page"),
        (b"PAR1\x15\0", "is a Parquet file"),
        (b"{\"sentence\": \"fine\", \"label\": 1}\n", "is JSON"),
        (&wide, "is UTF-16 text"),
    ];
    for (content, wanted) in cases {
        for task in [TaskId::Sst2, TaskId::Cola] {
            let text = message(task, content);
            assert!(text.starts_with("some/dev.tsv is ") && text.contains(wanted), "{text}");
        }
    }
}

#[test]
fn lines_that_end_in_cr_alone_are_refused_in_a_short_message_whatever_the_task() {
    let rows = "fine\t1\r".repeat(1 << 19);
    for (task, content) in [
        (TaskId::Sst2, format!("sentence\tlabel\r{rows}")),
        (TaskId::Sst2, format!("label\tsentence\r{rows}\n")),
        (TaskId::Cola, format!("gj04\t1\t\tIt rains.\rks08\t0\t*\tRains it.\r{rows}")),
    ] {
        let text = message(task, content.as_bytes());
        assert!(text.contains("end in CR only") && text.len() < 200, "{text}");
    }
    let within = parsed(TaskId::Sst2, b"sentence\tlabel\r\nfi\rne\t1\r\n").unwrap();
    assert_eq!(within[0].first, "fi\rne");
    let stray = message(TaskId::Sst2, b"sentence\tlabel\r\r\nfine\t1\r\nfine\t1\r\n");
    assert!(stray.contains(r#"the header has: "sentence", "label\r"."#), "{stray}");
}

#[test]
fn what_a_file_holds_is_shown_cut_and_without_effect_on_a_terminal() {
    let long = "x".repeat(4 << 20);
    let text = message(TaskId::Sst2, format!("sentence\tlabel\nfine\t\x1b[2J\u{202e}{long}end\n").as_bytes());
    assert!(text.contains(r#"unknown label "\u{1b}[2J\u{202e}xxx"#) && text.contains("xend\"; "), "{text}");
    assert!(text.chars().count() < 350, "{text}");
    let text = message(TaskId::Sst2, "name\t".repeat(1 << 19).as_bytes());
    assert!(text.contains("\"name\" and 524269 more. A file of SST-2 needs"), "{text}");
}

#[test]
fn quotes_around_cells_are_recognised() {
    for (task, content) in [
        (TaskId::Sst2, "\"sentence\"\t\"label\"\n\"fine\"\t\"1\"\n"),
        (TaskId::Sst2, "sentence\tlabel\n\"fine\"\t\"1\"\n"),
        (TaskId::Sst2, "sentence\tlabel\n\"a\nb\"\t1\n"),
        (TaskId::Sst2, "sentence\tlabel\n\"a\tb\"\t1\n"),
        // Every column that is read would have a fitting value.
        (TaskId::Sst2, "label\tsentence\n1\t\"a\tb\"\n"),
        (TaskId::Cola, "gj04\t1\t\t\"a\tb\"\n"),
    ] {
        let text = message(task, content.as_bytes());
        assert!(text.contains("QUOTE_NONE"), "{content:?}: {text}");
    }
    let odd = "index\tsentence1\tsentence2\tlabel\n0\t\"Yes\tNo\"\tentailment\n";
    assert_eq!(parsed(TaskId::Rte, odd.as_bytes()).unwrap(), [pair("\"Yes", "No\"", 0)]);
}

#[test]
fn a_pair_without_a_gold_label_says_so_and_how_to_take_it_out() {
    let text = message(TaskId::Mnli, b"gold_label\tsentence1\tsentence2\nneutral\ta\tb\n-\ta\tb\n");
    assert!(text.starts_with("some/dev.tsv:3: the label is \"-\": the annotators"), "{text}");
    assert!(text.ends_with(r#"awk -F'\t' '$1 != "-"'."#), "{text}");
    // It means nothing elsewhere.
    assert!(message(TaskId::Sst2, b"sentence\tlabel\na\t-\n").contains("unknown label \"-\""));
}

#[test]
fn the_likely_cause_of_a_label_that_is_none_is_told() {
    for (task, word, cause) in [
        (TaskId::Sst2, "1.0", "Write it as a whole number"),
        (TaskId::Sst2, "0.73", "Check that the file belongs to this task"),
        (TaskId::Sst2, "-1", "The row has no label"),
        (TaskId::Sst2, "", "The row has no label"),
        (TaskId::Rte, "0", "Write the name"),
        (TaskId::Rte, "Entailment ", "without spaces around it"),
        (TaskId::Rte, "b\tentailment", "more columns than the header"),
    ] {
        let header =
            if task == TaskId::Rte { "sentence1\tsentence2\tlabel\na\t" } else { "sentence\tlabel\n" };
        let text = message(task, format!("{header}b\t{word}\n").as_bytes());
        assert!(text.contains(":2: unknown label") && text.contains(cause), "{word}: {text}");
    }
}

#[test]
fn commas_between_columns_and_a_column_that_is_there_twice_are_told() {
    let text = message(TaskId::Rte, b"index,sentence1,sentence2,label\n0,a,b,entailment\n");
    assert!(text.contains("seem to be separated by commas"), "{text}");
    let text = message(TaskId::Sst2, b"sentence\tlabel\tlabel\nfine\t1\t0\n");
    assert!(text.contains("column \"label\" more than once"), "{text}");
    // One that is not needed may be.
    assert!(parsed(TaskId::Sst2, b"id\tid\tsentence\tlabel\n0\t1\tfine\t1\n").is_ok());
}

#[test]
fn a_nul_in_a_sentence_is_named_with_its_line() {
    let text = message(TaskId::Sst2, b"sentence\tlabel\nfine\t1\nb\0d\t0\n");
    assert!(text.starts_with("some/dev.tsv:3: a NUL character at byte 2"), "{text}");
    assert!(message(TaskId::Sst2, b"s\0e\0n\0t\0").starts_with("some/dev.tsv:1: a NUL"));
}

#[test]
fn hundreds_of_thousands_of_rows_and_lines_of_megabytes_are_read_or_refused_at_once() {
    let began = std::time::Instant::now();
    let rows = "a rather ordinary sentence\t1\n".repeat(400_000);
    let long = format!("sentence\tlabel\n{rows}{}\t0\n", "long ".repeat(4 << 20));
    let examples = parsed(TaskId::Sst2, long.as_bytes()).unwrap();
    assert_eq!((examples.len(), examples[400_000].first.len()), (400_001, 20 << 20));
    let wrong = long.replace("\t1\n", "\tno\n");
    assert!(message(TaskId::Sst2, wrong.as_bytes()).starts_with("some/dev.tsv:2: unknown label \"no\""));
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

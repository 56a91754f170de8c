"""The same few rows of GLUE's tasks in several formats, for src/task/agreement.rs: python3 datasets.py > datasets.json

For each task: `tsv`, as GLUE's archives have it; `hub`, the Parquet files of nyu-mll/glue on the Hugging Face hub (in
hexadecimal), whose labels are whole numbers with their names in the metadata, as `datasets` writes them; `jsonl`, as
`datasets` exports them, without these names; `csv`, with the names in the place of the numbers.
"""

import csv
import io
import json
import platform

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = ["Plain.", 'He said "yes, no".', "Naïve café, 東京 🎟", " leading; and a 'quote'", "it's 5 % or $3", '"', "a,b,,c", "Ende"]
# task: columns of the TSV file and on the hub, names on the hub in its order, the TSV file's label of each, codec
TASKS = {
    "cola": (["sentence"], ["unacceptable", "acceptable"], ["0", "1"], "snappy"),
    "mrpc": (["sentence1", "sentence2"], ["not_equivalent", "equivalent"], ["0", "1"], "zstd"),
    "stsb": (["sentence1", "sentence2"], None, None, "gzip"),
    "mnli": (["premise", "hypothesis"], ["entailment", "neutral", "contradiction"],
             ["entailment", "neutral", "contradiction"], "lz4"),
    "qnli": (["question", "sentence"], ["entailment", "not_entailment"], ["entailment", "not_entailment"], "none"),
}
TSV = {"cola": "CoLA", "mrpc": "MRPC", "stsb": "STS-B", "mnli": "MNLI", "qnli": "QNLI"}
TSV_COLUMNS = {"mrpc": ["#1 String", "#2 String", "Quality"], "stsb": ["sentence1", "sentence2", "score"],
               "mnli": ["sentence1", "sentence2", "gold_label"], "qnli": ["question", "sentence", "label"]}
SCORES = ["3.800", "0.000", "5.000", "2.25", "1.1", "4.900"]


def rows(task, n, start):
    """Texts, label on the hub and label in the TSV file."""
    columns, names, words, _ = TASKS[task]
    out = []
    for i in range(start, start + n):
        texts = [TEXTS[(i * (k + 1) + k) % len(TEXTS)] for k in range(len(columns))]
        if names is None:
            out.append((texts, float(SCORES[i % 6]), SCORES[i % 6]))
        else:
            label = (i * 7 + i // 2) % len(names)
            out.append((texts, label, words[label]))
    return out


def tsv(task, rows):
    if task == "cola":
        return "".join(f"gj04\t{word}\t\t{texts[0]}\n" for texts, _, word in rows)
    first, second, label = TSV_COLUMNS[task]
    lines = [f"index\t{first}\tgenre\t{second}\t{label}"]
    lines += [f"{i}\t{texts[0]}\tx\t{texts[1]}\t{word}" for i, (texts, _, word) in enumerate(rows)]
    return "\r\n".join(lines) + "\r\n"


def jsonl(task, rows):
    columns = TASKS[task][0]
    dicts = [dict(zip(columns, texts), label=label, idx=i) for i, (texts, label, _) in enumerate(rows)]
    return "".join(json.dumps(row, ensure_ascii=i % 2 == 0) + "\n" for i, row in enumerate(dicts))


def comma(task, rows):
    columns, names, _, _ = TASKS[task]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["idx", "label"] + columns)
    for i, (texts, label, _) in enumerate(rows):
        writer.writerow([i, names[label] if names else label] + texts)
    return out.getvalue()


def parquet(task, rows, idx):
    columns, names, _, codec = TASKS[task]
    label = {"dtype": "float32", "_type": "Value"} if names is None else {"names": names, "_type": "ClassLabel"}
    features = {name: {"dtype": "string", "_type": "Value"} for name in columns}
    features |= {"label": label, "idx": {"dtype": "int32", "_type": "Value"}}
    arrays = {name: pa.array([row[0][k] for row in rows]) for k, name in enumerate(columns)}
    arrays["label"] = pa.array([row[1] for row in rows], pa.float32() if names is None else pa.int64())
    arrays["idx"] = pa.array(range(idx, idx + len(rows)), pa.int32())
    table = pa.table(arrays).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    out = io.BytesIO()
    # Two groups of rows, and the second version of data pages in half of the files.
    pq.write_table(table, out, compression=codec, row_group_size=3, data_page_version="2.0" if len(task) % 2 else "1.0")
    return out.getvalue().hex()


out = {"versions": {"python": platform.python_version(), "pyarrow": pa.__version__}, "tasks": {}}
for task in TASKS:
    train = rows(task, 8, 0)
    devs = {"": rows(task, 5, 3)} if task != "mnli" else {"_matched": rows(task, 5, 3), "_mismatched": rows(task, 4, 1)}
    files = {"tsv": {f"{TSV[task]}/train.tsv": tsv(task, train)}, "jsonl": {f"{TSV[task]}/train.jsonl": jsonl(task, train)},
             "csv": {f"{task}/train.csv": comma(task, train)},
             "hub": {f"{task}/train-00000-of-00002.parquet": parquet(task, train[:5], 0),
                     f"{task}/train-00001-of-00002.parquet": parquet(task, train[5:], 5)}}
    for name, dev in devs.items():
        files["tsv"][f"{TSV[task]}/dev{name}.tsv"] = tsv(task, dev)
        files["jsonl"][f"{TSV[task]}/dev{name}.jsonl"] = jsonl(task, dev)
        files["csv"][f"{task}/validation{name}.csv"] = comma(task, dev)
        files["hub"][f"{task}/validation{name}-00000-of-00001.parquet"] = parquet(task, dev, 0)
    out["tasks"][task] = files
print(json.dumps(out, indent=1, ensure_ascii=False))

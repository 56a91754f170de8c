"""Writes squad_parquet.json: questions in SQuAD's JSON, and in the Parquet files of rajpurkar/squad, by pyarrow. Run it in
this folder."""

import io
import json
import platform

import pyarrow
import pyarrow.parquet

SPLITS = {
    "train": [
        ("Zo\u00eb saw \u4e2d cats. They slept.", [
            ("1", "Who saw them?", [("Zo\u00eb", 0)]),
            ("2", "What did she see?", [("\u4e2d cats", 8), ("cats", 10)]),
            ("3", "Who slept?", [("cats", 1)]),
        ]),
        ("It is warm.", [("4", "How is it?", [("warm", 6)])]),
    ],
    "validation": [("It is cold.", [("5", "How is it?", [("cold", 6), ("cold", 6)]), ("6", "Is it?", [("is", 3)])])],
}

schema = pyarrow.schema({
    "id": pyarrow.string(), "title": pyarrow.string(), "context": pyarrow.string(), "question": pyarrow.string(),
    "answers": pyarrow.struct({"text": pyarrow.list_(pyarrow.string()), "answer_start": pyarrow.list_(pyarrow.int32())}),
})
found = {}
for split, paragraphs in SPLITS.items():
    rows = [{"id": id, "title": "T", "context": context, "question": question,
             "answers": {"text": [text for text, _ in answers], "answer_start": [start for _, start in answers]}}
            for context, asked in paragraphs for id, question, answers in asked]
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), out)
    found[split] = {
        "parquet": out.getvalue().hex(),
        "json": {"version": "1.1", "data": [{"title": "T", "paragraphs": [
            {"context": context, "qas": [
                {"id": id, "question": question,
                 "answers": [{"text": text, "answer_start": start} for text, start in answers]}
                for id, question, answers in asked]}
            for context, asked in paragraphs]}]},
    }
versions = {"python": platform.python_version(), "pyarrow": pyarrow.__version__}
json.dump({"script": "tests/golden/squad_parquet.py", "versions": versions} | found, open("squad_parquet.json", "w"),
          separators=(",", ":"))

"""The tables, records and folders of `lottery report`, read by other programs: see check-report.sh."""

import glob
import io
import json
import os
import subprocess

import pandas

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
LOTTERY, STORE = os.environ["LOTTERY"], os.environ["STORE"]


def report(*arguments):
    return subprocess.run([LOTTERY, "report", STORE, *arguments], capture_output=True, check=True).stdout


def strict(text):
    """JSON as RFC 8259 has it: no NaN, no infinity, no key twice."""
    def pairs(found):
        assert len({key for key, _ in found}) == len(found), f"a key stands twice: {[key for key, _ in found]}"
        return dict(found)

    def constant(name):
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=constant, object_pairs_hook=pairs)


whole = strict(report("--json", "--stages"))
tables, records = whole["tables"] | strict(report("--json", "--long"))["tables"], whole["records"]
for name, rows in tables.items():
    one = ["--long"] if name == "runs" else ["--table", name, "--stages"]
    parquet = pandas.read_parquet(io.BytesIO(report(*one, "--format", "parquet")))
    csv = pandas.read_csv(io.BytesIO(report(*one, "--format", "csv")))
    assert len(parquet) == len(csv) == len(rows), name
    assert list(parquet) == list(csv), name
    for column in parquet:
        values = [row[column] for row in rows]
        known = [value for value in values if value is not None]
        kinds = {type(value) for value in known}
        kind = parquet[column].dtype.kind
        if kinds <= {int, float} and known:
            assert kind in "if", f"{name}.{column}: {parquet[column].dtype}"
            # Without values it has no type of its own in CSV.
            assert csv[column].dtype.kind in "if", f"{name}.{column} in CSV: {csv[column].dtype}"
        elif kinds == {str}:
            assert kind not in "if", f"{name}.{column}: {parquet[column].dtype}"
        for place, value in enumerate(values):
            for frame in (parquet, csv):
                found = frame[column].iloc[place]
                if value is None or value == "":
                    assert pandas.isna(found) or found == "", f"{name}.{column}: {found!r}"
                else:
                    assert str(found) == str(value) or found == value, f"{name}.{column}: {found!r}, not {value!r}"
print(f"pandas {pandas.__version__}: {len(tables)} tables, CSV and Parquet")

files = [path for kind in ("results/**/*.json", "stages/*/*.json") for path in glob.glob(f"{STORE}/{kind}", recursive=True)]
files += glob.glob("harness/*/results_*.json")
lines = glob.glob(f"{STORE}/stages/*/*.jsonl") + glob.glob(f"{STORE}/events/*.jsonl") + glob.glob("harness/*/samples_*.jsonl")
for path in files:
    strict(open(path, encoding="utf-8").read())
for path in lines:
    for line in open(path, encoding="utf-8"):
        strict(line)
print(f"JSON: {len(files)} files and {len(lines)} files of lines are strict")

import mlflow
from mlflow.tracking import MlflowClient

client = MlflowClient(tracking_uri="file:" + os.path.abspath("mlruns"))
runs = [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]
assert len(runs) == records, (len(runs), records)
assert all(run.info.status == "FINISHED" and any(key.startswith("retrained.") for key in run.data.metrics) for run in runs)
print(f"MLflow {mlflow.__version__}: {len(runs)} runs")

import lm_eval
from lm_eval.utils import make_table

results = [json.load(open(path)) for path in glob.glob("harness/*/results_*.json")]
assert len(results) == records, (len(results), records)
assert all("retrained" in make_table(result) for result in results)
samples = [json.loads(line) for path in glob.glob("harness/*/samples_*.jsonl") for line in open(path)]
for key in ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"):
    assert all(key in sample for sample in samples), key
print(f"lm-evaluation-harness {lm_eval.__version__}: {len(results)} results, {len(samples)} samples")

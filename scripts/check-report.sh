#!/usr/bin/env bash
# What `lottery report` writes for other programs, read by them: LaTeX compiles without a line that is too long, pandas reads
# CSV and Parquet with the same numbers and the right types, all JSON is strict, MLflow and lm-evaluation-harness find
# every run.
#   scripts/check-report.sh STORE
# PYTHON names an interpreter that has the packages, LOTTERY the program. Exit status: 0 all is well, 1 it is not, 77 the
# programs cannot be installed here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
store=$(realpath "$1")
lottery=${LOTTERY:-$here/../target/release/lottery}
venv=$here/../target/report-readers

unable() { echo "skipped: $*" >&2; exit 77; }
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$venv/bin/python
    if [ ! -x "$venv/installed" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv" || unable "this python3 makes no virtual environment; on Debian, install python3-venv"
        pip() { "$venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "$@"; }
        pip pandas pyarrow mlflow-skinny && pip --no-deps lm-eval && pip jinja2 pytablewriter sacrebleu more_itertools word2number ||
            unable "pandas, MLflow and lm-evaluation-harness cannot be installed"
        install -m 755 /dev/null "$venv/installed"
    fi
fi
if ! command -v pdflatex > /dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || unable "there is no pdflatex"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends texlive-latex-base \
        texlive-latex-recommended; } > /dev/null 2>&1 || unable "texlive cannot be installed"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$lottery" report "$store" --format latex --out tables.tex --lm-eval harness --mlflow mlruns --stages > /dev/null
printf '%s\n' '\documentclass{article}' '\usepackage{booktabs,graphicx}' '\begin{document}' '\input{tables.tex}' \
    '\end{document}' > document.tex
pdflatex -interaction=nonstopmode -halt-on-error document.tex > compiled.txt || { cat compiled.txt; exit 1; }
if grep -E 'Overfull \\hbox|Missing character|undefined' compiled.txt; then
    echo "LaTeX: a line is too long, or something is missing" >&2
    exit 1
fi
echo "LaTeX: $(grep -c '^.begin{table}' tables.tex) tables compile"
LOTTERY=$lottery STORE=$store "$PYTHON" "$here/check-report.py"

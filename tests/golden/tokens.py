"""Digests of BERT token ids for tests/real_data/main.rs, by transformers: python3 tokens.py SHARED > tokens.json

SHARED is the folder that the tests call LOTTERY_SHARED. A digest is the SHA-256 over the dev examples in file order:
number of tokens (u32), token ids (u32 each), segment ids (u8 each), little endian, special tokens included.
"""

import hashlib
import json
import platform
import struct
import sys
from pathlib import Path

import tokenizers
import transformers
from transformers import BertTokenizerFast

shared = Path(sys.argv[1])
tokenizer = BertTokenizerFast.from_pretrained(shared / "models" / "all-MiniLM-L6-v2")
texts = {"CoLA": [3], "SST-2": ["sentence"], "MRPC": ["#1 String", "#2 String"],
         "STS-B": ["sentence1", "sentence2"], "RTE": ["sentence1", "sentence2"], "WNLI": ["sentence1", "sentence2"]}
digests = []
for folder, columns in texts.items():
    lines = (shared / "glue" / folder / "dev.tsv").read_text(encoding="utf-8-sig").split("\n")
    rows = [line.split("\t") for line in lines if line]
    if isinstance(columns[0], str):
        header, rows = rows[0], rows[1:]
        columns = [header.index(name) for name in columns]
    for max_length in (128, 24):
        digest, tokens, cut = hashlib.sha256(), 0, 0
        for row in rows:
            sentences = [row[column] for column in columns]
            encoded = tokenizer(*sentences, max_length=max_length, truncation="longest_first")
            ids, segments = encoded["input_ids"], encoded["token_type_ids"]
            digest.update(struct.pack(f"<I{len(ids)}I", len(ids), *ids) + bytes(segments))
            tokens += len(ids)
            cut += len(tokenizer(*sentences)["input_ids"]) > max_length
        digests.append({"folder": folder, "max_length": max_length, "examples": len(rows), "tokens": tokens,
                        "cut": cut, "sha256": digest.hexdigest()})
versions = {"python": platform.python_version(), "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__}
head = json.dumps({"script": "tests/golden/tokens.py", "model": "all-MiniLM-L6-v2", "versions": versions})[:-1]
print(head + ', "digests": [\n' + ",\n".join(map(json.dumps, digests)) + "\n]}")

"""Digests of token ids for tests/real_data.rs, by transformers: python3 sentences.py SHARED > sentences.json

10,000 sentences of GLUE, alone and in pairs, and 500 odd strings, in folders whose tokenizer files disagree. SHARED is the
folder that the tests call LOTTERY_SHARED; its all-MiniLM-L6-v2 has the WordPiece vocabulary. The byte-level BPE in bpe/ is
trained here on the sentences, if it is not there. A digest is that of tokens.py.
"""

import hashlib
import json
import platform
import random
import shutil
import struct
import sys
import tempfile
from pathlib import Path

import tokenizers
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

shared, bpe = Path(sys.argv[1]), Path(__file__).parent / "bpe"
MAX_LENGTH = 64
PARTS = [("CoLA", [3], 2000), ("SST-2", ["sentence"], 2000), ("MRPC", ["#1 String", "#2 String"], 1500),
         ("STS-B", ["sentence1", "sentence2"], 1000), ("RTE", ["sentence1", "sentence2"], 500)]


def rows(folder, columns, count):
    lines = (shared / "glue" / folder / "train.tsv").read_text(encoding="utf-8-sig").split("\n")
    cells = [line.rstrip("\r").split("\t") for line in lines if line]
    if isinstance(columns[0], str):
        columns = [cells[0].index(name) for name in columns]
        cells = cells[1:]
    return [[row[column] for column in columns] for row in cells[:count]]


examples = [row for part in PARTS for row in rows(*part)]
assert sum(map(len, examples)) == 10_000

draw = random.Random(7)
POOLS = ["abcdefgh THE Cat", "áÉñçüßİıſ", "e\u0301a\u0300\u0327 n\u0303", "中国漢字かなカナ한국어", "🙂👩\u200d👧\U0001f1e9\U0001f1ea✌\ufe0f", "\x00\x01\x7f\x85\u200b\u200d\ufeff\ufffd\u2028",
         " \t\n\r\u00a0\u3000\u2009", ".,;:!?'\"`´‘’“”«»()[]{}<>/\\|@#$%^&*_-–—…", "0123456789٣४½²Ⅷ", "שלוםمرحباहिन्दीไทย", "ΑΣσςЖж", "\U0001d400\U00020000\U0010fffd"]
TOKENS = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<pad>", "<unk>", "[NEW]", "<ent>", "don't", "I'VE", "x" * 120, "##ing"]


def odd():
    parts = []
    for _ in range(draw.randint(0, 6)):
        pool = draw.choice(POOLS)
        parts.append(draw.choice(TOKENS) if draw.random() < 0.2 else "".join(draw.choice(pool) for _ in range(draw.randint(1, 8))))
        parts.append(draw.choice(["", " ", "  "]))
    return "".join(parts)


odds = [odd() for _ in range(500)]

if not bpe.exists():
    bpe.mkdir()
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=2000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    trained.train_from_iterator([sentence for row in examples for sentence in row], trainer)
    trained.model.save(str(bpe))

BERT, ROBERTA = {"model_type": "bert"}, {"model_type": "roberta"}
NEW = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
# Name, folder, which of its files, and other files.
FOLDERS = [
    ("uncased", "minilm", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"], {"config.json": BERT}),
    ("cased by the config", "minilm", ["tokenizer.json"],
     {"config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False}}),
    ("accents and Chinese words kept", "minilm", ["tokenizer.json"],
     {"config.json": BERT, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "strip_accents": False,
                                                     "tokenize_chinese_chars": False}}),
    ("DistilBERT, added tokens", "minilm", ["vocab.txt"],
     {"config.json": {"model_type": "distilbert"}, "added_tokens.json": {"[NEW]": 30522, "<ent>": 30523},
      "tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer"}}),
    ("special tokens by other names, cut at the left", "minilm", ["vocab.txt"],
     {"config.json": BERT, "special_tokens_map.json": {"mask_token": "<mask>", "additional_special_tokens": ["[NEW]"]},
      "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "truncation_side": "left"}}),
    ("RoBERTa", "bpe", ["vocab.json", "merges.txt"], {"config.json": ROBERTA}),
    ("RoBERTa, a space before", "bpe", ["vocab.json", "merges.txt"],
     {"config.json": ROBERTA, "tokenizer_config.json": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True}}),
    ("RoBERTa, added tokens", "bpe", ["vocab.json", "merges.txt"],
     {"config.json": ROBERTA, "tokenizer_config.json": {
         "tokenizer_class": "RobertaTokenizerFast", "trim_offsets": False, "truncation_side": "left", "added_tokens_decoder": {
             "4": {"content": "<mask>", **NEW, "lstrip": True}, "2000": {"content": "<ent>", **NEW, "special": False},
             "2001": {"content": "[NEW]", **NEW, "rstrip": True, "normalized": True}}}}),
]
SOURCES = {"minilm": shared / "models" / "all-MiniLM-L6-v2", "bpe": bpe}


def digest(tokenizer, texts):
    sha = hashlib.sha256()
    for text in texts:
        encoded = tokenizer(*text, max_length=MAX_LENGTH, truncation="longest_first")
        ids = encoded["input_ids"]
        segments = encoded.get("token_type_ids") or [0] * len(ids)
        sha.update(struct.pack(f"<I{len(ids)}I", len(ids), *ids) + bytes(segments))
    return sha.hexdigest()


results = []
for name, source, copied, files in FOLDERS:
    with tempfile.TemporaryDirectory() as folder:
        for file in copied:
            shutil.copy(SOURCES[source] / file, folder)
        for file, content in files.items():
            Path(folder, file).write_text(json.dumps(content))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        results.append({"name": name, "source": source, "copied": copied, "files": {k: json.dumps(v) for k, v in files.items()},
                        "sentences": digest(tokenizer, examples), "odd": digest(tokenizer, [[text] for text in odds])})
assert len({result["odd"] for result in results}) == len({result["sentences"] for result in results}) == len(results)
versions = {"python": platform.python_version(), "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
head = {"script": "tests/golden/sentences.py", "versions": versions, "max_length": MAX_LENGTH,
        "parts": [[folder, count] for folder, _, count in PARTS], "odd": odds}
print(json.dumps(head)[:-1] + ', "folders": [\n' + ",\n".join(map(json.dumps, results)) + "\n]}")

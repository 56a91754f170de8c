"""Writes minilm.json: logits of the real all-MiniLM-L6-v2 under a classifier of known weights, by transformers.
python3 minilm.py SHARED, in this folder; SHARED is the folder that the tests call LOTTERY_SHARED."""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from tiny_bert import versions

PAIRS = [
    ["The dog chased the ball across the whole field before the rain began.", "A dog played outside."],
    ["No.", "Nobody won the lottery."],
    ["Pruning removes heads; rewinding restores the weights they had before fine-tuning.", None],
]
folder = Path(sys.argv[1]) / "models" / "all-MiniLM-L6-v2"
tokenizer = AutoTokenizer.from_pretrained(folder)
bert = BertForSequenceClassification.from_pretrained(folder, num_labels=2, attn_implementation="eager").eval()
with torch.no_grad():
    weight = bert.classifier.weight
    places = torch.arange(weight.numel(), dtype=torch.float64)
    weight.copy_((places + 1).sin().reshape(weight.shape) / 4)
    bert.classifier.bias.copy_(torch.tensor([0.125, -0.25]))
    sequences = []
    for first, second in PAIRS:
        one = tokenizer(first, second, padding=False)
        sequences.append({"ids": one["input_ids"], "segments": one["token_type_ids"],
                          "logits": bert(input_ids=torch.tensor([one["input_ids"]]),
                                         token_type_ids=torch.tensor([one["token_type_ids"]])).logits[0].tolist()})
json.dump({"script": "tests/golden/minilm.py", "versions": versions(), "sequences": sequences},
          open("minilm.json", "w"), indent=1)

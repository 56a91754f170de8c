"""Writes attention.json: the attention of tiny-classes' heads by transformers, and the lengths of what each token would give,
with the head's columns of the output matrix. Run it in this folder, after forward.py."""

import json

import torch
from transformers import BertForSequenceClassification

from tiny_bert import sequences, versions

bert = BertForSequenceClassification.from_pretrained("tiny-classes", attn_implementation="eager").double().eval()
heads = bert.config.num_attention_heads
size = bert.config.hidden_size // heads
cases = []
for one in sequences([7, 1, 20], seed=13):
    with torch.no_grad():
        out = bert(input_ids=torch.tensor([one["ids"]]), token_type_ids=torch.tensor([one["segments"]]),
                   output_attentions=True, output_hidden_states=True)
        layers = []
        for layer, maps, x in zip(bert.bert.encoder.layer, out.attentions, out.hidden_states):
            values = layer.attention.self.value(x)[0]
            matrix = layer.attention.output.dense.weight
            lengths = [(values[:, h * size:(h + 1) * size] @ matrix[:, h * size:(h + 1) * size].T).norm(dim=1)
                       for h in range(heads)]
            layers.append([{"probabilities": maps[0, h].flatten().tolist(), "norms": lengths[h].tolist()}
                           for h in range(heads)])
    cases.append({**one, "layers": layers})
json.dump({"script": "tests/golden/attention.py", "versions": versions(), "cases": cases},
          open("attention.json", "w"), indent=None)

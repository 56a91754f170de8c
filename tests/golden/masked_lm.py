"""Writes tiny-words/ (a model folder) and masked_lm.json: logits of hidden words, loss and gradients by transformers'
BertForMaskedLM. Run it in this folder."""

import json

import torch

from tiny_bert import model, padded, sequences, versions

WHOLE = ["bert.embeddings.word_embeddings.weight", "cls.predictions.transform.dense.weight", "cls.predictions.bias"]

bert = model(None, seed=7)
bert.save_pretrained("tiny-words")
batch = sequences([7, 1, 20, 12, 3], seed=17)
for i, sequence in enumerate(batch):
    n = len(sequence["ids"])
    sequence["masked"] = sorted({(3 * i + 5 * j) % n for j in range(1 + n // 4)})
    sequence["words"] = [(7 * i + 11 * place) % 50 for place in sequence["masked"]]
labels = torch.full_like(padded(batch)["input_ids"], -100)
for i, sequence in enumerate(batch):
    labels[i, sequence["masked"]] = torch.tensor(sequence["words"])
out = bert(**padded(batch), labels=labels)
out.loss.backward()
gradients = {name: p.grad for name, p in bert.named_parameters()}
json.dump({
    "versions": versions(),
    "sequences": batch,
    "logits": out.logits[labels >= 0].flatten().tolist(),
    "loss": out.loss.item(),
    "gradient_norms": {name: g.double().norm().item() for name, g in gradients.items()},
    "gradients": {name: gradients[name].flatten().tolist() for name in WHOLE},
}, open("masked_lm.json", "w"), indent=1)

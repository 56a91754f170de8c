"""Writes tiny-classes/, tiny-scores/ (model folders) and forward.json: logits, loss and gradients by transformers'
BertForSequenceClassification. Run it in this folder."""

import json

import torch

from tiny_bert import model, padded, sequences, versions

WHOLE = ["bert.encoder.layer.1.attention.self.query.weight", "bert.encoder.layer.0.output.dense.bias",
         "bert.embeddings.token_type_embeddings.weight", "classifier.weight"]

cases = []
for folder, labels, targets in [
    ("tiny-classes", 3, torch.tensor([2, 0, 1, 1, 2])),
    ("tiny-scores", 1, torch.tensor([0.5, 4.8, 2.0, 3.2, 1.25])),
]:
    bert = model(labels, seed=labels)
    bert.save_pretrained(folder)
    batch = sequences([7, 1, 20, 12, 3], seed=10 + labels)
    out = bert(**padded(batch), labels=targets)
    out.loss.backward()
    gradients = {name: p.grad for name, p in bert.named_parameters()}
    cases.append({
        "folder": folder,
        "sequences": batch,
        "targets": targets.tolist(),
        "logits": out.logits.flatten().tolist(),
        "loss": out.loss.item(),
        "gradient_norms": {name: g.double().norm().item() for name, g in gradients.items()},
        "gradients": {name: gradients[name].flatten().tolist() for name in WHOLE},
    })
json.dump({"versions": versions(), "cases": cases}, open("forward.json", "w"), indent=1)

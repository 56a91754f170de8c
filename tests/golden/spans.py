"""Writes tiny-spans/ (a model folder) and spans.json: logits, loss and gradients by transformers'
BertForQuestionAnswering. Each sequence is a batch of its own, since the class's softmax runs over padding too. Run it in
this folder."""

import json

import torch

from tiny_bert import model, padded, sequences, versions

WHOLE = ["bert.encoder.layer.1.attention.self.query.weight", "bert.encoder.layer.1.output.dense.bias",
         "qa_outputs.weight", "qa_outputs.bias"]

bert = model(None, seed=9, spans=True)
bert.save_pretrained("tiny-spans")
batch = sequences([7, 1, 20, 12, 3], seed=19)
losses, logits = [], []
for i, sequence in enumerate(batch):
    n = len(sequence["ids"])
    sequence["span"] = sorted([(3 * i) % n, (5 * i + 2) % n])
    start, end = (torch.tensor([place]) for place in sequence["span"])
    out = bert(**padded([sequence]), start_positions=start, end_positions=end)
    losses.append(out.loss)
    logits += torch.stack([out.start_logits[0], out.end_logits[0]], dim=1).flatten().tolist()
loss = torch.stack(losses).mean()
loss.backward()
gradients = {name: p.grad for name, p in bert.named_parameters()}
json.dump({
    "versions": versions(),
    "sequences": batch,
    "logits": logits,
    "loss": loss.item(),
    "gradient_norms": {name: g.double().norm().item() for name, g in gradients.items()},
    "gradients": {name: gradients[name].flatten().tolist() for name in WHOLE},
}, open("spans.json", "w"), indent=1)

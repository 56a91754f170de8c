"""Writes adamax.json: 50 steps of the Adamax that Liang et al. 2021 train with, from the weights of tiny-classes/ (see
forward.py), without dropout, with decay groups, a global clip and their schedule: x / warm-up, then 1 - x. The arithmetic is
that of adamax_rule.py; MT-DNN's schedule warmup_linear is pytorch-pretrained-bert's. Run it in this folder."""

import json

import torch
from transformers import BertForSequenceClassification

from adamax_rule import Adamax
from tiny_bert import padded, sequences, versions

STEPS, BATCH, CLIP, DECAY, RATE, WARMUP = 50, 8, 1.0, 0.05, 2e-3, 0.1

bert = BertForSequenceClassification.from_pretrained("tiny-classes", attn_implementation="eager").eval()
examples = sequences([1 + (7 * i) % 20 for i in range(40)], seed=5)
for example in examples:
    example["label"] = (example["ids"][0] + len(example["ids"])) % 3
flat = [p for n, p in bert.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
rest = [p for n, p in bert.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
optimizer = Adamax([{"params": rest, "weight_decay": DECAY}, {"params": flat, "weight_decay": 0.0}], {"lr": RATE})
steps = []
for step in range(STEPS):
    x = step / STEPS
    for group in optimizer.param_groups:
        group["lr"] = RATE * (x / WARMUP if x < WARMUP else 1.0 - x)
    batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
    loss = bert(**padded(batch), labels=torch.tensor([e["label"] for e in batch])).loss
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(bert.parameters(), CLIP)
    steps.append({"loss": loss.item(), "norm": norm.item(), "learning_rate": optimizer.param_groups[0]["lr"]})
    optimizer.step()
json.dump({
    "versions": versions(),
    "batch": BATCH, "clip": CLIP, "weight_decay": DECAY, "peak": RATE, "warmup": WARMUP,
    "examples": examples,
    "steps": steps,
    "weight_norms": {n: p.double().norm().item() for n, p in bert.named_parameters()},
}, open("adamax.json", "w"), indent=1)

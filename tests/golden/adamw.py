"""Writes adamw.json: 50 steps of PyTorch's AdamW from the weights of tiny-classes/ (see forward.py), without dropout,
with decay groups, a global clip and a linear schedule with warm-up. Run it in this folder."""

import json

import torch
from transformers import BertForSequenceClassification, get_linear_schedule_with_warmup

from tiny_bert import padded, sequences, versions

STEPS, BATCH, CLIP, DECAY, RATE, WARMUP = 50, 8, 1.0, 0.05, 2e-3, 5

bert = BertForSequenceClassification.from_pretrained("tiny-classes", attn_implementation="eager").eval()
examples = sequences([1 + (7 * i) % 20 for i in range(40)], seed=5)
for example in examples:
    example["label"] = (example["ids"][0] + len(example["ids"])) % 3
flat = [p for n, p in bert.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
rest = [p for n, p in bert.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
optimizer = torch.optim.AdamW(
    [{"params": rest, "weight_decay": DECAY}, {"params": flat, "weight_decay": 0.0}],
    lr=RATE, betas=(0.9, 0.999), eps=1e-8,
)
schedule = get_linear_schedule_with_warmup(optimizer, WARMUP, STEPS)
steps = []
for step in range(STEPS):
    batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
    loss = bert(**padded(batch), labels=torch.tensor([e["label"] for e in batch])).loss
    optimizer.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(bert.parameters(), CLIP)
    steps.append({"loss": loss.item(), "norm": norm.item(), "learning_rate": schedule.get_last_lr()[0]})
    optimizer.step()
    schedule.step()
json.dump({
    "versions": versions(),
    "batch": BATCH, "clip": CLIP, "weight_decay": DECAY,
    "examples": examples,
    "steps": steps,
    "weight_norms": {n: p.double().norm().item() for n, p in bert.named_parameters()},
}, open("adamw.json", "w"), indent=1)

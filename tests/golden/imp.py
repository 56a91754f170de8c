"""Writes imp.json: ten rounds of iterative magnitude pruning with rewinding (Chen et al. 2020, algorithm 1) of tiny-classes/
(see forward.py) by torch.nn.utils.prune, linear and geometric: each round trains from the first weights under the mask,
prunes the smallest of all trained weights that are left, and rewinds. Run it in this folder."""

import hashlib
import json

import torch
from torch.nn.utils import prune
from transformers import BertForSequenceClassification, get_linear_schedule_with_warmup

from tiny_bert import padded, sequences, versions

torch.set_num_threads(1)
STEPS, BATCH, CLIP, RATE, ROUNDS = 10, 8, 1.0, 2e-3, 10

examples = sequences([1 + (7 * i) % 20 for i in range(40)], seed=5)
for example in examples:
    example["label"] = (example["ids"][0] + len(example["ids"])) % 3


def modules(bert):
    found = []
    for layer in bert.bert.encoder.layer:
        attention = layer.attention
        found += [attention.self.query, attention.self.key, attention.self.value, attention.output.dense,
                  layer.intermediate.dense, layer.output.dense]
    return found + [bert.bert.pooler.dense]


def train(bert):
    parameters = [p for p in bert.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, STEPS)
    for step in range(STEPS):
        batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
        loss = bert(**padded(batch), labels=torch.tensor([e["label"] for e in batch])).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        schedule.step()


def bits(mask):
    """Eight flags a byte, the first in its lowest bit."""
    flags = mask.flatten().bool().tolist()
    flags += [False] * (-len(flags) % 8)
    return bytes(sum(f << i for i, f in enumerate(flags[at:at + 8])) for at in range(0, len(flags), 8))


def rounds(share):
    bert = BertForSequenceClassification.from_pretrained("tiny-classes", attn_implementation="eager").eval()
    targets = modules(bert)
    names = [next(n for n, m in bert.named_modules() if m is target) for target in targets]
    for module in targets:
        prune.identity(module, "weight")
    first = {n: p.detach().clone() for n, p in bert.named_parameters()}
    total = sum(m.weight_orig.numel() for m in targets)
    found = []
    for k in range(ROUNDS):
        train(bert)
        bert(**padded(examples[:1]))
        trained = {n: m.weight.detach().flatten()[:8].tolist() for n, m in zip(names, targets)}
        norms = {n: m.weight.detach().double().norm().item() for n, m in zip(names, targets)}
        pruned = sum(int((m.weight_mask == 0).sum()) for m in targets)
        wanted = round(share(k + 1) * total)
        left = torch.cat([m.weight_orig.detach()[m.weight_mask == 1].abs() for m in targets]).sort().values
        # Two programs agree on the mask where the cut is no closer to its neighbours than their rounding.
        if wanted < total:
            gap = float(left[wanted - pruned] - left[wanted - pruned - 1])
            assert gap > 5e-7, gap
        prune.global_unstructured([(m, "weight") for m in targets], prune.L1Unstructured, amount=wanted - pruned)
        masks = {n: hashlib.sha256(bits(m.weight_mask)).hexdigest() for n, m in zip(names, targets)}
        found.append({"pruned": wanted, "trained": trained, "norms": norms, "masks": masks})
        with torch.no_grad():
            for n, p in bert.named_parameters():
                p.copy_(first[n])
    return found


json.dump({
    "versions": versions(),
    "steps": STEPS, "batch": BATCH, "clip": CLIP, "rate": RATE,
    "examples": examples,
    "linear": rounds(lambda k: 0.1 * k),
    "geometric": rounds(lambda k: 1 - 0.9 ** k),
}, open("imp.json", "w"), indent=1)

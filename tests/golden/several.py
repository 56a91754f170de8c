"""Writes several.json: 24 steps of training two tasks on one encoder, from the weights of tiny-classes/ (see forward.py),
with a ticket for each task, by AdamW and by MT-DNN's Adamax (see adamax.py). What a task does not own does not move in its
steps: the other task's classifier has no gradient, and the weights and the optimizer's state of units that its ticket has
not are put back (Liang et al. 2021, algorithm 1). Then the same where such units drift, as in the published code: nothing is
put back, and without a gradient momentum and decay move them. Run it in this folder."""

import json

import torch
from transformers import BertForSequenceClassification

from adamax_rule import Adamax
from tiny_bert import padded, sequences, versions

STEPS, BATCH, CLIP, DECAY, RATE = 24, 6, 1.0, 0.05, 2e-3
TASKS = [
    {"labels": 3, "heads": [[1, 0, 1], [1, 1, 0]], "ffns": [0, 1]},
    {"labels": 1, "heads": [[0, 1, 1], [1, 1, 1]], "ffns": [1, 1]},
]
ORDER = [0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1] * 2
WIDTH = 8


def run(kind, drifting=False):
    bert = BertForSequenceClassification.from_pretrained("tiny-classes", attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(3)
    second = torch.nn.Linear(24, 1)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    initial = {name: p.flatten().tolist() for name, p in second.named_parameters()}
    heads = [bert.classifier, second]
    task = TASKS[0]
    for layer, block in enumerate(bert.bert.encoder.layer):
        def gate_heads(_, given, layer=layer):
            return (given[0] * torch.tensor(task["heads"][layer]).repeat_interleave(WIDTH),) + given[1:]

        def gate_ffn(_, __, out, layer=layer):
            return out * task["ffns"][layer]

        block.attention.output.dense.register_forward_pre_hook(gate_heads)
        block.output.dense.register_forward_hook(gate_ffn)
    named = dict(bert.named_parameters()) | {"second." + n: p for n, p in second.named_parameters()}
    is_flat = lambda n: n.endswith("bias") or "LayerNorm" in n
    groups = [{"params": [p for n, p in named.items() if not is_flat(n)], "weight_decay": DECAY},
              {"params": [p for n, p in named.items() if is_flat(n)], "weight_decay": 0.0}]
    optimizer = {"adamw": lambda: torch.optim.AdamW(groups, lr=RATE, eps=1e-8),
                 "adamax": lambda: Adamax(groups, {"lr": RATE})}[kind]()

    def closed():
        """The places of the weights that the task's ticket has not."""
        for layer in range(2):
            prefix = f"bert.encoder.layer.{layer}."
            for head in (h for h in range(3) if not task["heads"][layer][h]):
                rows = slice(head * WIDTH, (head + 1) * WIDTH)
                for part in ("query", "key", "value"):
                    yield named[f"{prefix}attention.self.{part}.weight"], (rows,)
                    yield named[f"{prefix}attention.self.{part}.bias"], (rows,)
                yield named[f"{prefix}attention.output.dense.weight"], (slice(None), rows)
            if not task["ffns"][layer]:
                for part in ("intermediate", "output"):
                    yield named[f"{prefix}{part}.dense.weight"], (slice(None),)
                    yield named[f"{prefix}{part}.dense.bias"], (slice(None),)

    def kept(p):
        return [p] + [s for s in optimizer.state[p].values() if s.shape == p.shape]

    examples = sequences([1 + (7 * i) % 20 for i in range(40)], seed=5)
    for example in examples:
        example["label"] = (example["ids"][0] + len(example["ids"])) % 3
        example["score"] = (example["ids"][-1] % 11) / 2
    steps = []
    for step, number in enumerate(ORDER):
        task = TASKS[number]
        batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
        pooled = bert.bert(**padded(batch)).pooler_output
        logits = heads[number](pooled)
        if number == 0:
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor([e["label"] for e in batch]))
        else:
            loss = torch.nn.functional.mse_loss(logits[:, 0], torch.tensor([e["score"] for e in batch]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for p in named.values() if p.grad is not None], CLIP)
        with torch.no_grad():
            before = [(p, place, [x[place].clone() for x in kept(p)]) for p, place in closed() if not drifting]
            optimizer.step()
            for p, place, values in before:
                now = kept(p)
                # A state that the step has made was nothing before.
                values += [torch.zeros_like(now[0][place])] * (len(now) - len(values))
                for x, value in zip(now, values):
                    x[place] = value
        steps.append({"loss": loss.item(), "norm": norm.item()})
    return {
        "examples": examples, "second": initial, "steps": steps,
        "weight_norms": {n: p.double().norm().item() for n, p in named.items()},
        "weights": {n: named[n].flatten().tolist() for n in
                    ["bert.encoder.layer.0.attention.output.dense.weight", "second.weight", "classifier.bias"]},
    }


json.dump({"versions": versions(), "order": ORDER, "batch": BATCH, "clip": CLIP, "weight_decay": DECAY,
           "learning_rate": RATE, "tasks": TASKS, "adamw": run("adamw"), "adamax": run("adamax"),
           "adamw-drifting": run("adamw", drifting=True), "adamax-drifting": run("adamax", drifting=True)},
          open("several.json", "w"), indent=1)

"""Writes encoders/<name>/: a random small model of each family and head as transformers' save_pretrained writes it, and
golden.json with its logits, loss and gradients. Run it in this folder."""

import json
from pathlib import Path

import torch
from transformers import (BertConfig, BertForMaskedLM, BertForSequenceClassification, DistilBertConfig, DistilBertForMaskedLM,
                          DistilBertForSequenceClassification, RobertaConfig, RobertaForMaskedLM,
                          RobertaForSequenceClassification)

from tiny_bert import versions

WORDS, LABELS = 60, 3
COMMON = dict(vocab_size=WORDS, initializer_range=0.02, attn_implementation="eager")
BERT = dict(COMMON, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
DISTIL = dict(COMMON, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=20)
HEADS = {"bert": (BertForSequenceClassification, BertForMaskedLM),
         "roberta": (RobertaForSequenceClassification, RobertaForMaskedLM),
         "distilbert": (DistilBertForSequenceClassification, DistilBertForMaskedLM)}
FAMILIES = {
    "bert-gelu-new": BertConfig(hidden_act="gelu_new", max_position_embeddings=20, type_vocab_size=2, **BERT),
    "bert-relu": BertConfig(hidden_act="relu", max_position_embeddings=20, type_vocab_size=2, **BERT),
    "roberta": RobertaConfig(layer_norm_eps=1e-5, max_position_embeddings=22, type_vocab_size=1, **BERT),
    "roberta-relu": RobertaConfig(hidden_act="relu", layer_norm_eps=1e-5, max_position_embeddings=22, type_vocab_size=1, **BERT),
    "distilbert": DistilBertConfig(**DISTIL),
    "distilbert-gelu-tanh": DistilBertConfig(activation="gelu_pytorch_tanh", **DISTIL),
    # Tokens of this id are in the sequences too.
    "roberta-padding": RobertaConfig(layer_norm_eps=1e-5, max_position_embeddings=26, type_vocab_size=1, pad_token_id=5, **BERT),
}


def random_model(cls, config, seed):
    torch.manual_seed(seed)
    model = cls(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape)
            if name.lower().endswith("norm.weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_((0.25 if parameter.dim() > 1 else 0.1) * noise)
    return model


def sequences(config, seed):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for length in [7, 1, 20, 12]:
        ids = torch.randint(3, WORDS, (length,), generator=generator).tolist()
        cut = int(torch.randint(0, length + 1, (1,), generator=generator))
        if config.model_type == "roberta" and config.pad_token_id != 1:
            ids[1::4] = [config.pad_token_id] * len(ids[1::4])
        two = getattr(config, "type_vocab_size", 1) > 1
        found.append({"ids": ids, "segments": [int(two and i >= cut) for i in range(length)]})
    return found


def padded(batch, config):
    width = max(len(s["ids"]) for s in batch)
    fill = lambda values, pad: torch.tensor([row + [pad] * (width - len(row)) for row in values])
    out = {"input_ids": fill([s["ids"] for s in batch], config.pad_token_id or 0),
           "attention_mask": fill([[1] * len(s["ids"]) for s in batch], 0)}
    if config.model_type != "distilbert":
        out["token_type_ids"] = fill([s["segments"] for s in batch], 0)
    return out


for number, (name, config) in enumerate(FAMILIES.items()):
    for head, cls in zip(["classifier", "words"], HEADS[config.model_type]):
        config.num_labels = LABELS
        model = random_model(cls, config, 10 * number + len(head))
        folder = Path("encoders", f"{name}-{head}")
        model.save_pretrained(folder)
        batch = sequences(config, seed=number)
        inputs = padded(batch, config)
        if head == "classifier":
            out = model(**inputs, labels=torch.tensor([2, 0, 1, 1]))
            logits, golden = out.logits, {"targets": [2, 0, 1, 1]}
        else:
            labels = torch.full_like(inputs["input_ids"], -100)
            for i, sequence in enumerate(batch):
                n = len(sequence["ids"])
                sequence["masked"] = sorted({(3 * i + 5 * j) % n for j in range(1 + n // 4)})
                sequence["words"] = [(7 * i + 11 * place) % WORDS for place in sequence["masked"]]
                labels[i, sequence["masked"]] = torch.tensor(sequence["words"])
            out = model(**inputs, labels=labels)
            logits, golden = out.logits[labels >= 0], {}
        out.loss.backward()
        gradients = {key: p.grad for key, p in model.named_parameters()}
        whole = [key for key, g in gradients.items() if g.numel() <= 64 or "layer.1" in key and g.numel() <= 256 or "position" in key]
        digits = lambda tensor: [float(f"{v:.9g}") for v in tensor.flatten().tolist()]
        golden.update(versions=versions(), sequences=batch, logits=digits(logits), loss=out.loss.item(),
                      gradient_norms={key: g.double().norm().item() for key, g in gradients.items()},
                      gradients={key: digits(gradients[key]) for key in whole})
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")

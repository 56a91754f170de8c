"""A tiny BERT with numbers large enough that every part of it matters, shared by the scripts beside this file."""

import platform

import torch
import transformers
from transformers import BertConfig, BertForMaskedLM, BertForQuestionAnswering, BertForSequenceClassification

PAD = 0


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
    }


def model(labels, seed, spans=False):
    """A classifier of so many labels; one that predicts masked words, or spans, where `labels` is None."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=20, type_vocab_size=2, attn_implementation="eager",
        **({"num_labels": labels, "problem_type": "regression" if labels == 1 else "single_label_classification"}
           if labels else {}),
    )
    kind = BertForQuestionAnswering if spans else BertForSequenceClassification if labels else BertForMaskedLM
    bert = kind(config).eval()
    with torch.no_grad():
        for name, parameter in bert.named_parameters():
            noise = torch.randn(parameter.shape)
            if name.endswith("LayerNorm.weight"):
                parameter.copy_(1 + 0.2 * noise)
            else:
                parameter.copy_((0.2 if parameter.dim() > 1 else 0.1) * noise)
    return bert


def sequences(lengths, seed):
    """Random token ids with a second segment from a random place on."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for length in lengths:
        ids = torch.randint(1, 50, (length,), generator=generator).tolist()
        cut = int(torch.randint(0, length + 1, (1,), generator=generator))
        found.append({"ids": ids, "segments": [int(i >= cut) for i in range(length)]})
    return found


def padded(batch):
    width = max(len(s["ids"]) for s in batch)
    fill = lambda values: values + [PAD] * (width - len(values))
    return {
        "input_ids": torch.tensor([fill(s["ids"]) for s in batch]),
        "token_type_ids": torch.tensor([fill(s["segments"]) for s in batch]),
        "attention_mask": torch.tensor([fill([1] * len(s["ids"])) for s in batch]),
    }

"""Loads this folder with transformers 5: a model whose layers have the units that pruning left (`lottery` in
config.json), with the sizes of the tensors that are there.

    from transformers import AutoModelForSequenceClassification
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, trust_remote_code=True)

or, without trusting code from a folder, with this file beside your own program:

    from modeling_ticket import TicketForSequenceClassification
    model = TicketForSequenceClassification.from_pretrained(FOLDER)
"""

import torch
from torch import nn
from transformers import BertForSequenceClassification

LAYERS, INNER = "encoder.layer", "intermediate_size"
QUERY, KEY, VALUE = "attention.self.query", "attention.self.key", "attention.self.value"
OUTPUT, UP, DOWN = "attention.output.dense", "intermediate.dense", "output.dense"


class OnlyBias(nn.Module):
    """A linear layer none of whose inputs is left."""

    def __init__(self, size):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, states):
        return self.bias.expand(*states.shape[:-1], -1)


class Nothing(nn.Module):
    """The output of a feed-forward block that is not there: the residual alone remains."""

    def forward(self, states):
        return torch.zeros_like(states)


class NoHeads(nn.Module):
    """An attention none of whose heads is left: what stands behind them, if that is part of it."""

    def forward(self, states, *_, **__):
        for module in self.children():
            states = module(states)
        return states, None


def put(layer, path, module):
    parent, _, name = path.rpartition(".")
    setattr(layer.get_submodule(parent), name, module)


class TicketForSequenceClassification(BertForSequenceClassification):
    def __init__(self, config):
        super().__init__(config)
        hidden, head = config.hidden_size, config.hidden_size // config.num_attention_heads
        layers = getattr(self, self.base_model_prefix).get_submodule(LAYERS)
        for layer, kept in zip(layers, config.lottery["layers"], strict=True):
            width = len(kept["heads"]) * head
            if width:
                for path in (QUERY, KEY, VALUE):
                    put(layer, path, nn.Linear(hidden, width))
            else:
                put(layer, QUERY.rpartition(".")[0], NoHeads())
            put(layer, OUTPUT, nn.Linear(width, hidden) if width else OnlyBias(hidden))
            ffn = kept["ffn"]
            inner = len(ffn) if isinstance(ffn, list) else getattr(config, INNER) if ffn else 0
            put(layer, UP, nn.Linear(hidden, inner) if inner else nn.Identity())
            put(layer, DOWN, nn.Linear(inner, hidden) if inner else Nothing() if ffn is False else OnlyBias(hidden))
        self.post_init()

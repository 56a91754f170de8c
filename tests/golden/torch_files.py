"""Writes torch/: files of torch.save in each form, with what they hold in torch.json, a file that would run code, and the
classifier of encoders/distilbert-classifier as pytorch_model.bin and in several files. Run it in this folder."""

import json
import os
import shutil
from collections import OrderedDict
from pathlib import Path

import torch
from transformers import DistilBertForSequenceClassification

from tiny_bert import versions

out = Path("torch")
shutil.rmtree(out, ignore_errors=True)
out.mkdir()

torch.manual_seed(3)
flat = torch.randn(12)
tensors = OrderedDict(
    matrix=torch.randn(2, 3), transposed=torch.randn(3, 2).t(), permuted=torch.randn(2, 3, 4).permute(2, 0, 1),
    part=flat[2:6], row=flat.reshape(3, 4)[1], column=flat.reshape(3, 4)[:, 2], scalar=torch.tensor(0.75), none=torch.zeros(0, 3),
    half=torch.randn(3).half(), bfloat=torch.randn(2).bfloat16(), double=torch.tensor([1 / 3, -2.5], dtype=torch.float64),
    long=torch.tensor([1, -2]), parameter=torch.nn.Parameter(torch.randn(2)))
tensors._metadata = OrderedDict({"": {"version": 1}})
torch.save(tensors, out / "zip.bin")
torch.save(tensors, out / "legacy.bin", _use_new_zipfile_serialization=False)
torch.save(dict(tensors), out / "protocol4.bin", pickle_protocol=4)
torch.save({"model": tensors, "epoch": 3}, out / "checkpoint.bin")


class Code:
    def __reduce__(self):
        return os.system, ("touch executed",)


torch.save({"a": torch.zeros(2), "b": Code()}, out / "code.bin")
torch.save({"a": torch.zeros(2), "b": Code()}, out / "code-legacy.bin", _use_new_zipfile_serialization=False)

golden = {"versions": versions(), "tensors": {
    name: {"shape": list(t.shape), "dtype": str(t.dtype).removeprefix("torch."), "values": t.flatten().tolist()}
    for name, t in tensors.items()}}
(out / "torch.json").write_text(json.dumps(golden) + "\n")

model = DistilBertForSequenceClassification.from_pretrained("encoders/distilbert-classifier")
for folder, save in [("bin", lambda state, to: torch.save(state, to / "pytorch_model.bin")),
                     ("wrapped", lambda state, to: torch.save({f"module._orig_mod.{k}": v for k, v in state.items()},
                                                              to / "pytorch_model.bin"))]:
    (out / folder).mkdir()
    model.config.save_pretrained(out / folder)
    save(model.state_dict(), out / folder)
model.save_pretrained(out / "shards", max_shard_size="14KB")
names = list(model.state_dict())
(out / "bin-shards").mkdir()
model.config.save_pretrained(out / "bin-shards")
weight_map = {}
for number, part in enumerate([names[: len(names) // 2], names[len(names) // 2:]], 1):
    file = f"pytorch_model-{number:05}-of-00002.bin"
    torch.save({name: model.state_dict()[name].clone() for name in part}, out / "bin-shards" / file)
    weight_map.update((name, file) for name in part)
(out / "bin-shards" / "pytorch_model.bin.index.json").write_text(
    json.dumps({"metadata": {"total_size": 26000}, "weight_map": weight_map}, indent=1) + "\n")

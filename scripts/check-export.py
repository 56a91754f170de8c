"""The parts of check-export.sh that need Python, torch or transformers: python check-export.py COMMAND ARGUMENTS."""

import json
import pathlib
import random
import statistics
import sys
import time


def write_data(folder):
    """A task in the layout of RTE that is learnt in a few steps: does the second sentence begin with an animal?"""
    draw = random.Random(1)
    animals = "dog cat bird horse".split()
    words = animals + "man woman child house tree stone sees likes finds big small old red and every some".split()
    sentence = lambda: [draw.choice(words) for _ in range(draw.randint(3, 12))]
    place = pathlib.Path(folder, "RTE")
    place.mkdir(parents=True)
    for split, rows in [("train", 512), ("dev", 120)]:
        lines = ["index\tsentence1\tsentence2\tlabel"]
        for index in range(rows):
            first, second = sentence(), sentence()
            if draw.random() < 0.4:
                second[0] = draw.choice(animals)
            label = "entailment" if second[0] in animals else "not_entailment"
            lines.append(f"{index}\t{' '.join(first)}\t{' '.join(second)}\t{label}")
        place.joinpath(f"{split}.tsv").write_text("\n".join(lines) + "\n")


def write_questions(folder):
    """SQuAD's files: which animal is it? Short paragraphs, one window each."""
    draw = random.Random(2)
    animals = "dog cat bird horse".split()
    words = "man woman child house tree stone sees likes finds big small old red and every some".split()
    place = pathlib.Path(folder, "SQuAD")
    place.mkdir()
    for split, rows in [("train", 160), ("dev", 60)]:
        paragraphs = []
        for index in range(rows):
            text = [draw.choice(words) for _ in range(draw.randint(6, 14))]
            at = draw.randrange(len(text))
            text[at] = draw.choice(animals)
            answer = {"text": text[at], "answer_start": len(" ".join(text[:at] + [""]))}
            qas = [{"id": f"{split}-{index}", "question": "which animal", "answers": [answer]}]
            paragraphs.append({"context": " ".join(text), "qas": qas})
        file = {"version": "1.1", "data": [{"title": split, "paragraphs": paragraphs}]}
        place.joinpath(f"{split}-v1.1.json").write_text(json.dumps(file))


def stage(record, name):
    print(json.load(open(record))["stages"][name])


def odd_ticket(source, out):
    """The same ticket with other units: a program of another language writes a ticket file."""
    from safetensors import safe_open
    from safetensors.numpy import save_file
    import numpy

    with safe_open(source, "numpy") as file:
        about = json.loads(file.metadata()["lottery_ticket"])
    base = about["base"]
    layers, heads, inner = base["layers"], base["heads"], base["ffn"]
    flags = {f"heads.{layer}": [1] * heads for layer in range(layers)}
    flags |= {f"ffn.{layer}": [1] for layer in range(layers)}
    flags["heads.0"] = [0] * heads
    flags["heads.1"] = [0] + [1] * (heads - 1)
    flags["ffn.1"] = [0]
    flags["neurons.2"] = [int(neuron % 3 == 0) for neuron in range(inner)]
    flags["neurons.3"] = [0] * inner
    about["flags"] = {key: len(bits) for key, bits in flags.items()}
    tensors = {key: numpy.packbits(numpy.array(bits, "uint8"), bitorder="little") for key, bits in flags.items()}
    save_file(tensors, out, metadata={"lottery_ticket": json.dumps(about)})


def load(folder, task="SequenceClassification"):
    import transformers

    config = json.load(open(pathlib.Path(folder, "config.json")))
    trust = {"trust_remote_code": True} if "auto_map" in config else {}
    auto = getattr(transformers, f"AutoModelFor{task}")
    model, report = auto.from_pretrained(folder, output_loading_info=True, **trust)
    wrong = {key: list(report[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[key]}
    assert not wrong, f"{folder}: {wrong}"
    return model.eval()


def save(folder, out, shard="50GB"):
    from transformers import AutoTokenizer

    load(folder).save_pretrained(out, max_shard_size=shard)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)
    shards = len(list(pathlib.Path(out).glob("*.safetensors")))
    assert (shards > 1) == (shard != "50GB"), f"{out} has {shards} files of weights"


def families(folder, models):
    """Random models of the other families, of the shape of the folder's, as transformers saves them."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (AutoConfig, AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification,
                              DistilBertTokenizer, RobertaConfig, RobertaForSequenceClassification, RobertaTokenizer)

    torch.manual_seed(1)
    base = AutoConfig.from_pretrained(folder)
    labels = {"id2label": base.id2label, "label2id": base.label2id, "initializer_range": 0.2}
    words = AutoTokenizer.from_pretrained(folder)
    vocab = pathlib.Path(models, "vocab.txt")
    vocab.write_text("\n".join(words.convert_ids_to_tokens(range(len(words)))) + "\n")
    config = DistilBertConfig(vocab_size=len(words), dim=base.hidden_size, n_layers=base.num_hidden_layers,
                              n_heads=base.num_attention_heads, hidden_dim=base.intermediate_size, **labels)
    model, tokenizer = DistilBertForSequenceClassification(config), DistilBertTokenizer(str(vocab))
    model.save_pretrained(pathlib.Path(models, "distilbert"))
    tokenizer.save_pretrained(pathlib.Path(models, "distilbert"))
    vocab.unlink()

    bytes_ = ByteLevelBPETokenizer()
    texts = ["the dog likes every big tree and the old bird finds some small red stone"] * 9
    bytes_.train_from_iterator(texts, 320, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    place = pathlib.Path(models, "roberta")
    place.mkdir()
    bytes_.save_model(str(place))
    tokenizer = RobertaTokenizer(str(place / "vocab.json"), str(place / "merges.txt"))
    config = RobertaConfig(vocab_size=len(tokenizer), hidden_size=base.hidden_size, max_position_embeddings=130,
                           num_hidden_layers=base.num_hidden_layers, num_attention_heads=base.num_attention_heads,
                           intermediate_size=base.intermediate_size, type_vocab_size=1, **labels)
    RobertaForSequenceClassification(config).save_pretrained(place)
    tokenizer.save_pretrained(place)


def compare_answers(data, models):
    """The best span of each question in transformers: its text, and its logits."""
    import torch
    from transformers import AutoTokenizer

    paragraphs = json.loads(pathlib.Path(data, "SQuAD/dev-v1.1.json").read_text())["data"][0]["paragraphs"]
    texts = [paragraph["context"] for paragraph in paragraphs]
    questions = [paragraph["qas"][0]["question"] for paragraph in paragraphs]
    folders = sorted(path for path in pathlib.Path(models).iterdir() if path.is_dir())
    assert len(folders) == 3, folders
    for folder in folders:
        model, tokenizer = load(folder, "QuestionAnswering"), AutoTokenizer.from_pretrained(folder)
        batch = tokenizer(questions, texts, padding=True, return_tensors="pt", return_offsets_mapping=True)
        offsets = batch.pop("offset_mapping")
        with torch.no_grad():
            output = model(**batch)
        answers = json.load(open(f"{folder}.json"))
        lines = [json.loads(line) for line in open(f"{folder}.jsonl")]
        assert len(answers) == len(lines) == len(texts), f"{folder}: {len(lines)} answers"
        difference, clear = 0, 0
        for index, line in enumerate(lines):
            rows = [row for row, part in enumerate(batch.sequence_ids(index)) if part == 1]
            start, end = output.start_logits[index], output.end_logits[index]
            spans = [(start[a] + end[b], a, b) for a in rows for b in rows if a <= b < a + 30]
            (best, first, last), second = sorted(spans)[-1], sorted(spans)[-2]
            theirs = torch.tensor([start[first], end[last]])
            if best - second[0] > 2e-4:
                clear += 1
                difference = max(difference, (torch.tensor(line["logits"]) - theirs).abs().max().item())
                text = texts[index][offsets[index][first][0] : offsets[index][last][1]]
                assert text == line["prediction"] == answers[line["id"]], f"{folder}: {line}, not {text}"
        assert difference < 1e-4 and clear > 0.9 * len(lines), f"{folder}: {difference}, {clear} clear answers"
        print(f"{folder.name}: {len(lines)} answers equal, logits to {difference:.1e}")


def compare(data, models, spans):
    compare_answers(data, spans)
    compare_classes(data, models)


def compare_classes(data, models):
    import torch
    from transformers import AutoTokenizer

    rows = [line.split("\t") for line in pathlib.Path(data, "RTE/dev.tsv").read_text().splitlines()[1:]]
    folders = sorted(path for path in pathlib.Path(models).iterdir() if path.is_dir())
    assert len(folders) == 17, folders
    for folder in folders:
        model, tokenizer = load(folder), AutoTokenizer.from_pretrained(folder)
        pairs = [[row[column] for row in rows] for column in (1, 2)]
        batch = tokenizer(*pairs, padding=True, truncation=True, max_length=48, return_tensors="pt")
        with torch.no_grad():
            theirs = model(**batch).logits
        lines = [json.loads(line) for line in open(f"{folder}.jsonl")]
        ours = torch.tensor([line["logits"] for line in lines])
        # The classes of the predictions are in the task's order, the model's are by name.
        order = [model.config.label2id[name] for name in ("entailment", "not_entailment")]
        theirs = theirs[:, order]
        # Relative for logits beyond 1, as the random models have.
        difference = ((ours - theirs).abs() / theirs.abs().clamp(min=1)).max().item()
        classes = torch.tensor([line["prediction"] for line in lines])
        clear = (theirs[:, 0] - theirs[:, 1]).abs() > 2e-4
        assert len(lines) == len(rows) and clear.float().mean() > 0.9, f"{folder}: {len(lines)} predictions"
        assert difference < 1e-4, f"{folder}: logits differ by {difference}"
        assert (classes == theirs.argmax(1))[clear].all(), f"{folder}: predictions differ"
        parameters = sum(p.numel() for p in model.parameters())
        print(f"{folder.name}: {len(lines)} predictions equal, logits to {difference:.1e}, {parameters} parameters")


def time_both(full, export, repetitions="30"):
    """Medians of forward passes in turn, of batches 1 and 32 of length 128."""
    import torch

    models = [load(full), load(export)]
    cells = []
    for batch in (1, 32):
        ids = torch.randint(0, models[0].config.vocab_size, (batch, 128), generator=torch.Generator().manual_seed(0))
        times = [[], []]
        with torch.inference_mode():
            for turn in range(int(repetitions) + 2):
                for model, own in zip(models, times):
                    began = time.perf_counter()
                    model(input_ids=ids)
                    if turn >= 2:
                        own.append(time.perf_counter() - began)
        full_ms, export_ms = (1e3 * statistics.median(own) for own in times)
        cells.append({"batch": batch, "length": 128, "full_ms": full_ms, "export_ms": export_ms,
                      "ratio": export_ms / full_ms})
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "latency": cells}, indent=1))


COMMANDS = {"write-data": lambda folder: (write_data(folder), write_questions(folder)), "stage": stage, "odd-ticket": odd_ticket, "save": save, "families": families,
            "compare": compare, "time": time_both}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])

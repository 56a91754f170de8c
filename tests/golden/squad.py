"""Writes squad.json, squad_windows.json and squad_answers.json: SQuAD v1.1's scorer, and windows and answers as
transformers' example run_qa.py makes them. Run it in this folder.

normalize_answer, f1_score and exact_match_score are those of the official evaluate-v1.1.py; features and answers are
prepare_train_features of run_qa.py and postprocess_qa_predictions of utils_qa.py, without padding and with one bound
more: where an answer begins in the last token of a window, their loop for its start runs on to the end of the sequence.
"""

import collections
import json
import platform
import random
import re
import string

import numpy as np
import tokenizers
import transformers
from transformers import BertTokenizerFast


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def f1_score(prediction, ground_truth):
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def exact_match_score(prediction, ground_truth):
    return normalize_answer(prediction) == normalize_answer(ground_truth)


versions = {"python": platform.python_version(), "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__, "numpy": np.__version__}


def write(name, value):
    json.dump({"script": "tests/golden/squad.py", "versions": versions} | value, open(name, "w"), separators=(",", ":"))


texts = [
    "The Cat", "the", "a", "an", "A an THE", "theatre", "another theme", "the-cat", "the_cat", "a.b", "U.S.A.",
    "a\u00a0b", "x\x1cthe\x1dy", "x\x85y", "x\u2003the\u2003y", "\u200bthe", "the\u200b cat", "\u00c9t\u00e9 the",
    "\u0130stanbul", "\u03a3\u03a3", "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3", "stra\u00dfe", "\ufb01n the",
    "the\u00e9", "\u00e9the", "the2", "2the", "the\u00b2", "\u00bda", "a\u4e2d", "\u4e2d a", "$1,000.50", "\u201cthe\u201d",
    "\u2014the\u2014cat", "don't", "\u2019a\u2019", "`~!@#$%^&*()_+-=[]{}|;':\",./<>?\\", "", "  ", "\n\tthe\n",
    "a a a b", "an\u0301 a", "\U0001f600 the \U0001f600", "na\u00efve The\u0301", "\u0410 a \u0430", "the the cat the",
]
pairs = [
    ("cat", ["The Cat!", "dog"]), ("the black cat", ["black cat", "a cat"]), ("black black cat", ["black cat cat"]),
    ("", [""]), ("the", ["a"]), ("", ["cat"]), ("cat", [""]), ("10 3", ["3/10", "3 10"]), ("x y z", ["z y", "x"]),
    ("Zo\u00eb saw", ["zo\u00eb", "ZO\u00cb SAW"]), ("\u4e2d\u6587", ["\u4e2d\u6587"]), ("a b c d e", ["b d f h"]),
    ("one two three", ["three two one"]), ("one", ["one one one"]), ("in 1987", ["1987", "In 1987."]),
    ("Dr. Smith", ["dr smith", "Smith"]), ("U.S.", ["US", "United States"]), ("empty", ["none"]),
    ("the United States of America", ["United States", "America"]), ("x" * 50, ["x" * 49]), ("a an the", [" "]),
]
write("squad.json", {
    "normalised": [[text, normalize_answer(text)] for text in texts],
    "scores": [{
        "prediction": prediction, "answers": answers,
        "exact_match": float(max(exact_match_score(prediction, answer) for answer in answers)),
        "f1": float(max(f1_score(prediction, answer) for answer in answers)),
    } for prediction, answers in pairs],
})

# Words of the vocabulary with letters and pieces of letters, so that all sorts of text have tokens.
letters = "abcdefghijklmnopqrstuvwxyz0123456789"
vocabulary = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(letters) + ["##" + c for c in letters]
              + list(".,-()'\"?!%&") + ["\u4e2d", "\u6587", "\u00f8", "##\u00f8", "the", "cat", "saw", "dog", "##ing", "in"])
open("vocab.tmp", "w").write("\n".join(vocabulary))
tokenizer = BertTokenizerFast("vocab.tmp", do_lower_case=True)
MAX_LENGTH, STRIDE = 32, 8

draw = random.Random(5)
words = ["the", "cat", "saw", "dog", "Zo\u00eb", "\u4e2d\u6587", "in", "walking", "1987", "(U.S.)", "na\u00efve", "\u00d8re",
         "\U0001f600", "A.B.", "don't", "e\u0301t\u00e9", "x\u00a0y", "10%"]
contexts, questions = [], []
for length in [0, 1, 5, 12, 30, 60, 90]:
    context = " ".join(draw.choice(words) for _ in range(length + 1))
    for _ in range(3):
        start = draw.randrange(len(context))
        end = min(len(context), start + draw.randrange(1, 12))
        answer = context[start:end]
        if answer.strip() != answer or not answer:
            answer, start = context.split(" ")[0], 0
        questions.append({"context": len(contexts), "text": " " * draw.randrange(3) + "cat saw " + draw.choice("abc") + "?",
                          "answer": answer, "start": start})
    contexts.append(context)

encoded = tokenizer(
    [q["text"].lstrip() for q in questions], [contexts[q["context"]] for q in questions], truncation="only_second",
    max_length=MAX_LENGTH, stride=STRIDE, return_overflowing_tokens=True, return_offsets_mapping=True,
)
windows = []
for i, offsets in enumerate(encoded["offset_mapping"]):
    cls = encoded["input_ids"][i].index(tokenizer.cls_token_id)
    question = questions[encoded["overflow_to_sample_mapping"][i]]
    sequence = encoded.sequence_ids(i)
    of_context = [n for n, s in enumerate(sequence) if s == 1]
    first, last = of_context[0], of_context[-1]
    start, end = question["start"], question["start"] + len(question["answer"])
    if not (offsets[first][0] <= start and offsets[last][1] >= end):
        labels = [cls, cls]
    else:
        begin, stop = first, last
        while begin <= last and offsets[begin][0] <= start:
            begin += 1
        while offsets[stop][1] >= end:
            stop -= 1
        labels = [begin - 1, stop + 1]
    context = contexts[question["context"]]
    windows.append({
        "question": encoded["overflow_to_sample_mapping"][i], "ids": encoded["input_ids"][i],
        "segments": encoded["token_type_ids"][i], "row": first,
        "pieces": [context[offsets[n][0]:offsets[n][1]] for n in of_context], "labels": labels,
    })
write("squad_windows.json", {"vocabulary": vocabulary, "max_length": MAX_LENGTH, "overlap": STRIDE, "contexts": contexts,
                             "questions": questions, "windows": windows})

N_BEST, MAX_ANSWER = 20, 30
generator = np.random.default_rng(7)
# Few of the questions are answered beyond doubt.
logits = [generator.normal(size=(len(w["ids"]), 2)).astype(np.float32).round(3) for w in windows]
predictions = {}
for number, question in enumerate(questions):
    context = contexts[question["context"]]
    found = []
    for i, window in enumerate(windows):
        if window["question"] != number:
            continue
        offsets = [o if s == 1 else None for o, s in zip(encoded["offset_mapping"][i], encoded.sequence_ids(i))]
        starts, ends = logits[i][:, 0], logits[i][:, 1]
        for a in np.argsort(starts)[-1: -N_BEST - 1: -1].tolist():
            for b in np.argsort(ends)[-1: -N_BEST - 1: -1].tolist():
                if offsets[a] is None or offsets[b] is None or b < a or b - a + 1 > MAX_ANSWER:
                    continue
                found.append({"offsets": (offsets[a][0], offsets[b][1]), "score": starts[a] + ends[b]})
    found = sorted(found, key=lambda x: x["score"], reverse=True)[:N_BEST]
    texts = [context[f["offsets"][0]: f["offsets"][1]] for f in found]
    if len(texts) == 0 or (len(texts) == 1 and texts[0] == ""):
        texts.insert(0, "empty")
    predictions[str(number)] = texts[0]
write("squad_answers.json", {"logits": [[round(float(x), 3) for x in l.flatten()] for l in logits],
                             "predictions": predictions})

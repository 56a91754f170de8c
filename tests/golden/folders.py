"""Token ids of small folders, by transformers: python3 folders.py > folders.json

Each folder holds tokenizer files that disagree, or that a loader may overlook. The JSON keeps the content of every
file, the ids and segments that `AutoTokenizer.from_pretrained(folder)` gives for SENTENCES and PAIRS, and for folders
that the program refuses what its message must contain.
"""

import json
import platform
import tempfile
from pathlib import Path

import tokenizers
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "The", "cat", "Cat", "cafe", "café", "Café", "CAFÉ", "cafÉ", "un", "##aff", "##able", "##s", "##e", "##a",
         "c", "a", "f", "é", "中", "国", "##国", "中国", "[", "]", "<", ">", "new", "token", "mask", "ent", "i", ".", ",", "!",
         "nul", "in", "##in", "pad", "/", "t", "##he", "x", "##x", "!x", "nulin", "'", "n", "##t", "don", "straße", "strasse",
         "##國", "İ", "cls", "unk", "Straße", "s", "q", "<s>", "</s>", "<unk>", "<mask>", "bf", "cf", "dd", "NEW", "TOKEN",
         "new_token", "_", "[new]", "##new", "##w", "ne", "##token"]
VOCAB = SPECIAL + WORDS
SENTENCES = [
    "the cat", "The Cat.", "café Café CAFÉ cafe", "cafe\u0301", "中国 the中国cat", "unaffable cats", "nul\x00in\x01 the\x7f",
    "the\ufffd cat", "the\u00a0cat\tthe\r\ncat", "[MASK] the [mask] [CLS]", "the [NEW] token [new]", "new_token NEW_TOKEN",
    "<ent> the <ENT>cat <ent>.", "thenewtoken the newtoken", "straße STRASSE Straße", "İ i", "don't!x", "zebra",
    "\ufeffthe", "\u200dthe\u200b", "", "   ", "x" * 99, "x" * 100, "x" * 101, "<s> the </s> <unk> <mask>", "[PAD] [UNK] [SEP]",
    "ＴＨＥ ｃａｔ", "\u1100\u1161the", "the\ud7a4", "𠀀中", "🙂 the",
]
PAIRS = [["the cat", "The Cat", 64], ["the cat the cat the", "a cat", 8], ["a cat", "i in the cat café the", 8],
         ["the cat the cat", "cat the cat the", 8], ["the cat the cat the cat", None, 6]]


def wordpiece(vocab=VOCAB, lowercase=True, accents=None, chinese=True, clean=True, added=SPECIAL, prefix="##", longest=100,
              unk="[UNK]"):
    """A tokenizer.json as transformers 4 saved it."""
    vocab = vocab if isinstance(vocab, dict) else {word: index for index, word in enumerate(vocab)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=unk, continuing_subword_prefix=prefix,
                                           max_input_chars_per_word=longest))
    tokenizer.normalizer = normalizers.BertNormalizer(clean, chinese, accents, lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = ("[CLS]", vocab.get("[CLS]", 2)), ("[SEP]", vocab.get("[SEP]", 3))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[cls, sep])
    for token in added:
        tokenizer.add_special_tokens([token]) if isinstance(token, str) else tokenizer.add_tokens([token])
    return json.loads(tokenizer.to_str())


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


BERT = {"model_type": "bert"}
VOCAB_TXT = "".join(word + "\n" for word in VOCAB)
CLASS = {"tokenizer_class": "BertTokenizer"}
TOKEN = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
DECODER = {str(index): {"content": word, **TOKEN} for index, word in enumerate(SPECIAL)}
N = len(VOCAB)
Added = tokenizers.AddedToken
ENT = Added("<ent>", normalized=True)

folders = []


def folder(name, refusal=None, model=BERT, **files):
    """Keys are file names without their ending; a string is written as it is."""
    endings = {"vocab": ".txt", "merges": ".txt"}
    # vocab.txt and vocab.json differ in nothing but the ending.
    names = {"vocab_json": "vocab"}
    named = {names.get(key, key) + endings.get(key, ".json"): value if isinstance(value, str) else
             json.dumps(value, ensure_ascii=False, separators=(",", ":")) for key, value in files.items()}
    if model is not None:
        named["config.json"] = json.dumps(model)
    folders.append({"name": name, "refusal": refusal, "files": named})


def both(name, config, **json_options):
    """The same config beside tokenizer.json and beside vocab.txt."""
    folder(name + ", tokenizer.json", tokenizer=wordpiece(**json_options), tokenizer_config=config)
    folder(name + ", vocab.txt", vocab=VOCAB_TXT, tokenizer_config=config)


# What the two files say of letter case, accents and Chinese characters.
folder("vocab.txt alone", vocab=VOCAB_TXT)
folder("tokenizer.json alone", tokenizer=wordpiece())
folder("tokenizer.json alone, cased", tokenizer=wordpiece(lowercase=False))
folder("no config.json", model=None, vocab=VOCAB_TXT, tokenizer_config=CLASS)
both("an empty config", {})
both("agreeing", {**CLASS, "do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True})
both("config says cased", {**CLASS, "do_lower_case": False})
both("config says lower case", {**CLASS, "do_lower_case": True}, lowercase=False)
both("config keeps accents", {**CLASS, "strip_accents": False})
both("config strips accents of cased text", {**CLASS, "do_lower_case": False, "strip_accents": True}, accents=False)
both("config leaves Chinese words whole", {**CLASS, "tokenize_chinese_chars": False})
both("config says nothing of what the file turns off", CLASS, lowercase=False, accents=False, chinese=False, clean=False)
both("do_basic_tokenize and never_split", {**CLASS, "do_basic_tokenize": False, "never_split": ["<ent>", "The"]})
both("model_max_length", {**CLASS, "model_max_length": 4})
both("truncation_side left", {**CLASS, "truncation_side": "left"})
both("padding_side left", {**CLASS, "padding_side": "left"})
both("split_special_tokens", {**CLASS, "split_special_tokens": True})
both("model_input_names without segments", {**CLASS, "model_input_names": ["input_ids", "attention_mask"]})
folder("truncation and padding of tokenizer.json", tokenizer_config=CLASS, tokenizer={
    **wordpiece(), "truncation": {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    "padding": {"strategy": {"Fixed": 16}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
                "pad_token": "[PAD]"}})
folder("a pattern of its own in tokenizer.json", tokenizer_config=CLASS, tokenizer={
    **wordpiece(), "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None})
folder("prefix and longest word of tokenizer.json", tokenizer_config=CLASS,
       tokenizer=wordpiece(longest=5, prefix="@@"))
folder("both files, two vocabularies", tokenizer=wordpiece(), vocab="".join(w + "\n" for w in SPECIAL + WORDS[::-1]),
       tokenizer_config=CLASS)
folder("both files, vocab.txt damaged", tokenizer=wordpiece(), vocab="the\n", tokenizer_config=CLASS)
folder("ids with gaps", tokenizer=wordpiece({word: 3 * index for index, word in enumerate(VOCAB)}), tokenizer_config=CLASS)

# Classes.
for name in ["BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", None]:
    config = {"tokenizer_class": name, "do_lower_case": False}
    folder(f"class {name}, tokenizer.json", tokenizer=wordpiece(), tokenizer_config=config)
    if name in ("PreTrainedTokenizerFast", "TokenizersBackend"):
        folder(f"class {name}, vocab.txt", vocab=VOCAB_TXT, tokenizer_config=config,
               refusal=f'tokenizer_config.json: tokenizer_class is "{name}", which reads tokenizer.json')
    else:
        folder(f"class {name}, vocab.txt", vocab=VOCAB_TXT, tokenizer_config=config)
for name in ["DistilBertTokenizer", "DistilBertTokenizerFast", "ElectraTokenizer", "ElectraTokenizerFast",
             "MobileBertTokenizer", "SqueezeBertTokenizerFast", "LayoutLMTokenizer"]:
    folder(f"class {name}", tokenizer=wordpiece(), tokenizer_config={"tokenizer_class": name, "do_lower_case": False})
for name in ["RobertaTokenizer", "RobertaTokenizerFast"]:
    folder(f"class {name!r}", tokenizer=wordpiece(), vocab=VOCAB_TXT, tokenizer_config={"tokenizer_class": name},
           refusal='tokenizer.json: model.type is "WordPiece"')
for name in ["BertJapaneseTokenizer", "GPT2Tokenizer", "CamembertTokenizer", "DebertaV2Tokenizer", "AlbertTokenizer", "PreTrainedTokenizer",
             "ConvBertTokenizer", "MyTokenizer", "XLMRobertaTokenizer", "MPNetTokenizer", "BertGenerationTokenizer", "FunnelTokenizer",
             "RetriBertTokenizer", "RoCBertTokenizer", "BasicTokenizer", "HerbertTokenizer", ""]:
    folder(f"class {name!r}", tokenizer=wordpiece(), vocab=VOCAB_TXT, tokenizer_config={"tokenizer_class": name},
           refusal=f'tokenizer_config.json: tokenizer_class is "{name}"')
folder("class in config.json", model={**BERT, "tokenizer_class": "BertTokenizerFast"}, tokenizer=wordpiece(lowercase=False))
folder("Japanese class in config.json", model={**BERT, "tokenizer_class": "BertJapaneseTokenizer"}, vocab=VOCAB_TXT,
       refusal='config.json: tokenizer_class is "BertJapaneseTokenizer"')
folder("class of config.json overruled", model={**BERT, "tokenizer_class": "BertJapaneseTokenizer"}, vocab=VOCAB_TXT,
       tokenizer_config=CLASS)
folder("fast class in config.json alone", model={**BERT, "tokenizer_class": "PreTrainedTokenizerFast"},
       tokenizer=wordpiece(lowercase=False), refusal='config.json: tokenizer_class is "PreTrainedTokenizerFast"')
folder("another model_type", model={"model_type": "electra"}, tokenizer=wordpiece(lowercase=False))
folder("another model_type of another family", model={"model_type": "albert"}, tokenizer=wordpiece(),
       refusal='config.json: model_type is "albert"')
folder("RoBERTa's model_type, BERT's tokenizer", model={"model_type": "roberta"}, tokenizer=wordpiece(),
       refusal='tokenizer.json: model.type is "WordPiece"')
folder("DistilBERT's model_type", model={"model_type": "distilbert"}, tokenizer=wordpiece(lowercase=False))
folder("another model_type, class given", model={"model_type": "roberta"}, tokenizer=wordpiece(), tokenizer_config=CLASS)
folder("code of its own", tokenizer=wordpiece(), tokenizer_config={
    **CLASS, "auto_map": {"AutoTokenizer": ["tokenization_my.MyTokenizer", None]}})
folder("code of its own, class of its own", tokenizer=wordpiece(), refusal='tokenizer_class is "MyTokenizer"',
       tokenizer_config={"tokenizer_class": "MyTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_my.MyTokenizer", None]}})
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
folder("fast class, everything of tokenizer.json", tokenizer_config={**FAST, "do_lower_case": True, "truncation_side": "left"},
       tokenizer=wordpiece(lowercase=False, accents=True, chinese=False, clean=False, longest=5))
folder("fast class, direction of tokenizer.json", tokenizer_config=FAST, tokenizer={
    **wordpiece(), "truncation": {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0}})
folder("fast class with an unframed file", tokenizer_config=FAST, tokenizer={**wordpiece(), "post_processor": None},
       refusal="tokenizer.json: it does not frame a pair with [CLS] and [SEP]")
folder("fast class, added tokens of the config", tokenizer=wordpiece(), tokenizer_config={
    **FAST, "added_tokens_decoder": {**DECODER, str(N): {**TOKEN, "content": "[NEW]"}, str(N + 1): {
        **TOKEN, "content": "<ent>", "lstrip": True, "rstrip": True, "special": False}}})
folder("fast class, other flags in the config", tokenizer=wordpiece(added=SPECIAL + ["[NEW]", ENT]), tokenizer_config={
    **FAST, "added_tokens_decoder": {**DECODER, str(N): {**TOKEN, "content": "[NEW]", "normalized": True, "special": False}}})
folder("fast class, names in the config", tokenizer=wordpiece(), tokenizer_config={
    **FAST, "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "<mask>",
    "bos_token": "<s>", "additional_special_tokens": ["<ent>"]})
folder("fast class, padding of tokenizer.json", tokenizer_config=FAST, tokenizer={
    **wordpiece(), "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                               "pad_type_id": 0, "pad_token": "<pad>"}})
folder("fast class, split_special_tokens", tokenizer=wordpiece(), tokenizer_config={**FAST, "split_special_tokens": True})

# Added tokens.
folder("added_tokens.json", vocab=VOCAB_TXT, added_tokens={"[NEW]": N, "new_token": N + 1, "<ent>": N + 2})
folder("added_tokens.json out of order", vocab=VOCAB_TXT, added_tokens={"<ent>": N + 7, "[NEW]": N + 2}, tokenizer_config=CLASS)
folder("added_tokens.json, two of one id", vocab=VOCAB_TXT, added_tokens={"<ent>": N, "[NEW]": N}, tokenizer_config=CLASS)
folder("added_tokens.json with a word of the vocabulary", vocab=VOCAB_TXT, added_tokens={"cat": N, "Cafe": N + 1, "": N + 2})
folder("added_tokens.json of special tokens", vocab=VOCAB_TXT, added_tokens={"[NEW]": N, "<mask>": N + 1},
       special_tokens_map={"mask_token": "<mask>", "additional_special_tokens": ["[NEW]"]})
folder("added_tokens.json beside tokenizer.json", tokenizer=wordpiece(added=SPECIAL + ["[NEW]"]),
       added_tokens={"[NEW]": N, "<ent>": N + 1}, tokenizer_config=CLASS)
folder("added_tokens.json that the decoder overrules", vocab=VOCAB_TXT, added_tokens={"[NEW]": N, "<ent>": N + 1},
       tokenizer_config={**CLASS, "added_tokens_decoder": DECODER})
folder("added tokens of tokenizer.json that the decoder overrules", tokenizer=wordpiece(added=SPECIAL + ["[NEW]", ENT]),
       tokenizer_config={**CLASS, "added_tokens_decoder": DECODER})
folder("added tokens of tokenizer.json", tokenizer_config=CLASS, tokenizer=wordpiece(added=SPECIAL + [
    "[NEW]", ENT, Added("new", single_word=True), Added("TOKEN", normalized=True, lstrip=True, rstrip=True)]))
both("an empty added_tokens_decoder", {**CLASS, "added_tokens_decoder": {}})
both("added_tokens_decoder", {**CLASS, "added_tokens_decoder": {**DECODER, str(N + 5): {**TOKEN, "content": "[NEW]"},
     str(N): {"content": "<ent>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": True, "special": False}}})
both("added_tokens_decoder without flags", {**CLASS, "added_tokens_decoder": {str(N): {"content": "<ent>"}}})
both("additional_special_tokens", {**CLASS, "additional_special_tokens": ["[NEW]", "<ent>", "cat"]})
both("additional_special_tokens with flags", {**CLASS, "additional_special_tokens": [
    {"__type": "AddedToken", "content": "<ent>", "lstrip": True, "rstrip": True, "single_word": False, "normalized": True}]})
both("extra_special_tokens", {**CLASS, "extra_special_tokens": ["[NEW]"], "additional_special_tokens": ["<ent>"]})
both("extra_special_tokens by name", {**CLASS, "extra_special_tokens": {"new_token": "[NEW]"}})
both("a token of the model's own", {**CLASS, "ent_token": "<ent>", "bos_token": "<s>", "eos_token": "[NEW]"})

# Other special tokens.
both("other names", {**CLASS, "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"})
both("names as objects", {**CLASS, "mask_token": {"__type": "AddedToken", "content": "[MASK]", "lstrip": True, "rstrip": False,
     "normalized": True, "single_word": False}, "cls_token": {"__type": "AddedToken", "content": "<s>", **TOKEN}})
both("no pad and no mask token", {**CLASS, "pad_token": None, "mask_token": None})
both("a pad token that is not in the vocabulary", {**CLASS, "pad_token": "<pad>"})
for key in ["unk_token", "cls_token", "sep_token"]:
    folder(f"{key} null", vocab=VOCAB_TXT, tokenizer_config={**CLASS, key: None}, refusal=f"{key} is null")
    folder(f"{key} that is not in the vocabulary", vocab=VOCAB_TXT, tokenizer_config={**CLASS, key: "<none>"},
           refusal=f"vocab.txt: the token <none> is missing, which tokenizer_config.json gives as {key}")
    folder(f"{key} a number", vocab=VOCAB_TXT, tokenizer_config={**CLASS, key: 3}, refusal=f"{key} is neither a text nor")
folder("special_tokens_map.json with other names", vocab=VOCAB_TXT, tokenizer_config=CLASS, special_tokens_map={
    "unk_token": "<unk>", "cls_token": "<s>", "sep_token": {"content": "</s>", **without(TOKEN, "special")}})
folder("special_tokens_map.json over the config", vocab=VOCAB_TXT, tokenizer_config={**CLASS, "unk_token": "[UNK]"},
       special_tokens_map={"unk_token": "<unk>", "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": True,
                                                                "normalized": True, "single_word": False}})
folder("special_tokens_map.json that the decoder overrules", vocab=VOCAB_TXT,
       tokenizer_config={**CLASS, "added_tokens_decoder": DECODER}, special_tokens_map={"unk_token": "<unk>"})
folder("special_tokens_map.json beside tokenizer.json", tokenizer=wordpiece(), tokenizer_config=CLASS, special_tokens_map={
    "unk_token": "<unk>", "additional_special_tokens": ["[NEW]", "<ent>"], "ent_token": "new_token"})
folder("special_tokens_map.json, both lists", vocab=VOCAB_TXT, tokenizer_config={**CLASS, "additional_special_tokens": ["<ent>"]},
       special_tokens_map={"additional_special_tokens": ["[NEW]"]})
folder("special_tokens_map.json with extra tokens", vocab=VOCAB_TXT, tokenizer_config={**CLASS, "extra_special_tokens": ["<ent>"]},
       special_tokens_map={"extra_special_tokens": [{"content": "[NEW]", "lstrip": True}, "<ent>"]})
folder("special_tokens_map.json with objects in the list", vocab=VOCAB_TXT, tokenizer_config=CLASS,
       special_tokens_map={"additional_special_tokens": [{"content": "[NEW]", **without(TOKEN, "special")}]},
       refusal="special_tokens_map.json: additional_special_tokens")
folder("the letter case in special_tokens_map.json", vocab=VOCAB_TXT, special_tokens_map={"do_lower_case": False})

# vocab.txt and what editors do to it.
folder("vocab.txt with CRLF", vocab=VOCAB_TXT.replace("\n", "\r\n"))
folder("vocab.txt with a BOM", vocab="\ufeff" + VOCAB_TXT)
folder("vocab.txt with a BOM before a word", vocab="\ufeffthe\n" + VOCAB_TXT)
folder("vocab.txt with blank lines", vocab=VOCAB_TXT.replace("cat\n", "cat\n\n\n", 1) + "\n\n")
folder("vocab.txt with duplicates", vocab=VOCAB_TXT.replace("cafe\n", "the\ncat\ncafe\n", 1) + "i\n")
folder("vocab.txt with duplicates and added tokens", vocab=VOCAB_TXT.replace("cafe\n", "the\ncat\ncafe\n", 1) + "i\n",
       added_tokens={"[NEW]": N + 2, "<ent>": N + 3})
folder("vocab.txt with spaces", vocab=VOCAB_TXT.replace("cat\n", "cat \t\n", 1).replace("un\n", " un\n", 1))
folder("vocab.txt without [PAD]", vocab=VOCAB_TXT.replace("[PAD]\n", ""))
folder("vocab.txt without [PAD] and [MASK]", vocab=VOCAB_TXT.replace("[PAD]\n", "").replace("[MASK]\n", ""))
folder("vocab.txt without a last line end", vocab=VOCAB_TXT[:-1])
for token in ["[UNK]", "[CLS]", "[SEP]"]:
    folder(f"vocab.txt without {token}", vocab=VOCAB_TXT.replace(token + "\n", ""),
           refusal=f"vocab.txt: the token {token} is missing")
folder("an empty vocab.txt", vocab="", refusal="vocab.txt: its vocabulary is empty")
folder("no vocabulary", tokenizer=wordpiece({}, added=[]), tokenizer_config=CLASS, refusal="tokenizer.json: its vocabulary is empty")

# What tokenizer_config.json may say besides.
folder("a vocabulary in the config", vocab=VOCAB_TXT, tokenizer_config={**CLASS, "vocab": {"[UNK]": 0}}, refusal="key vocab")
folder("arguments in the config", vocab=VOCAB_TXT, tokenizer_config={**CLASS, "init_inputs": [{"[UNK]": 0}]},
       refusal="key init_inputs")
folder("another file in the config", tokenizer=wordpiece(), tokenizer_config={
    **CLASS, "fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.0.0.json"]}, refusal="key fast_tokenizer_files")
folder("the letter case not a truth value", vocab=VOCAB_TXT, tokenizer_config={**CLASS, "do_lower_case": "yes"},
       refusal="do_lower_case is neither true nor false")
folder("a list as config", vocab=VOCAB_TXT, tokenizer_config=[], refusal="tokenizer_config.json: it is not a JSON object")
folder("BPE", tokenizer_config=CLASS, refusal='tokenizer.json: model.type is "BPE"', tokenizer={
    **wordpiece(), "model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(VOCAB)}, "merges": []}})
folder("no model type", tokenizer_config=CLASS,
       tokenizer={**wordpiece(), "model": without(wordpiece()["model"], "type")})
folder("unknown tokens of tokenizer.json", tokenizer=wordpiece(unk="<unk>"), tokenizer_config=CLASS)

# RoBERTa's byte-level BPE, trained on the sentences above.
bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.train_from_iterator(
    SENTENCES + [" ".join(WORDS)] * 2 + [" the cat café"] * 3,
    trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
MODEL = json.loads(bpe.to_str())["model"]
BPE_VOCAB, MERGES = MODEL["vocab"], [" ".join(merge) for merge in MODEL["merges"]]
M = len(BPE_VOCAB)
ROBERTA = {"model_type": "roberta"}
ROBERTA_CLASS = {"tokenizer_class": "RobertaTokenizer"}
MASK = Added("<mask>", lstrip=True, special=True)


def roberta_json(prefix_space=False, trim=True, merges=None, added=("<s>", "<pad>", "</s>", "<unk>", MASK)):
    """A tokenizer.json as transformers 4 saved it."""
    tokenizer = Tokenizer(models.BPE(BPE_VOCAB, [tuple(merge.split(" ")) for merge in MERGES]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, trim_offsets=trim)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim, prefix_space)
    tokenizer.add_special_tokens(list(added))
    tokenizer_json = json.loads(tokenizer.to_str())
    if merges is not None:
        tokenizer_json["model"]["merges"] = merges
    return tokenizer_json


def roberta(name, config=ROBERTA_CLASS, refusal=None, model=ROBERTA, **others):
    files = dict(others)
    if config is not None:
        files["tokenizer_config"] = config
    folder("RoBERTa: " + name, refusal, model, **files)


SLOW = {"vocab_json": BPE_VOCAB, "merges": "#version: 0.2\n" + "".join(merge + "\n" for merge in MERGES)}
roberta("vocab.json and merges.txt alone", None, **SLOW)
roberta("tokenizer.json alone", None, tokenizer=roberta_json())
roberta("tokenizer.json with merges as texts", tokenizer=roberta_json(merges=MERGES))
for prefix in [False, True]:
    for how, files in [("vocab.json", SLOW), ("tokenizer.json", {"tokenizer": roberta_json(prefix_space=not prefix, trim=prefix)})]:
        roberta(f"add_prefix_space {prefix}, {how}", {**ROBERTA_CLASS, "add_prefix_space": prefix, "trim_offsets": not prefix},
                **files)
roberta("the fast class's name", {"tokenizer_class": "RobertaTokenizerFast"}, **SLOW)
roberta("class in config.json", None, model={**ROBERTA, "tokenizer_class": "RobertaTokenizer"}, **SLOW)
roberta("class beside another model_type", model=BERT, tokenizer=roberta_json())
roberta("a pattern and a frame of its own in tokenizer.json", tokenizer={
    **roberta_json(), "pre_tokenizer": {"type": "WhitespaceSplit"}, "normalizer": {"type": "Lowercase"}, "post_processor": None})
roberta("truncation_side left", {**ROBERTA_CLASS, "truncation_side": "left"}, **SLOW)
roberta("segments in model_input_names", {**ROBERTA_CLASS, "model_input_names": ["input_ids", "token_type_ids"]}, **SLOW)
roberta("split_special_tokens", {**ROBERTA_CLASS, "split_special_tokens": True}, tokenizer=roberta_json())
roberta("mask token with flags", {**ROBERTA_CLASS, "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True,
        "rstrip": False, "normalized": False, "single_word": False}}, **SLOW)
roberta("added tokens of tokenizer.json", tokenizer=roberta_json(added=["<s>", "<pad>", "</s>", "<unk>", MASK, "[NEW]", ENT]))
roberta("added_tokens.json", added_tokens={"[NEW]": M, "<ent>": M + 1}, **SLOW)
roberta("added_tokens_decoder", {**ROBERTA_CLASS, "added_tokens_decoder": {
    "0": {"content": "<s>", **TOKEN}, "4": {"content": "<mask>", **TOKEN, "lstrip": True},
    str(M): {"content": "<ent>", **TOKEN, "special": False}}}, tokenizer=roberta_json())
roberta("special_tokens_map.json", special_tokens_map={"mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False,
        "normalized": False, "single_word": False}, "additional_special_tokens": ["[NEW]"]}, **SLOW)
roberta("other names", {**ROBERTA_CLASS, "cls_token": "<pad>", "sep_token": "<s>", "bos_token": "the"}, **SLOW)
roberta("both forms", tokenizer=roberta_json(), vocab_json={"<s>": 0}, merges="")
roberta("fast class, everything of tokenizer.json", {**FAST, "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"},
        tokenizer=roberta_json(prefix_space=True))
roberta("no merges.txt", vocab_json=BPE_VOCAB, refusal="vocab.json is there without merges.txt")
roberta("vocab.txt for its class", vocab=VOCAB_TXT, refusal="asks for vocab.json, which is not there")
roberta("BERT's class for its files", CLASS, refusal="asks for vocab.txt, which is not there", **SLOW)
roberta("a merge of three", vocab_json=BPE_VOCAB, merges="#version: 0.2\nt h e\n", refusal="merges.txt: line 2 is not of two")
roberta("a merge of unknown tokens", vocab_json=BPE_VOCAB, merges="zq xq\n", refusal="vocab.json: ")
roberta("an id that is no number", vocab_json={**BPE_VOCAB, "the": "x"}, merges="", refusal="vocab.json: invalid type")
roberta("no unknown token", vocab_json={w: i for w, i in BPE_VOCAB.items() if w != "<unk>"}, merges="",
        refusal="vocab.json: the token <unk> is missing")
roberta("add_prefix_space not a truth value", {**ROBERTA_CLASS, "add_prefix_space": "yes"},
        refusal="add_prefix_space is neither true nor false", **SLOW)
roberta("an empty vocabulary", vocab_json={}, merges="", refusal="vocab.json: its vocabulary is empty")

results = []
for entry in folders:
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in entry["files"].items():
            Path(temporary, name).write_bytes(content.encode())
        out = {"name": entry["name"], "files": entry["files"]}
        if entry["refusal"]:
            out["refusal"] = entry["refusal"]
        try:
            tokenizer = AutoTokenizer.from_pretrained(temporary)
            out["class"] = type(tokenizer).__name__
            out["ids"] = [tokenizer(sentence)["input_ids"] for sentence in SENTENCES]
            # The class that reads tokenizer.json as it is leaves the segments out by default, and BERT needs them.
            kept = True if out["class"] == "TokenizersBackend" else None
            pairs = [tokenizer(first, second, max_length=length, truncation="longest_first", return_token_type_ids=kept)
                     for first, second, length in PAIRS]
            out["pairs"] = [[pair["input_ids"], pair.get("token_type_ids")] for pair in pairs]
        except Exception as error:
            out["error"] = type(error).__name__
            out["error"] += ": " + str(error).replace(temporary, "")[:100]
        results.append(out)

versions = {"python": platform.python_version(), "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
assert all("ids" in out or "refusal" in out for out in results)
head = {"script": "tests/golden/folders.py", "versions": versions, "sentences": SENTENCES, "pairs": PAIRS}
print(json.dumps(head)[:-1] + ', "folders": [\n' + ",\n".join(map(json.dumps, results)) + "\n]}")

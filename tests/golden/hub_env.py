"""Writes hub_env.json: what huggingface_hub takes from an environment. Run with huggingface_hub 2.4.0."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# HOME is a folder that has the token "hf_home" in .cache/huggingface/token; {home} stands for it.
CASES = [
    {},
    {"HF_HOME": "/x"},
    {"HF_HOME": "~/x"},
    {"HF_HOME": "~"},
    {"HF_HOME": "/a/$NAME/${OTHER}/$NONE/${NONE}/b$"},
    {"HF_HOME": "~/$NAME"},
    {"HF_HOME": "/a/~/$NAMEx/${NAME"},
    {"XDG_CACHE_HOME": "/xdg"},
    {"XDG_CACHE_HOME": "~/$NAME"},
    {"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/x"},
    {"HUGGINGFACE_HUB_CACHE": "/old"},
    {"HUGGINGFACE_HUB_CACHE": "~/$NAME", "HF_HOME": "/x"},
    {"HF_HUB_CACHE": "~/${NAME}/c", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/x"},
    {"HF_ENDPOINT": "https://mirror/"},
    {"HF_ENDPOINT": "http://mirror:8080/a//"},
    {"HF_HUB_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "on"},
    {"HF_HUB_OFFLINE": "Yes"},
    {"HF_HUB_OFFLINE": "TRUE"},
    {"HF_HUB_OFFLINE": "2"},
    {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"},
    {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "1"},
    {"TRANSFORMERS_OFFLINE": "true"},
    {"TRANSFORMERS_OFFLINE": "no"},
    {"HF_TOKEN": " hf_a\n"},
    {"HF_TOKEN": "hf_a\r\nb"},
    {"HF_TOKEN": "  "},
    {"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
    {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
    {"HUGGING_FACE_HUB_TOKEN": "hf_b"},
    {"HF_TOKEN_PATH": "~/$NAME.txt"},
    {"HF_TOKEN_PATH": "{home}/none"},
    {"HF_TOKEN_PATH": "~/$NAME.txt", "HF_HOME": "/x"},
    {"HF_HOME": "/x", "HF_TOKEN": "hf_a"},
    {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"},
    {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_TOKEN": "hf_a"},
    {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "0", "HF_TOKEN": "hf_a"},
]
OTHERS = {"NAME": "value", "OTHER": "a$NAME"}
ASK = """
import json
from huggingface_hub import constants
from huggingface_hub.utils._headers import get_token_to_send
print(json.dumps({"cache": constants.HF_HUB_CACHE, "endpoint": constants.ENDPOINT,
                  "offline": constants.HF_HUB_OFFLINE, "token": get_token_to_send(None)}))
"""

with tempfile.TemporaryDirectory() as home:
    token = Path(home, ".cache/huggingface/token")
    token.parent.mkdir(parents=True)
    token.write_text("hf_home\n")
    Path(home, "value.txt").write_text("hf_file \n")
    cases = []
    for case in CASES:
        env = {name: value.replace("{home}", home) for name, value in (case | OTHERS).items()}
        env |= {"HOME": home, "PATH": os.environ["PATH"]}
        out = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=True)
        cases.append({"env": case, "read": json.loads(out.stdout.replace(home, "{home}"))})
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    golden = f'{{"others": {json.dumps(OTHERS)}, "cases": [\n{lines}\n]}}\n'
    Path(__file__).with_suffix(".json").write_text(golden)

"""Writes hub_cache.json: the cache that huggingface_hub makes of the repository in tests/hub/world.rs, as a list of paths
with what links point to and the hashes of files. With a folder as argument, it checks that huggingface_hub finds the same
repository in that cache, without a network. Run with huggingface_hub 2.4.0."""

import hashlib
import http.server
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "bert"}\n',
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "tokenizer_config.json": b"{}\n",
    "added_tokens.json": b'{"[X]": 2}\n',
    "special_tokens_map.json": b"",
    "model.safetensors": bytes(nth % 251 for nth in range(300_000)),
}


class Hub(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.wfile.write(self.answer())

    def answer(self):
        content = FILES.get(self.path.split("/")[-1])
        if content is None:
            self.send_error(404)
            return b""
        is_large = self.path.endswith(".safetensors")
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest() if is_large else git}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, *_):
        pass


def listing(cache):
    out = {}
    for path in sorted(path for path in cache.rglob("*") if path.is_symlink() or path.is_file()):
        name = path.relative_to(cache).as_posix()
        if name != "CACHEDIR.TAG":
            out[name] = "-> " + os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    return out


if len(sys.argv) == 1:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"

from huggingface_hub import hf_hub_download, try_to_load_from_cache  # noqa: E402

if len(sys.argv) == 1:
    with tempfile.TemporaryDirectory() as cache:
        for file in FILES:
            hf_hub_download("owner/name", file, cache_dir=cache)
        golden = json.dumps(listing(Path(cache)), indent=1) + "\n"
    Path(__file__).with_suffix(".json").write_text(golden)
else:
    cache = sys.argv[1]
    for file, content in FILES.items():
        for revision in ["main", COMMIT]:
            found = try_to_load_from_cache("owner/name", file, cache_dir=cache, revision=revision)
            local = hf_hub_download("owner/name", file, cache_dir=cache, revision=revision, local_files_only=True)
            assert isinstance(found, str) and found == local and Path(found).read_bytes() == content, file
    print(f"huggingface_hub finds all {len(FILES)} files in {cache}")

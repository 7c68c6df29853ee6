"""A Hub on the loopback interface: the part of its HTTP API that pushing and loading a model need, and its failures.

It keeps everything in memory, in the standard library alone. Large files go by LFS (basic transfer), not by Xet.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

REPO = r"(?P<repo>[^/]+/[^/]+)"
LARGE = r".*\.(safetensors|png)"
WRITER, READER = "hf_writer_secret", "hf_reader_secret"
"""The tokens of a user `tester`, who may write, and of one who may only read what is public."""

STRANGERS = {
    "page": (
        b"\n<!DOCTYPE html><html><body>Log in to the network of this hotel</body></html>",
        "text/html; charset=utf-8",
    ),
    "nothing": (b"", "text/plain"),
    "text": (b"OK", "text/plain"),
    "object": (b'{"status": "ok"}', "application/json"),
    "list": (b"[1]", "application/json"),
}
"""What answers 200 in the Hub's place: a proxy, or the login page of a network."""

Tree = dict[str, tuple[str, bool]]
"""A commit's files: path -> (name of the blob, whether it is a large file)."""


@dataclass
class Repo:
    """A repository: its commits, and the branches and tags that name some of them."""

    private: bool
    commits: dict[str, Tree] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.commit("main", {})

    def commit(self, branch, tree):
        sha = hashlib.sha1(f"{len(self.commits)} {branch} {sorted(tree.items())}".encode()).hexdigest()
        self.commits[sha] = tree
        self.branches[branch] = sha
        return sha

    def find(self, revision):
        commit = revision if revision in self.commits else None
        return self.branches.get(revision) or self.tags.get(revision) or commit


@dataclass
class Fault:
    """What goes wrong with requests like `PUT /_lfs/.*`.

    Attributes:
        request: a regular expression for method and path.
        how: a status code; `"cut"`, the connection ends in the middle; `"lost"`, the answer to what was done does
            not arrive; `"truncated"`, a file ends too early without a word; one of `STRANGERS`, which answers in the
            Hub's place.
        times: how often; None for always.
        headers: of the answer, beside a status code.
    """

    request: str
    how: int | str
    times: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Hub(ThreadingHTTPServer):
    """The server; `faults` may be added at any time."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = threading.RLock()
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def fail(self, request, how, times=None, **headers):
        self.faults = [Fault(request, how, times, headers)]

    def files(self, repo, revision="main"):
        """Return a revision's files, path -> content."""
        found = self.repos[repo]
        return {path: self.blobs[blob] for path, (blob, _) in found.commits[found.find(revision)].items()}

    def write(self, repo, branch, path, content):
        """Commit one file, as somebody else might; None removes it."""
        found = self.repos[repo]
        tree = dict(found.commits[found.find(branch) or found.find("main")])
        tree.pop(path, None)
        if content is not None:
            tree[path] = hashlib.sha1(content).hexdigest(), False
            self.blobs[tree[path][0]] = content
        found.commit(branch, tree)

    def count(self, request):
        return sum(bool(re.fullmatch(request, one)) for one in self.requests)

    def state(self):
        """Return what every branch and tag of every repository holds: to see whether something has changed."""
        return {
            (name, reference): repo.commits[sha]
            for name, repo in self.repos.items()
            for reference, sha in [*repo.branches.items(), *repo.tags.items()]
            if repo.commits[sha]
        }


class Refusal(Exception):
    """An error answer: status, the code that the client goes by, a message, and perhaps the commit asked about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits for 40 ms
    server: Hub

    def log_message(self, *_):
        pass

    def route(self):
        path = unquote(urlsplit(self.path).path)
        self.fault = self.find_fault(f"{self.command} {path}")
        if self.fault == "cut" and self.command in ("POST", "PUT"):
            self.rfile.read(1)
            return self.hang_up()
        self.body = self.read_body()
        if isinstance(self.fault, int):
            return self.answer(self.fault, {"error": "as the test wants it"}, self.fault_headers)
        if self.fault in STRANGERS:
            body, kind = STRANGERS[self.fault]
            return self.answer(200, body, {"Content-Type": kind})
        with self.server.lock:
            for methods, pattern, function in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and self.command in methods.split():
                    try:
                        status, payload, *headers = function(self, **match.groupdict())
                    except Refusal as refusal:
                        status, code, message, *commit = refusal.args
                        payload = {"error": message}
                        headers = [{"X-Error-Code": code, "X-Error-Message": message}]
                        headers[0] |= {"X-Repo-Commit": commit[0]} if commit else {}
                    return self.answer(status, payload, *headers)
        return self.answer(404, {"error": path})

    do_GET = do_HEAD = do_POST = do_PUT = route

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def find_fault(self, request):
        with self.server.lock:
            self.server.requests.append(request)
            for fault in self.server.faults:
                if re.fullmatch(fault.request, request) and fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    self.fault_headers = {name.replace("_", "-"): value for name, value in fault.headers.items()}
                    return fault.how
        return None

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, status, payload, headers=()):
        if self.fault == "lost":
            return self.hang_up()
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        if self.fault == "truncated" and self.command == "GET":
            body = body[: len(body) // 2]
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if self.fault == "cut" else body)
        if self.fault == "cut":
            self.wfile.flush()
            self.hang_up()

    def user(self):
        """Return who asks; None for nobody."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in (WRITER, READER):
            raise Refusal(401, "", "Invalid username or password.")
        return {WRITER: "tester", READER: "reader"}.get(token)

    def open(self, repo, revision=None, write=False):
        """Find a repository and a commit, if whoever asks may."""
        user, found = self.user(), self.server.repos.get(repo)
        if found is None or (found.private and user != "tester"):
            raise Refusal(404 if user else 401, "RepoNotFound", "Repository not found")
        if write:
            self.may_write(repo.split("/")[0])
        sha = found.find(revision or "main")
        if not sha:
            raise Refusal(404, "RevisionNotFound", "Invalid rev id")
        return found, sha

    def may_write(self, owner):
        user = self.user()
        if user is None:
            raise Refusal(401, "", "Invalid username or password.")
        if user != owner or user != "tester":
            raise Refusal(403, "", "You don't have the required permissions")


def create(h):
    asked = json.loads(h.body)
    if h.user() is None:
        raise Refusal(401, "", "Invalid username or password.")
    owner = asked.get("organization") or h.user()
    h.may_write(owner)
    repo = f"{owner}/{asked['name']}"
    there = repo in h.server.repos
    if not there:
        h.server.repos[repo] = Repo(asked.get("visibility") == "private")
    return 409 if there else 200, {"url": f"{h.server.endpoint}/{repo}", "name": repo}


def may_write(h, repo):
    h.open(repo, write=True)
    return 200, {}


def validate_yaml(h):
    valid = json.loads(h.body)["content"].startswith("---\n")
    return (200, {"errors": [], "warnings": []}) if valid else (400, {"errors": [{"message": "no metadata"}]})


def preupload(h, repo, revision):
    found, sha = h.open(repo, revision, write=True)
    files = [
        {
            "path": one["path"],
            "shouldIgnore": False,
            "uploadMode": "lfs" if re.fullmatch(LARGE, one["path"]) else "regular",
            "oid": found.commits[sha].get(one["path"], (None,))[0],
        }
        for one in json.loads(h.body)["files"]
    ]
    return 200, {"files": files}


def lfs_batch(h, repo):
    h.open(repo, write=True)
    objects = [
        {"oid": one["oid"], "size": one["size"]}
        | (
            {}
            if one["oid"] in h.server.blobs
            else {"actions": {"upload": {"href": f"{h.server.endpoint}/_lfs/{one['oid']}"}}}
        )
        for one in json.loads(h.body)["objects"]
    ]
    return 200, {"transfer": "basic", "objects": objects}


def lfs_put(h, oid):
    if hashlib.sha256(h.body).hexdigest() != oid:
        raise Refusal(400, "", "sha256 mismatch")
    h.server.blobs[oid] = h.body
    return 200, {}


def commit(h, repo, revision):
    found, sha = h.open(repo, revision, write=True)
    if revision not in found.branches:
        raise Refusal(404, "RevisionNotFound", "Invalid rev id")
    tree = dict(found.commits[sha])
    for item in map(json.loads, h.body.splitlines()):
        value = item["value"]
        if item["key"] == "file":
            content = base64.b64decode(value["content"])
            oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            h.server.blobs[oid] = content
            tree[value["path"]] = oid, False
        elif item["key"] == "lfsFile":
            if value["oid"] not in h.server.blobs:
                raise Refusal(400, "", "a large file has not arrived")
            tree[value["path"]] = value["oid"], True
    sha = found.commit(revision, tree)
    return 200, {"commitUrl": f"{h.server.endpoint}/{repo}/commit/{sha}", "commitOid": sha, "success": True}


def branch(h, repo, revision):
    found, sha = h.open(repo, json.loads(h.body).get("startingPoint"), write=True)
    there = revision in found.branches
    if not there:
        found.branches[revision] = sha
    return 409 if there else 200, {}


def tag(h, repo, revision):
    found, sha = h.open(repo, revision, write=True)
    name = json.loads(h.body)["tag"]
    there = name in found.tags
    if not there:
        found.tags[name] = sha
    return 409 if there else 200, {}


def refs(h, repo):
    found, _ = h.open(repo)
    names = {"branches": found.branches, "tags": found.tags, "converts": {}}
    return 200, {
        kind: [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha} for name, sha in values.items()]
        for kind, values in names.items()
    }


def info(h, repo, revision=None):
    found, sha = h.open(repo, revision)
    files = [{"rfilename": path} for path in sorted(found.commits[sha])]
    return 200, {"id": repo, "modelId": repo, "sha": sha, "private": found.private, "tags": [], "siblings": files}


def tree(h, repo, revision, folder=None):
    found, sha = h.open(repo, revision)
    recursive = parse_qs(urlsplit(h.path).query).get("recursive", ["false"])[0].lower() in ("true", "1")
    start = f"{folder}/" if folder else ""
    inside = {path: entry for path, entry in found.commits[sha].items() if path.startswith(start)}
    if folder and not inside:
        raise Refusal(404, "EntryNotFound", "Entry not found", sha)
    entries = []
    for path, (blob, large) in sorted(inside.items()):
        if recursive or "/" not in path.removeprefix(start):
            size = len(h.server.blobs[blob])
            lfs = {"lfs": {"oid": blob, "size": size, "pointerSize": 130}} if large else {}
            oid = hashlib.sha1(blob.encode()).hexdigest() if large else blob
            entries.append({"type": "file", "path": path, "size": size, "oid": oid} | lfs)
    return 200, entries, {"X-Repo-Commit": sha}


def resolve(h, repo, revision, path):
    found, sha = h.open(repo, revision)
    if path not in found.commits[sha]:
        raise Refusal(404, "EntryNotFound", "Entry not found", sha)
    blob = found.commits[sha][path][0]
    content = h.server.blobs[blob]
    headers = {"ETag": f'"{blob}"', "X-Repo-Commit": sha}
    wanted = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range", ""))
    if wanted and h.command == "GET":
        start = int(wanted[1])
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return 206, content[start:], headers
    return 200, content, headers


MODEL = rf"/api/models/{REPO}"
ROUTES = [
    ("POST", r"/api/repos/create", create),
    ("POST", r"/api/validate-yaml", validate_yaml),
    ("GET", rf"{MODEL}/auth-check/write", may_write),
    ("POST", rf"{MODEL}/preupload/(?P<revision>.+)", preupload),
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", lfs_batch),
    ("PUT", r"/_lfs/(?P<oid>[0-9a-f]{64})", lfs_put),
    ("POST", rf"{MODEL}/commit/(?P<revision>.+)", commit),
    ("POST", rf"{MODEL}/branch/(?P<revision>.+)", branch),
    ("POST", rf"{MODEL}/tag/(?P<revision>.+)", tag),
    ("GET", rf"{MODEL}/refs", refs),
    ("GET", rf"{MODEL}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?", tree),
    ("GET", rf"{MODEL}(?:/revision/(?P<revision>.+))?", info),
    ("GET HEAD", rf"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
]

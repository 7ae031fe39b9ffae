"""A bundle that was really compiled, taken apart by tools that know nothing of kolm.

Nothing here is read through kolm but what is compared: content, signature and CID.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kolm.bundle.reader import Bundle
from tests.support.lines import Line

pytestmark = pytest.mark.heavy

# CIDv1, raw codec, sha2-256, base32: spelled out, in a language of somebody else's.
NODE_CID = """
const {createHash} = require("node:crypto");
const {readFileSync} = require("node:fs");
const hash = createHash("sha256").update(readFileSync(process.argv[1])).digest();
const bytes = Buffer.concat([Buffer.from([1, 0x55, 0x12, 0x20]), hash]);
const letters = "abcdefghijklmnopqrstuvwxyz234567";
let bits = "", text = "b";
for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
for (let at = 0; at < bits.length; at += 5)
  text += letters[parseInt(bits.slice(at, at + 5).padEnd(5, "0"), 2)];
console.log(text);
"""
NODE_SIGNATURE = """
const {createPublicKey, verify} = require("node:crypto");
const {readFileSync} = require("node:fs");
const [, body, signature, pem] = process.argv;
const key = createPublicKey(readFileSync(pem, "utf8"));
process.exit(verify(null, readFileSync(body), key, readFileSync(signature)) ? 0 : 1);
"""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture(scope="module")
def layout(compiled: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The OCI layout as tar extracts it."""
    folder = tmp_path_factory.mktemp("layout")
    done = run("tar", "--extract", "--file", compiled.bundle, "--directory", folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def blob(layout: Path, descriptor: dict[str, Any]) -> Path:
    """The file of a descriptor, once its digest and size have been checked."""
    algorithm, _, name = descriptor["digest"].partition(":")
    path = layout / "blobs" / algorithm / name
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == name
    assert len(data) == descriptor["size"]
    return path


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def content_of(layout: Path) -> Path:
    """The manifest that is no claim about another one."""
    manifests = [blob(layout, entry) for entry in read(layout / "index.json")["manifests"]]
    (content,) = [path for path in manifests if "subject" not in read(path)]
    return content


def claims_of(layout: Path) -> list[dict[str, Any]]:
    """The signed claims about the content, found by the OCI referrers rule."""
    manifests = [read(blob(layout, entry)) for entry in read(layout / "index.json")["manifests"]]
    return [read(blob(layout, m["layers"][0])) for m in manifests if "subject" in m]


@needs("tar")
def test_tar_finds_every_member_under_its_digest(compiled: Line, layout: Path) -> None:
    bundle, manifest = Bundle.open(compiled.bundle), read(content_of(layout))
    found = {
        layer["annotations"]["org.opencontainers.image.title"]: blob(layout, layer).read_bytes()
        for layer in manifest["layers"]
    }
    found["receipt.json"] = blob(layout, manifest["config"]).read_bytes()
    assert found == {name: bytes(bundle.member(name)) for name in bundle.names}


@needs("node")
def test_node_computes_the_same_cid(compiled: Line, layout: Path) -> None:
    assert run("node", "-e", NODE_CID, content_of(layout)).stdout.strip() == (
        Bundle.open(compiled.bundle).cid
    )


def parts_of(claim: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """What was signed, and the signature, as files."""
    envelope = claim["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    body, signature = folder / "body", folder / "signature"
    body.write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    signature.write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    return body, signature


@pytest.mark.parametrize("tool", [pytest.param(t, marks=needs(t)) for t in ("openssl", "node")])
def test_every_claim_is_signed_with_the_published_key_about_this_content(
    compiled: Line, layout: Path, tmp_path: Path, tool: str
) -> None:
    pem = compiled.home / "keys" / "default.pub.pem"
    content = hashlib.sha256(content_of(layout).read_bytes()).hexdigest()
    claims = claims_of(layout)
    assert len(claims) == 5
    for claim in claims:
        statement = json.loads(base64.b64decode(claim["dsseEnvelope"]["payload"]))
        assert statement["subject"][0]["digest"] == {"sha256": content}
        hint = claim["verificationMaterial"]["publicKey"]["hint"]
        assert hint == hashlib.sha256(pem.read_bytes()).hexdigest()
        body, signature = parts_of(claim, tmp_path)
        assert verifies(tool, body, signature, pem)
        body.write_bytes(body.read_bytes().replace(content.encode(), b"0" * 64))
        assert not verifies(tool, body, signature, pem)


def verifies(tool: str, body: Path, signature: Path, pem: Path) -> bool:
    if tool == "node":
        return run("node", "-e", NODE_SIGNATURE, body, signature, pem).returncode == 0
    words = ("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pem, "-in", body)
    return run("openssl", *words, "-sigfile", signature).returncode == 0


@needs("skopeo")
def test_skopeo_copies_it_without_changing_the_content_id(compiled: Line, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    source, target = f"oci-archive:{compiled.bundle}:v1", tmp_path / "copied"
    words = ("skopeo", "--policy", policy, "copy", "--preserve-digests")
    done = run(*words, source, f"dir:{target}")
    assert done.returncode == 0, done.stderr
    found = hashlib.sha256((target / "manifest.json").read_bytes()).hexdigest()
    assert f"sha256:{found}" == Bundle.open(compiled.bundle).content_id

"""A stranger checks our claims and ids with tools that know nothing of kolm."""

import base64
import json
import shutil
import subprocess

import pytest

from kolm import digest, file_digests
from kolm.sign import claims, envelope, keys, making, predicates, private_keys
from kolm.sign.making import statement
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore

PACKAGES = ("multiformats@14.0.5", "@sigstore/verify@3.1.1")
ALGORITHMS = pytest.mark.parametrize("algorithm", ["ed25519", "p256"])
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")

STATEMENT = statement(
    digest.of_bytes(b"manifest"),
    "demo",
    predicates.MODULES,
    making.modules(
        modules=digest.of_bytes(b"modules"),
        base_root=digest.of_bytes(b"base"),
        words=["vision frozen"],
    ),
)

# DSSE in a few lines of somebody else's language: nothing here is shared with kolm's own code.
NODE_VERIFY = """
const {createHash, createPublicKey, verify} = require("node:crypto");
const {readFileSync} = require("node:fs");
const [claimFile, keyFile] = process.argv.slice(1);
const claim = JSON.parse(readFileSync(claimFile, "utf8"));
const pem = readFileSync(keyFile, "utf8");
const {payload, payloadType, signatures} = claim.dsseEnvelope;
const body = Buffer.from(payload, "base64");
const head = Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${body.length} `);
const key = createPublicKey(pem);
const hash = key.asymmetricKeyType === "ed25519" ? null : "sha256";
const signature = Buffer.from(signatures[0].sig, "base64");
const good = verify(hash, Buffer.concat([head, body]), key, signature);
const hint = createHash("sha256").update(pem).digest("hex");
const named = hint === claim.verificationMaterial.publicKey.hint && hint === signatures[0].keyid;
process.exit(good && named ? 0 : 1);
"""

NODE_CID = """
import {readFileSync} from "node:fs";
import {CID} from "multiformats/cid";
import * as raw from "multiformats/codecs/raw";
import {sha256} from "multiformats/hashes/sha2";
const bytes = readFileSync(process.argv[2]);
console.log(CID.create(1, raw.code, await sha256.digest(bytes)).toString());
"""

# Sigstore's own verifier, told to trust one key and to ask no log.
SIGSTORE_VERIFY = """
const {createPublicKey} = require("node:crypto");
const {readFileSync} = require("node:fs");
const {bundleFromJSON} = require("@sigstore/bundle");
const {toSignedEntity, toTrustMaterial, Verifier} = require("@sigstore/verify");
const [claimFile, keyFile] = process.argv.slice(2);
const key = createPublicKey(readFileSync(keyFile, "utf8"));
const empty = {certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: []};
const trust = toTrustMaterial({mediaType: "", ...empty}, () => ({
  publicKey: key, validFor: () => true,
}));
const none = {tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0, tsaThreshold: 0};
const bundle = bundleFromJSON(JSON.parse(readFileSync(claimFile, "utf8")));
new Verifier(trust, none).verify(toSignedEntity(bundle));
"""


def _run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _parts(folder, key, payload):
    sealed = envelope.open_envelope(making.seal(STATEMENT, key))
    (folder / "key.pem").write_text(key.public.pem)
    (folder / "pae").write_bytes(envelope.pae(payload))
    (folder / "sig").write_bytes(sealed.signature)


def _openssl_verifies(folder, algorithm):
    if algorithm == "ed25519":
        command = "openssl pkeyutl -verify -rawin -pubin -inkey key.pem -in pae -sigfile sig"
    else:
        command = "openssl dgst -sha256 -verify key.pem -signature sig pae"
    return _run(*command.split(), cwd=folder).returncode == 0


@needs_openssl
@ALGORITHMS
def test_openssl_verifies_a_claim_and_refuses_an_altered_one(tmp_path, algorithm):
    key = private_keys.generate(algorithm)
    _parts(tmp_path, key, STATEMENT)
    assert _openssl_verifies(tmp_path, algorithm)
    _parts(tmp_path, key, STATEMENT.replace(b"frozen", b"melted"))
    assert not _openssl_verifies(tmp_path, algorithm)


@needs_openssl
@ALGORITHMS
@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_openssl_reads_our_private_key_and_finds_the_same_public_one(
    tmp_path, algorithm, passphrase
):
    key = private_keys.generate(algorithm)
    path = tmp_path / "key.pem"
    path.write_bytes(key.to_pem(passphrase))
    found = _run("openssl", "pkey", "-in", path, "-pubout", "-passin", f"pass:{passphrase or ''}")
    assert found.stdout == key.public.pem


@needs_openssl
def test_kolm_verifies_a_claim_that_openssl_signed(tmp_path):
    _run("openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "secret.pem")
    pem = _run("openssl", "pkey", "-in", tmp_path / "secret.pem", "-pubout").stdout
    public = keys.read_public(pem, where="openssl")
    (tmp_path / "pae").write_bytes(envelope.pae(STATEMENT))
    command = "openssl pkeyutl -sign -rawin -inkey secret.pem -in pae -out sig"
    assert _run(*command.split(), cwd=tmp_path).returncode == 0
    claim = {
        "dsseEnvelope": {
            "payload": base64.b64encode(STATEMENT).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [
                {
                    "keyid": public.keyid,
                    "sig": base64.b64encode((tmp_path / "sig").read_bytes()).decode(),
                }
            ],
        },
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": public.keyid}, "tlogEntries": []},
    }
    data = json.dumps(claim, sort_keys=True, separators=(",", ":")).encode()
    trust = TrustStore((TrustedKey(name="openssl", key=public, roles=frozenset(KeyRole)),))
    assert claims.authenticate(data, trust).signer.name == "openssl"


@needs_node
@ALGORITHMS
def test_node_verifies_a_claim_and_refuses_an_altered_one(tmp_path, algorithm):
    key = private_keys.generate(algorithm)
    claim, pem = tmp_path / "claim.json", tmp_path / "key.pem"
    pem.write_text(key.public.pem)
    sealed = making.seal(STATEMENT, key)
    claim.write_bytes(sealed)
    assert _run("node", "-e", NODE_VERIFY, claim, pem).returncode == 0
    other = base64.b64encode(STATEMENT.replace(b"frozen", b"melted"))
    claim.write_bytes(sealed.replace(base64.b64encode(STATEMENT), other))
    assert _run("node", "-e", NODE_VERIFY, claim, pem).returncode == 1


@pytest.fixture(scope="session")
def npm(request):
    """A folder with the npm packages installed, kept between runs."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder = request.config.cache.mkdir("npm-strangers")
    wanted = [folder / "node_modules" / name.rpartition("@")[0] for name in PACKAGES]
    if not all((package / "package.json").is_file() for package in wanted):
        command = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES)
        installed = _run(*command, cwd=folder)
        if installed.returncode != 0:
            pytest.skip(f"npm cannot install {PACKAGES}: {installed.stderr[-200:]}")
    (folder / "cid.mjs").write_text(NODE_CID)
    (folder / "verify.js").write_text(SIGSTORE_VERIFY)
    return folder


def test_npm_multiformats_gives_the_same_cid_for_a_manifest(npm, tmp_path):
    from kolm.bundle.cid import cid_of

    for number in range(3):
        manifest = tmp_path / "manifest.json"
        manifest.write_bytes(b'{"schemaVersion":2,"number":%d}' % number)
        answer = _run("node", "cid.mjs", manifest, cwd=npm)
        assert answer.stdout.strip() == cid_of(file_digests.of_file(manifest)), answer.stderr


@ALGORITHMS
def test_sigstores_own_verifier_takes_a_claim_and_refuses_an_altered_one(npm, tmp_path, algorithm):
    key = private_keys.generate(algorithm)
    claim, pem = tmp_path / "claim.json", tmp_path / "key.pem"
    pem.write_text(key.public.pem)
    sealed = making.seal(STATEMENT, key)
    claim.write_bytes(sealed)
    verified = _run("node", "verify.js", claim, pem, cwd=npm)
    assert verified.returncode == 0, verified.stderr
    other = base64.b64encode(STATEMENT.replace(b"frozen", b"melted"))
    claim.write_bytes(sealed.replace(base64.b64encode(STATEMENT), other))
    refused = _run("node", "verify.js", claim, pem, cwd=npm)
    assert "SIGNATURE_ERROR" in refused.stderr

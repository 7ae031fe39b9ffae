"""A fuzzer of everything that reads a stranger's bytes, one parser at a time.

    .venv/bin/python -m tests.support.fuzz_parsers 950000           # from seed 0
    .venv/bin/python -m tests.support.fuzz_parsers 1 --first 1234   # one again, by its number

Each iteration takes honest bytes of one parser, changes some, and parses them. What may come out is
a value or an error of kolm; anything else is a failure, named by the iteration's number. So is a
container that departs from no rule, and a signature that holds, over other bytes than were sealed.
Whole bundles that get past their digests are `tests/support/fuzz_bundles.py`'s.
"""

from __future__ import annotations

import contextlib
import gzip
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kolm import canonical, digest
from kolm.bundle import cid_reader, container_rules, tensors
from kolm.bundle.container import Container
from kolm.bundle.held import Held
from kolm.bundle.layout import claim_of
from kolm.bundle.manifest import parse_manifest
from kolm.bundle.snapshot_lines import read_snapshot_lines
from kolm.capture import images, importers
from kolm.errors import KolmError
from kolm.records.documents import Entry
from kolm.registry import entries, references
from kolm.sign import envelope, keys, openssh, private_keys, statement, timestamps
from kolm.sign.trust import Authority, KeyRole, TrustStore
from kolm.spec.load import problems_of
from kolm.spec.source import read_yaml
from kolm.verify import requests
from kolm.verify.policy import BUILT_IN, read_policy
from tests.support import fuzzing, stamping
from tests.support import requests as buyers
from tests.support.audits import ALL_ROLES, World, trusting
from tests.support.fuzzing import Failure
from tests.support.mutations import (
    Random,
    mutate_lines,
    mutate_raw,
    mutate_said,
    mutate_tensors,
    mutate_text,
)
from tests.support.pictures import DEFAULTS, picture, saved

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 5.0  # of processor time: this machine may be busy
MOST_BYTES = 256 * 1024 * 1024
_ROW = b'{"image": "p.png", "prompt": "what?", "response": "this", "split": "train"}\n'
_TALK = (
    b'[{"id": "1", "image": "p.png", "conversations": [{"from": "human", "value": "<image>what?"},'
    b' {"from": "gpt", "value": "this"}]}]'
)

Change = Callable[[Random, bytes], bytes]


class Target(NamedTuple):
    """A parser.

    Attributes:
        name: of the target.
        honest: bytes that it reads.
        change: what makes others of them.
        parse: reads bytes; gives False where it believed what it must not.
    """

    name: str
    honest: Sequence[bytes]
    change: Change
    parse: Callable[[bytes], bool]


def _reads(parse: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    """A parser that has nothing to believe."""

    def read(data: bytes) -> bool:
        parse(data)
        return True

    return read


def _json(data: bytes) -> Any:
    return canonical.loads(data, where="document")


def _of_text(parse: Callable[[str], object]) -> Callable[[bytes], bool]:
    """A parser of an argument, which may hold bytes that are no text; so may its error."""

    def read(data: bytes) -> bool:
        with contextlib.suppress(KolmError):
            parse(data.decode("utf-8", "surrogateescape"))
        return True

    return read


class Fuzzer:
    """Honest bytes in a folder, and the parsers that meet what is made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World.make(folder, cases=3, train=3)
        self.trust = TrustStore(
            (
                trusting(self.world.publisher, roles=(*ALL_ROLES, KeyRole.PUBLISHER))._replace(
                    names=("*",)
                ),
                trusting(self.world.stranger, name="buyer", roles=(KeyRole.BUYER,)),
            )
        )
        (folder / "p.png").write_bytes(picture(1))
        self.targets = tuple(self._targets())

    def run(self, number: int) -> Failure | None:
        """One iteration; the targets take turns."""
        rng = Random(number)
        target = self.targets[number % len(self.targets)]
        data = target.change(rng, rng.choice(target.honest))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        try:
            if not target.parse(data):
                return Failure(number, f"{target.name}: believed, and nobody sealed it")
        except KolmError as error:
            str(error).encode("utf-8")
        except Exception:  # noqa: BLE001 - that none but ours comes is what is tried
            return Failure(number, f"{target.name}: {traceback.format_exc()}")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        if grown > MOST_BYTES:
            return Failure(number, f"{target.name}: took {grown:,} bytes of memory")
        if time.process_time() - began > LONGEST_SECONDS:
            return Failure(number, f"{target.name}: took too long")
        return None

    def _targets(self) -> Iterator[Target]:
        yield from self._containers()
        yield from self._documents()
        yield from self._sealed()
        yield from self._keys()
        yield from self._words()
        yield from self._material()

    def _containers(self) -> Iterator[Target]:
        bundle = self.world.seal().read_bytes()
        members = self.world.parts.members()
        subject = bytes(self._container(bundle).subject)
        claims = self.world.parts.claims(self.world.publisher)

        def rules(data: bytes) -> bool:
            opened = self._container(data)
            wrong = [
                defect
                for rule in (
                    container_rules.tar_grammar, container_rules.sizes_within_limits,
                    container_rules.blobs_match_names, container_rules.closed_world,
                    container_rules.layout_is_derived, container_rules.content_id_holds,
                )
                for defect in rule(opened)
            ]  # fmt: skip
            return bool(wrong) or data == bundle

        yield Target("container", [bundle], mutate_raw, rules)
        yield Target("manifest", [subject], mutate_said, _reads(parse_manifest))
        yield Target("claim", claims, mutate_said, _reads(lambda data: claim_of(data, subject)))
        yield Target(
            "safetensors",
            [data for name, data in members.items() if name.endswith(".safetensors")],
            mutate_tensors,
            _reads(lambda data: tensors.parse_header(data, where="tensors")),
        )
        yield Target(
            "snapshot lines",
            [members["snapshot.jsonl"]],
            mutate_lines,
            _reads(lambda data: list(read_snapshot_lines(data, where="lines").rows())),
        )

    def _container(self, data: bytes) -> Container:
        return Container(Held(self.folder / "f.kolm", memoryview(data), digest.of_bytes(data)))

    def _documents(self) -> Iterator[Target]:
        members = self.world.parts.members()
        documents = [data for name, data in members.items() if name.endswith(".json")]
        policy = canonical.dumps(BUILT_IN.document)
        trust = canonical.dumps(self.trust.to_document())
        yield Target(
            "JSON",
            documents,
            mutate_said,
            _reads(_json),
        )
        yield Target(
            "canonical JSON",
            documents,
            mutate_said,
            lambda data: canonical.dumps(canonical.loads_canonical(data, where="document")) == data,
        )
        yield Target(
            "policy",
            [policy],
            mutate_said,
            _reads(lambda data: read_policy(_json(data), where="policy")),
        )
        yield Target(
            "trust",
            [trust],
            mutate_said,
            _reads(lambda data: TrustStore.from_document(_json(data), where="trust")),
        )
        specs = [path.read_bytes() for path in sorted((ROOT / "specs").glob("*.yaml"))]
        yield Target(
            "spec",
            specs,
            mutate_text,
            _reads(lambda data: problems_of(read_yaml(data, name="kolm.yaml"))),
        )

    def _sealed(self) -> Iterator[Target]:
        publisher, buyer = self.world.publisher, self.world.stranger
        claims = self.world.parts.claims(publisher)
        honest = {envelope.open_envelope(data).payload for data in claims}

        def claim(data: bytes) -> bool:
            opened = envelope.open_envelope(data)
            statement.parse(opened.payload)
            envelope.demand_signature(opened, publisher.public)
            return opened.payload in honest

        yield Target("signed claim", claims, mutate_said, claim)
        said: Entry = {
            "name": "demo",
            "version": "1.0.0",
            "bundle": digest.of_bytes(b"bundle"),
            "file": {"digest": digest.of_bytes(b"file"), "size": 4},
            "claims": [],
            "previous": None,
            "sequence": 1,
            "state": "active",
        }
        entry = entries.seal_entry(said, publisher)

        def filed(data: bytes) -> bool:
            read = entries.read_entry(data, name="demo", sequence=1, trust=self.trust)
            return not read.counts or read.entry == said

        assert entries.read_entry(entry, name="demo", sequence=1, trust=self.trust).counts
        yield Target("registry entry", [entry], mutate_said, filed)
        asked = buyers.ask(buyer, self.world.parts)
        demanded = requests.read_request(asked).said

        def request(data: bytes) -> bool:
            read = requests.read_request(data)
            return requests.signature_problem(read, self.trust) is not None or read.said == demanded

        assert requests.signature_problem(requests.read_request(asked), self.trust) is None
        yield Target("request", [asked], mutate_said, request)

    def _keys(self) -> Iterator[Target]:
        ours = private_keys.generate()
        public = [ours.public.pem.encode(), private_keys.generate("p256").public.pem.encode()]
        yield Target(
            "public key",
            public,
            mutate_raw,
            _reads(lambda data: keys.read_public(data, where="key")),
        )
        yield Target(
            "private key",
            [ours.to_pem()],
            mutate_raw,
            _reads(lambda data: private_keys.read_private(data, passphrase=None, where="key")),
        )
        line = (
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHGOxyG5yCKhpKj1mdbHBfwnLSDyyKVp1MHXBuDDuxk a@b"
        )
        yield Target(
            "OpenSSH key",
            [line],
            mutate_raw,
            _reads(lambda data: openssh.read_public(data, where="key")),
        )
        if shutil.which("openssl"):
            from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

            asked = TimestampRequestBuilder().data(b"signature")
            query = asked.hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
            made = stamping.Authority.make(self.folder / "authority")
            reply = made.stamp(query)
            chain = made.chain.encode()

            def stamped(data: bytes, authority: bytes) -> bool:
                believed = [Authority("ours", (authority.decode("utf-8", "replace"),))]
                timestamps.read_stamp(data, b"signature", believed, where="stamp")
                return True

            assert stamped(reply, chain)
            yield Target("time stamp", [reply], mutate_raw, lambda data: stamped(data, chain))
            yield Target("authority", [chain], mutate_raw, lambda data: stamped(reply, data))

    def _words(self) -> Iterator[Target]:
        cid = b"bafkreif7igp2fzc6uoevlbh2vq2rosfmxkvcvs7qbsmzmhrpvxsjmvh4ye"
        named = digest.of_bytes(b"a").encode()
        yield Target("CID", [cid], mutate_text, _of_text(cid_reader.digest_of))
        yield Target(
            "digest",
            [named],
            mutate_text,
            _of_text(lambda text: digest.parse(text, where="digest")),
        )
        yield Target(
            "decimal",
            [b"0.25", b"-1", b"12.5"],
            mutate_text,
            _of_text(lambda text: canonical.parse_decimal(text, where="number")),
        )
        yield Target(
            "reference",
            [b"demo/easy-vqa@1.0.0", b"demo@sha256:" + b"0" * 64, b"a@1.2.3-rc.1"],
            mutate_text,
            _of_text(references.parse_reference),
        )

    def _material(self) -> Iterator[Target]:
        opened = images.decode(picture(2))
        pictures = [picture(2), *(saved(opened, form) for form in ("JPEG", "GIF", "WEBP"))]
        yield Target("picture", pictures, mutate_raw, _reads(images.inspect))
        table = b"image,prompt,response\np.png,what?,this\np.png,and?,that\n"
        files = {
            "rows.jsonl": ([_ROW * 3], mutate_lines),
            "talk.json": ([_TALK], mutate_said),
            "rows.csv": ([table], mutate_text),
            "rows.tsv": ([table.replace(b",", b"\t")], mutate_text),
            "rows.jsonl.gz": ([gzip.compress(_ROW, mtime=0)], mutate_raw),
        }
        for name, (honest, change) in files.items():
            yield Target(f"import of {name}", honest, change, self._importing(name))

    def _importing(self, name: str) -> Callable[[bytes], bool]:
        def read(data: bytes) -> bool:
            path = self.folder / name
            path.write_bytes(data)
            list(importers.rows(path, defaults=DEFAULTS))
            return True

        return read


if __name__ == "__main__":
    sys.exit(fuzzing.command(Fuzzer, "Fuzz what reads a stranger's bytes.", every=50_000))

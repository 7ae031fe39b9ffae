"""Files that were made to cost a reader as much as they can, and what they do cost.

    .venv/bin/python -m tests.support.hostile        # every one, as a table

Each shape is a file of some megabytes; the work is done by a process of its own, whose time and
largest memory are taken: processor time, so that a busy machine gives the same answer. Aim: at
most the file's size and 256 MiB, and 2 s a megabyte.
"""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kolm import canonical, digest
from kolm.bundle import tensor_writer, writer
from kolm.capture import file_limits
from kolm.format.names import CASES
from kolm.registry.backends.directory import Directory
from kolm.run.example_rows import kept_row
from kolm.score.evaluation import RUNS
from kolm.sign import making, private_keys
from kolm.sign.predicates import ENTRY, TEST_RESULT
from kolm.sign.statement import STATEMENT_TYPE
from tests.support.bundles import BundleParts, make_parts

MIB = 1024 * 1024
MOST_BYTES = 256 * MIB  # beside the file
MOST_SECONDS = 2.0  # a megabyte
HASH = {"kind": "hash", "eval": "0.1", "validation": "0.05"}
START_SECONDS = 2.0  # to import kolm


class Cost(NamedTuple):
    """A file's size, the largest memory of the process and of its child, and processor time."""

    size_bytes: int
    memory_bytes: int
    seconds: float

    @property
    def bounded(self) -> bool:
        """Whether it stays within the aim."""
        most = START_SECONDS + MOST_SECONDS * self.size_bytes / MIB
        return self.memory_bytes <= self.size_bytes + MOST_BYTES and self.seconds <= most


def _repeated(line: bytes, size: int) -> bytes:
    return (line + b"\n") * (size // (len(line) + 1))


def _distinct(make: Callable[[str], object], size: int) -> bytes:
    lines: list[bytes] = []
    done = 0
    while done < size:
        lines.append(canonical.dumps(make(digest.of_bytes(b"%d" % len(lines)))) + b"\n")
        done += len(lines[-1])
    return b"".join(sorted(lines))


def _predictions(parts: BundleParts) -> dict[str, bytes]:
    row = parts.predictions[0]

    def answered(name: str) -> object:
        outputs = {run: {**row[run], "output": f"{run} {name[7:20]}"} for run in RUNS}
        return {**row, "case": name, **outputs}

    return {"predictions.jsonl": _distinct(answered, 47 * MIB)}


def _cases(parts: BundleParts) -> dict[str, bytes]:
    """As small as a case can be, and no two alike."""
    row = {**parts.cases[0], "images": [], "tags": []}

    def case(name: str) -> object:
        said = {"user": name[7:27], "assistant": name[40:44]}
        messages = [
            {"content": [{"text": text, "type": "text"}], "role": role}
            for role, text in said.items()
        ]
        return {**row, "messages": messages}

    return {"evalcases.jsonl": _distinct(case, 47 * MIB)}


def _examples(_: BundleParts) -> dict[str, bytes]:
    row = kept_row("train", tokens=20, labels=2, cut=0, image_tokens=4)
    return {"examples.jsonl": _repeated(canonical.dumps(row), 47 * MIB)}


def _trace(parts: BundleParts) -> dict[str, bytes]:
    return {"trace.jsonl": _repeated(canonical.dumps(parts.trace[1]), 20 * MIB)}


def _modules(parts: BundleParts) -> dict[str, bytes]:
    return {"modules.jsonl": _repeated(canonical.dumps(parts.modules[0]), 7 * MIB)}


def _snapshot(parts: BundleParts) -> dict[str, bytes]:
    row = parts.snapshot_rows[0]

    def line(name: str) -> object:
        return {**row, "capture": name, "images": [{"file": name, "pixels": name}]}

    return {"snapshot.jsonl": _distinct(line, 188 * MIB)}


def _drawn(
    pictures: int, rule: dict[str, str], *, twins: bool = False
) -> Callable[[BundleParts], dict[str, bytes]]:
    """A snapshot whose split is drawn again, and no look of a picture like another."""

    def members(parts: BundleParts) -> dict[str, bytes]:
        row = parts.snapshot_rows[0]

        def line(name: str) -> object:
            hexes = [name[7 + n :] + name[7 : 7 + n] for n in range(pictures)]
            images = [{"file": f"sha256:{h}", "pixels": f"sha256:{h[::-1]}"} for h in hexes]
            if twins:
                images = [{**image, "twins": image["pixels"]} for image in images]
            side = "eval" if name[7] == "0" else "train"
            return {**row, "capture": name, "images": images, "split": side}

        near = {**parts.snapshot["near_duplicates"], **({"policy": "group"} if twins else {})}
        header = canonical.dumps({**parts.snapshot, "near_duplicates": near, "rule": rule})
        return {"snapshot.json": header, "snapshot.jsonl": _distinct(line, 188 * MIB)}

    return members


def _all(parts: BundleParts) -> dict[str, bytes]:
    """Every member large at once, and they agree: all checks read on."""
    named = sorted((digest.of_bytes(line), line) for line in _cases(parts)[CASES].splitlines())
    cases = named[:125_000]
    row, size = parts.predictions[0], parts.lock["evaluation"]["batch_size"]
    predictions = [
        {
            **row,
            "case": name,
            "batch": number // size,
            **{run: {**row[run], "output": f"{run} {name[7:20]}"} for run in RUNS},
        }
        for number, (name, _) in enumerate(cases)
    ]
    others = (digest.of_bytes(b"%d" % number) for number in range(655_000))
    lines = [{"capture": name, "images": [], "split": "eval"} for name, _ in cases]
    lines += [
        {"capture": name, "images": [{"file": name, "pixels": name}], "split": "train"}
        for name in others
    ]
    return {
        **{
            name: data
            for make in (_examples, _trace, _modules)
            for name, data in make(parts).items()
        },
        "snapshot.jsonl": b"".join(sorted(canonical.dumps(line) + b"\n" for line in lines)),
        CASES: b"".join(line + b"\n" for _, line in cases),
        "predictions.jsonl": canonical.dump_lines(predictions),
    }


def _all_drawn(parts: BundleParts) -> dict[str, bytes]:
    return {**_all(parts), "snapshot.json": canonical.dumps({**parts.snapshot, "rule": HASH})}


def _config(_: BundleParts) -> dict[str, bytes]:
    return {"adapter_config.json": b"[" + b"[]," * (2 * MIB // 3 - 9) + b"[]]"}


def _documents(_: BundleParts) -> dict[str, bytes]:
    """Errors that are kept must not keep what was read."""
    lists = b"[" + b"[]," * (2 * MIB // 3 - 9)
    return {f"checkpoint-{n:08d}.json": lists + b"%d]" % n for n in range(20)}


def _headers(_: BundleParts) -> dict[str, bytes]:
    tiny = {f"{n}": ("U8", (1,), b"x") for n in range(60_000)}
    return {
        f"checkpoint-{step:08d}.safetensors": tensor_writer.encode({**tiny, f"s{step}": tiny["0"]})
        for step in range(10)
    }


def _header(_: BundleParts) -> dict[str, bytes]:
    names = {f"x{n:040d}": ("U8", (1,), b"x") for n in range(35_000)}
    return {"adapter_model.safetensors": tensor_writer.encode(names)}


def _many_small(_: BundleParts) -> dict[str, bytes]:
    return {f"checkpoint-{n:08d}.json": b'{"a":%d}' % n for n in range(4000)}


BUNDLES: dict[str, Callable[[BundleParts], dict[str, bytes]]] = {
    "predictions": _predictions,
    "cases": _cases,
    "examples": _examples,
    "trace": _trace,
    "modules": _modules,
    "snapshot": _snapshot,
    "drawn snapshot": _drawn(1, HASH),
    "drawn, of 8 pictures": _drawn(8, HASH),
    "drawn, near twins named": _drawn(1, HASH, twins=True),
    "carved snapshot": _drawn(1, {"kind": "official", "validation": "0.05"}),
    "all of these": _all,
    "all of these, drawn": _all_drawn,
    "config of lists": _config,
    "documents of lists": _documents,
    "one header of names": _header,
    "headers of names": _headers,
    "4,000 members": _many_small,
}


def _signed(predicate: bytes, kind: str) -> bytes:
    """A statement that its form lets through, in an envelope of a key that nobody knows."""
    said = b'{"_type":"%b","predicate":%b,"predicateType":"%b","subject":[%b]}' % (
        STATEMENT_TYPE.encode(),
        predicate,
        kind.encode(),
        canonical.dumps({"digest": {"sha256": "0" * 64}, "name": "x"}),
    )
    return making.seal(said, private_keys.generate())


def _lists(number: int) -> bytes:
    return b"[" + b"[]," * (700 * 1024 // 3) + b"%d]" % number


def _objects(number: int) -> bytes:
    keys = b",".join(b'"%06d":{}' % key for key in range(700 * 1024 // 12))
    return b'{%b,"n":%d}' % (keys, number)


# What the predicate of a claim or an entry says, as large as an envelope may be.
PREDICATES: dict[str, Callable[[int], bytes]] = {"lists": _lists, "objects": _objects}


def _parquet(rows: int, image: bytes, *, dictionary: bool = True) -> bytes:
    """Rows of one image, which weigh nothing when they are packed."""
    import pyarrow as pa
    from pyarrow import parquet

    made = io.BytesIO()
    texts = {"prompt": pa.array(["a"] * rows), "response": pa.array(["b"] * rows)}
    images = pa.DictionaryArray.from_arrays(
        pa.array([0] * rows, pa.int32()), pa.array([image], pa.binary())
    )
    table = pa.table({"image": images if dictionary else images.dictionary_decode(), **texts})
    kept = 1 << 30  # a dictionary is one page, however large
    options = {"use_dictionary": dictionary, "dictionary_pagesize_limit": kept}
    parquet.write_table(table, made, compression="zstd", **options)
    return made.getvalue()


def _one_dictionary(size: int) -> bytes:
    """All pictures in one dictionary, as large as it may be, and none that shrinks."""
    import pyarrow as pa
    from pyarrow import parquet

    made = io.BytesIO()
    pictures = [random.Random(number).randbytes(size // 200) for number in range(200)]
    texts = {"prompt": ["a"] * 200, "response": ["b"] * 200}
    table = pa.table({"image": pa.array(pictures, pa.binary()), **texts})
    parquet.write_table(table, made, dictionary_pagesize_limit=1 << 30)
    return made.getvalue()


def _row_groups(count: int) -> bytes:
    """A row group for each row: the file is its footer."""
    import pyarrow as pa
    from pyarrow import parquet

    made = io.BytesIO()
    table = pa.table({"prompt": ["a"], "response": ["b"]})
    with parquet.ParquetWriter(made, table.schema) as file:
        for _ in range(count):
            file.write_table(table)
    return made.getvalue()


def _arrow(rows: int, image: bytes) -> bytes:
    """The same in Arrow's stream format, packed."""
    import pyarrow as pa
    from pyarrow import ipc

    made = io.BytesIO()
    texts = {"prompt": ["a"] * rows, "response": ["b"] * rows}
    table = pa.table({"image": pa.array([image] * rows, pa.binary()), **texts})
    options = ipc.IpcWriteOptions(compression="zstd")
    with ipc.new_stream(made, table.schema, options=options) as writer:
        writer.write_table(table)
    return made.getvalue()


def _packed_row(form: bytes) -> bytes:
    """A row as long as one may be."""
    row = b'{"prompt":"%b"}' % (b"a" * (file_limits.MAX_ROW_BYTES - 20))
    return gzip.compress(form % row, mtime=0)


TABLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "pages of zeros": (lambda: _parquet(1300, bytes(MIB), dictionary=False), "parquet"),
    "one page of zeros": (lambda: _parquet(1, bytes(190 * MIB), dictionary=False), "parquet"),
    "a dictionary": (lambda: _parquet(3000, random.Random(0).randbytes(7 * MIB)), "parquet"),
    "batches of zeros": (lambda: _arrow(1300, bytes(MIB)), "hf-disk"),
    "blank lines": (lambda: gzip.compress(b"\n" * (1000 * MIB), mtime=0), "jsonl"),
    "a packed array of one row": (lambda: _packed_row(b"[%b]"), "llava"),
    "a packed row": (lambda: _packed_row(b"%b"), "jsonl"),
}


def _counted(form: Callable[[int], bytes], rows: int) -> bytes:
    """Rows that count, packed: as few bytes as rows that differ can take."""
    return gzip.compress(b"".join(map(form, range(rows))), mtime=0)


def _table_row(number: int) -> bytes:
    return b'{"prompt":"%d","response":"b"}\n' % number


def _long_row(number: int) -> bytes:
    told = digest.of_bytes(b"%d" % number)[7:21].encode()
    return b'{"prompt":"%b","response":"b"}\n' % told


_SHORT_TALK = b'"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]'


def _tagged_row(number: int) -> bytes:
    """A row whose like nobody has seen, by its tag alone."""
    return b'{%b,"tags":["%d"]}\n' % (_SHORT_TALK, number)


def _pair_row(number: int) -> bytes:
    """A row of a key that few rows have."""
    return b'{%b,"rejected":"%d"}\n' % (_SHORT_TALK, number)


def _talk_row(number: int) -> bytes:
    """A row of many short messages, and no two rows of one form."""
    turns = b'{"role":"user","content":"a"},{"role":"assistant","content":"b"},' * 64
    return b'{"messages":[%b],"tags":["%d"]}\n' % (turns[:-1], number)


def _counted_parquet(rows: int) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    made = io.BytesIO()
    table = pa.table({"prompt": [f"{n}" for n in range(rows)], "response": ["b"] * rows})
    parquet.write_table(table, made, compression="zstd", use_dictionary=["response"])
    return made.getvalue()


# Of rows as many as a file of the size may hold, so that all are taken in.
PACKED: dict[str, tuple[Callable[[], bytes], str]] = {
    "packed rows": (lambda: _counted(_table_row, 46_000), "jsonl"),
    "packed tags": (lambda: _counted(_tagged_row, 46_000), "jsonl"),
    "packed pairs": (lambda: _counted(_pair_row, 46_000), "jsonl"),
    "packed messages": (lambda: _counted(_talk_row, 1150), "jsonl"),
    "packed columns": (lambda: _counted_parquet(42_000), "parquet"),
    "a megabyte of packed rows": (lambda: _counted(_long_row, 110_000), "jsonl"),
}

LARGE_TABLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a dictionary of 20 MiB": (lambda: _one_dictionary(20 * MIB), "parquet"),
    "a dictionary of 100 MiB": (lambda: _one_dictionary(100 * MIB), "parquet"),
    "60,000 row groups": (lambda: _row_groups(60_000), "parquet"),
}

IMPORTS: dict[str, tuple[bytes, str]] = {
    "a table of short rows": (
        b"prompt,response\n" + b"".join(b"%d,b\n" % n for n in range(100_000)),
        "csv",
    ),
    "misspelt keys": (
        b"".join(b'{"promp%d":1}\n' % n for n in range(5 * MIB // 15)),
        "jsonl",
    ),
    "numbers": (b"1\n" * (5 * MIB // 2), "jsonl"),
    "empty rows": (b"{}\n" * (5 * MIB // 3), "jsonl"),
    "missing pictures": (
        b"".join(
            b'{"image":"%d.png","prompt":"a","response":"b"}\n' % n for n in range(5 * MIB // 48)
        ),
        "jsonl",
    ),
    "a row of lists": (b'{"a":[' + b"[]," * (8 * MIB // 3) + b"[]]}\n", "jsonl"),
    "rows of lists": ((b'{"a":[' + b"[]," * 60_000 + b"[]]}\n") * 25, "jsonl"),
    "an array of rows": (b"[" + b"{}," * (5 * MIB // 3) + b"{}]", "llava"),
}

_MEASURE = """
import resource, sys, time
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    own = int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024
def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime
began = spent()
{work}
print(peak(), spent() - began, file=sys.stderr)
"""
_VERIFY = """
from kolm.actions.verification import verify
from kolm.cli.verification_text import render
from kolm.sign.trust import TrustStore
render(verify(sys.argv[1], trust=TrustStore(())), paint=lambda text, _: text)
"""
_COMMAND = """
from kolm.cli.main import main
main(sys.argv[1:])
"""


def _measured(work: str, words: list[str], size: int) -> Cost:
    code = _MEASURE.format(work=work.strip())
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    memory, seconds = done.stderr.splitlines()[-1].split()
    return Cost(size_bytes=size, memory_bytes=int(memory), seconds=float(seconds))


def cost_of_bundle(shape: str, folder: Path) -> Cost:
    """What `kolm verify` costs on a bundle of a shape."""
    parts = make_parts(folder)
    honest, receipt = parts.members(), parts.receipt()
    path = folder / "hostile.kolm"
    writer.seal(path, receipt=receipt, members={**honest, **BUNDLES[shape](parts)})
    return _measured(_VERIFY, [str(path)], path.stat().st_size)


def cost_of_claims(shape: str, folder: Path) -> Cost:
    """What `kolm verify` costs on a bundle with 100 claims of a shape."""
    parts = make_parts(folder)
    path = folder / "hostile.kolm"
    claims = [_signed(PREDICATES[shape](number), TEST_RESULT) for number in range(100)]
    writer.seal(path, receipt=parts.receipt(), members=parts.members(), claims=claims)
    return _measured(_VERIFY, [str(path)], path.stat().st_size)


def cost_of_entries(shape: str, folder: Path) -> Cost:
    """What `kolm registry list` costs on a registry with 100 entries of a shape."""
    registry = Directory.create(folder / "registry")
    entries = [_signed(PREDICATES[shape](number), ENTRY) for number in range(100)]
    for place, data in enumerate(entries, start=1):
        assert registry.append("hostile", place, data)
    words = ["registry", "list", "--registry", str(folder / "registry")]
    return cost_of_command(words, sum(map(len, entries)))


def cost_of_import(shape: str, folder: Path, *words: str) -> Cost:
    """What `kolm capture import` costs on rows of a shape."""
    data, form = IMPORTS[shape]
    return _import(data, form, folder, *words)


def cost_of_table(shape: str, folder: Path) -> Cost:
    """What `kolm capture import` costs on a file of a shape that unpacks to much more."""
    make, form = {**TABLES, **LARGE_TABLES, **PACKED}[shape]
    return _import(make(), form, folder)


def _import(data: bytes, form: str, folder: Path, *words: str) -> Cost:
    path = folder / "hostile"
    path.write_bytes(data)
    if form == "hf-disk":
        named = {"_data_files": [{"filename": path.name}]}
        (folder / "state.json").write_bytes(canonical.dumps(named))
        path = folder
    store = str(folder / "captures")
    asked = ["capture", "import", str(path), "--format", form, "--store", store, *words]
    return _measured(_COMMAND, asked, len(data))


def cost_of_command(words: list[str], size: int) -> Cost:
    """What a command costs on something of a size."""
    return _measured(_COMMAND, words, size)


def main() -> int:
    """The table."""
    bad = 0
    print(f"{'shape':24} {'file MiB':>9} {'memory MiB':>11} {'seconds':>8} {'s a MiB':>8}")
    works = [(name, cost_of_bundle) for name in BUNDLES]
    works += [(name, work) for name in PREDICATES for work in (cost_of_claims, cost_of_entries)]
    works += [(name, cost_of_import) for name in IMPORTS]  # type: ignore[misc]
    works += [(name, cost_of_table) for name in (*TABLES, *LARGE_TABLES, *PACKED)]
    for name, work in works:
        with tempfile.TemporaryDirectory() as folder:
            cost = work(name, Path(folder))
        size = cost.size_bytes / MIB
        bad += not cost.bounded
        print(
            f"{name:24} {size:9.1f} {cost.memory_bytes / MIB:11.0f} {cost.seconds:8.1f} "
            f"{cost.seconds / size:8.2f}{'' if cost.bounded else '   TOO MUCH'}",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Arrow and Parquet from elsewhere: one bad row costs itself, a damaged file is refused by name."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from kolm.capture import arrow, file_limits, importers, unpacking
from kolm.capture.drafts import BadRow, Draft
from kolm.errors import KolmError, Refused
from tests.support.pictures import DEFAULTS, good, picture

ASKED = {"prompt": "What?", "response": "a"}


def read(path: Path, **options: Any) -> list[Draft | BadRow]:
    return list(importers.rows(path, defaults=DEFAULTS, **options))


def parquet(folder: Path, table: pa.Table, **options: Any) -> Path:
    pyarrow.parquet.write_table(table, folder / "rows.parquet", **options)
    return folder / "rows.parquet"


def streamed(table: pa.Table) -> bytes:
    made = io.BytesIO()
    with pyarrow.ipc.new_stream(made, table.schema) as writer:
        writer.write_table(table)
    return made.getvalue()


def on_disk(folder: Path, *files: bytes, names: Any = None) -> Path:
    """What datasets.save_to_disk writes."""
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{number}.arrow").write_bytes(data)
    listed = names if names is not None else [f"{number}.arrow" for number in range(len(files))]
    state = {"_data_files": [{"filename": name} for name in listed], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def texts(draft: Draft) -> list[str]:
    return [message.content[-1].text for message in draft.messages]  # type: ignore[union-attr]


def test_small_row_groups_and_large_ones_give_the_same_rows(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(
        [{**ASKED, "image": picture(n), "tags": [str(n)]} for n in range(30)]
    )
    few = good(read(parquet(tmp_path, table, row_group_size=7)))
    many = good(read(parquet(tmp_path, table)))
    assert [draft.tags for draft in few] == [draft.tags for draft in many]
    assert few == many
    assert few[29].where == "rows.parquet row 30"


def test_a_row_that_is_not_utf8_costs_itself(tmp_path: Path) -> None:
    prompts = pa.array([b"a?", b"\xff", b"c?"], pa.binary()).view(pa.string())
    path = parquet(tmp_path, pa.table({"prompt": prompts, "response": ["a", "b", "c"]}))
    first, bad, last = read(path)
    assert isinstance(bad, BadRow)
    assert bad.where == "rows.parquet row 2"
    good([first, last])


def test_a_row_of_very_many_values_costs_itself(tmp_path: Path) -> None:
    many = [""] * (file_limits.MAX_ROW_VALUES + 1)
    part = pa.array([[[]], [many], [["z"]]], pa.list_(pa.list_(pa.string())))
    for tags in (pa.array([[], many, ["z"]], pa.list_(pa.string())), part):
        table = pa.table({**{key: [text] * 3 for key, text in ASKED.items()}, "tags": tags})
        _, bad, _ = read(parquet(tmp_path, table))
        assert isinstance(bad, BadRow)
        assert bad.code == "E_ROW_TOO_LONG"


def test_columns_that_say_nothing_are_not_turned_into_python(tmp_path: Path) -> None:
    unreadable = pa.array([b"\xff"], pa.binary()).view(pa.string())
    table = pa.table({**{key: [text] for key, text in ASKED.items()}, "id": unreadable})
    good(read(parquet(tmp_path, table)))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    arrays = [pa.array([text]) for text in ("a?", "b?", "c")]
    table = pa.Table.from_arrays(arrays, names=["prompt", "prompt", "response"])
    (tmp_path / "rows.csv").write_text("prompt, prompt,response\na?,b?,c\n")
    for path in (parquet(tmp_path, table), tmp_path / "rows.csv"):
        with pytest.raises(Refused) as caught:
            read(path)
        assert caught.value.code == "E_IMPORT_COLUMNS"


def test_files_that_are_cut_short_or_something_else_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([ASKED] * 100)
    whole = parquet(tmp_path, table).read_bytes()
    flow = streamed(table)
    for data in (b"", b"PAR1", whole[:-9], whole[9:], whole[:200] + b"\0" * 99 + whole[299:]):
        (tmp_path / "rows.parquet").write_bytes(data)
        with pytest.raises(Refused) as caught:
            read(tmp_path / "rows.parquet")
        assert caught.value.code == "E_IMPORT_ARROW"
    for data in (b"", flow[:50], flow[: len(flow) // 2], b"x" * 400):
        with pytest.raises(Refused) as caught:
            read(on_disk(tmp_path / "set", data))
        assert caught.value.code == "E_IMPORT_ARROW"


def test_offsets_out_of_bounds_are_refused_and_not_followed(tmp_path: Path) -> None:
    data = bytearray(streamed(pa.Table.from_pylist([ASKED] * 4)))
    offsets = pa.array([0, 5, 10, 15, 20], pa.int32()).buffers()[1].to_pybytes()
    at = data.index(offsets)
    data[at + 8 : at + 12] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(Refused) as caught:
        read(on_disk(tmp_path / "set", bytes(data)))
    assert caught.value.code == "E_IMPORT_ARROW"


@pytest.mark.parametrize(
    "names",
    [["../secret.arrow"], ["/etc/hostname"], [".."], [""], [7], [], "0.arrow", ["a/b"], ["a\0b"]],
)
def test_a_data_set_names_files_beside_it_only(names: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.arrow").write_bytes(streamed(pa.Table.from_pylist([ASKED])))
    with pytest.raises(KolmError) as caught:
        read(on_disk(tmp_path / "set", b"", names=names))
    assert caught.value.code == "E_IMPORT_ARROW"


def test_a_side_whose_name_no_folder_can_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train\0"]}))
    with pytest.raises(KolmError) as caught:
        read(tmp_path)
    assert caught.value.code == "E_IMPORT_ARROW"


def test_the_folders_of_a_data_set_are_its_sides(tmp_path: Path) -> None:
    sides = ["train", "test", "holdout"]
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": sides}))
    for side in sides:
        on_disk(tmp_path / side, streamed(pa.Table.from_pylist([{**ASKED, "prompt": side}])))
    found = [(texts(draft)[0], draft.split) for draft in good(read(tmp_path))]
    assert found == [("train", "train"), ("test", "eval"), ("holdout", None)]
    assert importers.guess(tmp_path) == "hf-disk"


def test_the_files_of_a_folder_of_parquet_are_its_sides(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    names = ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001", "more")
    for name in names:
        table = pa.Table.from_pylist([{**ASKED, "prompt": name}])
        pyarrow.parquet.write_table(table, tmp_path / "data" / f"{name}.parquet")
    sides = {texts(draft)[0]: draft.split for draft in good(read(tmp_path))}
    assert sides == dict(zip(names, ("train", "train", "eval", None), strict=True))


def test_numbered_classes_are_their_names(tmp_path: Path) -> None:
    features = {"response": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    stated = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"prompt": ["Which?"] * 3, "response": [1, 0, 2]})
    first, second, third = read(parquet(tmp_path, table.replace_schema_metadata(stated)))
    assert [texts(draft)[1] for draft in good([first, second])] == ["dog", "cat"]
    assert isinstance(third, BadRow)


def test_messages_are_lists_of_structures(tmp_path: Path) -> None:
    said = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
    ]
    table = pa.Table.from_pylist([{"images": [{"bytes": picture(0)}], "messages": said}])
    [draft] = good(read(parquet(tmp_path, table)))
    assert (len(draft.images), texts(draft)) == (1, ["What?", "a"])


def refusal(path: Path) -> KolmError:
    with pytest.raises(KolmError) as caught:
        read(path)
    return caught.value


def test_a_file_that_unpacks_to_more_than_one_of_its_size_may_is_refused(tmp_path: Path) -> None:
    """At once (one page), in all (many batches), in rows, and in values that take no bytes."""
    rows, blank = file_limits.MAX_UNPACKED_ROWS * 2, bytes(1 << 20)
    many = pa.array([[None] * 500] * 10_000, pa.list_(pa.null()))
    texts = {key: [text] for key, text in ASKED.items()}
    for table, code in (
        (
            {**texts, "image": [bytes(file_limits.MAX_UNPACKING_BYTES + (1 << 20))]},
            "E_IMPORT_UNPACKS",
        ),
        ({"image": [blank] * 100}, "E_IMPORT_UNPACKS"),
        ({"prompt": ["What?"] * rows}, "E_IMPORT_UNPACKS"),
        ({"tags": many}, "E_IMPORT_UNPACKS"),
    ):
        error = refusal(parquet(tmp_path, pa.table(table), compression="zstd"))
        assert (error.code, error.where) == (code, "rows.parquet")
        assert "row_group_size=100" in error.hint
        assert "MiB at once" in error.expected


def test_unpacking_is_bounded_by_the_file_and_in_all() -> None:
    """Of a small file by what an honest one needs, of a large one by what a machine has."""
    for size in (0, 1 << 20, 60 << 20, 100 << 20, 1 << 30, 1 << 40):
        most = unpacking.unpacking_bytes(size, unpacking.PARQUET)
        assert most <= size + file_limits.MAX_UNPACKING_BESIDE
        assert most <= 1 << 30
        assert (
            most == 2 * size + (64 << 20)
            or size > file_limits.MAX_UNPACKING_BESIDE - file_limits.MAX_UNPACKING_BYTES
        )


def test_a_gzip_of_an_array_may_hold_no_more_rows_than_one_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.json.gz"
    row = b'{"prompt":"a","response":"b"},'
    path.write_bytes(gzip.compress(b"[" + row * 2 * file_limits.MAX_UNPACKED_ROWS + b"{}]"))
    assert refusal(path).code == "E_IMPORT_UNPACKS"


def test_packed_rows_are_taken_as_real_sets_pack_them_and_refused_as_counters_do(
    tmp_path: Path,
) -> None:
    """easy-VQA's 38,575 rows take 2 bytes each; rows that count take as few, without an end."""
    row = {"prompt": "Is it red?", "response": "no"}
    real = pa.table({key: [text] * 38_575 for key, text in row.items()})
    assert sum(1 for _ in read(parquet(tmp_path, real, compression="zstd"))) == 38_575
    asked = [str(number) for number in range(64_000)]
    counted = pa.table({"prompt": asked, "response": ["no"] * len(asked)})
    error = refusal(parquet(tmp_path, counted, compression="zstd"))
    assert error.code == "E_IMPORT_UNPACKS"
    assert f"{(tmp_path / 'rows.parquet').stat().st_size // 15 + 40_960:,} rows" in error.expected


def test_a_gzip_that_unpacks_to_more_than_one_of_its_size_may_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n" * (2 * file_limits.MAX_UNPACKED_BYTES)))
    error = refusal(path)
    assert error.code == "E_IMPORT_UNPACKS"
    assert "gunzip" in error.hint


def test_values_that_stand_in_a_dictionary_or_elsewhere_are_read(tmp_path: Path) -> None:
    asked = pa.array(["What?"] * 3).dictionary_encode()
    shown = pa.array([picture(0)] * 3, pa.binary_view())
    image = pa.StructArray.from_arrays([shown, pa.nulls(3, pa.string_view())], ["bytes", "path"])
    table = pa.table({"prompt": asked, "response": ["a"] * 3, "image": image})
    for path in (parquet(tmp_path, table), on_disk(tmp_path / "set", streamed(table))):
        drafts = good(read(path))
        assert [texts(draft) for draft in drafts] == [["What?", "a"]] * 3
        assert all(len(draft.images) == 1 for draft in drafts)


def test_a_column_of_a_type_that_no_row_has_is_named(tmp_path: Path) -> None:
    mapped = pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string()))
    table = pa.table({**{key: [text] for key, text in ASKED.items()}, "tags": mapped})
    error = refusal(parquet(tmp_path, table))
    assert error.code == "E_IMPORT_ARROW"
    assert "--ignore-key tags" in error.hint
    defaults = replace(DEFAULTS, ignored=frozenset({"tags"}))
    good(list(importers.rows(tmp_path / "rows.parquet", defaults=defaults)))


def test_a_file_that_nobody_reads_to_its_end_leaves_no_process(tmp_path: Path) -> None:
    rows = importers.rows(
        parquet(tmp_path, pa.Table.from_pylist([ASKED] * 9000)), defaults=DEFAULTS
    )
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_file_whose_name_has_no_utf8_form_is_read(tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.Table.from_pylist([ASKED]))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.parquet"))
    path.rename(odd)
    good(read(odd))
    odd.write_bytes(b"PAR1")
    assert refusal(odd).code == "E_IMPORT_ARROW"


def test_a_time_in_a_zone_that_nobody_knows_costs_its_row(tmp_path: Path) -> None:
    times = pa.array([0], pa.timestamp("us", tz="Nowhere/At_all"))
    for table in ({"prompt": times, "response": ["a"]}, {"prompt": ["a?"], "response": times}):
        for path in (
            parquet(tmp_path, pa.table(table)),
            on_disk(tmp_path / "set", streamed(pa.table(table))),
        ):
            [bad] = read(path)
            assert isinstance(bad, BadRow)


def test_a_process_that_is_ended_in_the_middle_of_a_row_took_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = streamed(pa.table({**{key: [text] for key, text in ASKED.items()}, "tags": ["x" * 999]}))
    for cut in range(8, len(flow), 64):
        (tmp_path / "cut").write_bytes(flow[:cut])
        ended = tmp_path / "ended"
        ended.write_text(f"#!/bin/sh\ncat {tmp_path / 'cut'}\nkill -9 $$\n")
        ended.chmod(0o755)
        monkeypatch.setattr(arrow.sys, "executable", str(ended))
        assert refusal(parquet(tmp_path, pa.Table.from_pylist([ASKED]))).code == "E_IMPORT_UNPACKS"


def test_limits_that_are_lower_already_are_kept() -> None:
    code = (
        "import resource; from kolm.capture import unpacking\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (4, 4))\n"
        "unpacking.limit(1 << 30, 'parquet')\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(4, 4)\n"

"""From a buyer's request to an accepted verdict, with two people who share nothing but files."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from kolm import canonical
from tests.support.lines import COLOURS, STEPS, Line, Process, coloured, write_rows

pytestmark = pytest.mark.heavy

FLOORS = (
    "{accuracy_lower_bound: 0.5, worst_slice: 0, better_than_base_p: 1, above_blind: 0,"
    " above_majority: 0, k: 0}"
)
SPEC = """\
kolm: 1
name: line
base: kolm/nano-1
request: {request}
data: {data}
train: {{method: {{kind: lora, rank: 4, alpha: 16}}, learning_rate: 0.01, steps: {steps},
  batch_size: 4, segments: 4}}
evaluation: {{{pack}floors: {floors}}}
"""
POLICY = """\
schema: urn:kolm:policy:v1
name: squares
claims: [{predicate: "urn:kolm:kscore:v1", role: evaluator, threshold: 1}]
gate: passed
metrics: [exact]
methods: [lora]
freeze: [vision frozen]
floors: {accuracy_lower_bound: 0.5}
reach: [delta_scope, scores]
"""
CASES = 52


def dark(number: int, colour: tuple[int, int, int] | None = None) -> bytes:
    """A square before a ground so dark that it is no near twin of any that `coloured` draws."""
    names = sorted(COLOURS)
    ground = (130 + number % 8, 130 + number // 8 % 8, 130 + number // 64)
    picture = Image.new("RGB", (32, 32), ground)
    picture.paste(colour or COLOURS[names[number % len(names)]], (8, 8, 24, 24))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def cases() -> list[dict[str, object]]:
    return [
        {**row, "image": dark(number), "split": "eval"}
        for number, row in enumerate(coloured(CASES))
    ]


@dataclass(frozen=True)
class Parties:
    """A buyer and a publisher; each has a folder, keys and trust of their own."""

    buyer: Line
    publisher: Line

    def spec(self, request: str, *, floors: str = FLOORS, **parts: str) -> None:
        root = self.root()
        values = {
            "data": "{captures: captures}", "pack": f"pack: {root}, ", "floors": floors, **parts
        }  # fmt: skip
        text = SPEC.format(request=request, steps=STEPS, **values)
        (self.publisher.folder / "kolm.yaml").write_text(text, encoding="utf-8")

    def root(self) -> str:
        return str(self.buyer.demand("request", "pack", "pack", "--json").document()["root"])

    def verify(self, request: str | Path, *more: str | Path) -> Process:
        """The buyer's audit."""
        words = ("verify", self.publisher.bundle, "--request", request, *more)
        return self.buyer.kolm("--json", *words)


def project(parties: Parties, place: Path) -> Line:
    """A copy of the publisher's project without what it made."""
    made = shutil.ignore_patterns("*.kolm")
    shutil.copytree(parties.publisher.folder, place / "project", ignore=made)
    return Line(folder=place / "project", home=parties.publisher.home)


def verdict(ran: Process, number: str) -> str:
    return str(next(c["verdict"] for c in ran.document()["checks"] if c["id"] == number))


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    """The request is signed, and handed over with the pack; nothing is compiled yet."""
    place = tmp_path_factory.mktemp("request")
    buyer = Line(folder=place / "buyer", home=place / "buyer-home")
    buyer.folder.mkdir()
    write_rows(buyer.folder, cases())
    (buyer.folder / "squares.yaml").write_text(POLICY)
    buyer.demand("keys", "new")
    buyer.demand("capture", "import", "pairs.jsonl", "--store", "pack")
    asked = (
        "request",
        "new",
        "--policy",
        "squares.yaml",
        "--pack",
        "pack",
        "--base",
        "kolm/nano-1",
    )
    buyer.demand(*asked)
    buyer.demand(*asked, "--sealed", "--name", "sealed")
    handed = place / "handed"
    buyer.demand("request", "pack", "pack", "-o", handed / "pack.jsonl")
    buyer.demand("keys", "export", "-o", handed / "buyer.pem")
    publisher = Line.make(
        place / "publisher", rows=[{**row, "split": "train"} for row in coloured(200)]
    )
    publisher.demand("keys", "export", "-o", handed / "publisher.pem")
    publisher.demand("keys", "trust", handed / "buyer.pem", "--as", "buyer", "--role", "buyer")
    roles = ("--role", "builder", "--role", "evaluator")
    buyer.demand("keys", "trust", handed / "publisher.pem", "--as", "publisher", *roles)
    for request in buyer.folder.glob("*.request.json"):
        shutil.copy(request, publisher.folder)
    shutil.copytree(publisher.folder / "captures", publisher.folder / "own")
    publisher.demand("capture", "import", handed / "pack.jsonl")
    return Parties(buyer, publisher)


@pytest.fixture(scope="module")
def answered(parties: Parties) -> Parties:
    parties.spec("squares.request.json")
    parties.publisher.demand("compile")
    return parties


def test_the_pack_that_is_handed_over_is_the_pack(parties: Parties, tmp_path: Path) -> None:
    handed = parties.buyer.folder.parent / "handed" / "pack.jsonl"
    parties.publisher.demand("capture", "import", handed, "--store", tmp_path / "again")
    again = parties.publisher.demand("request", "pack", tmp_path / "again", "--json").document()
    assert again["root"] == parties.root()
    assert again["captures"] == CASES


def test_a_publisher_reads_what_is_asked(parties: Parties) -> None:
    ran = parties.publisher.demand("request", "show", "squares.request.json", "--json").document()
    asked = {clause["clause"]: clause["asks"] for clause in ran["clauses"]}
    assert parties.root() in asked["eval_pack_roots"]
    assert "lora" in asked["methods"]
    assert "base_roots" in asked
    assert ran["signer"] == "buyer"
    empty = parties.publisher.folder / "nobody.json"
    empty.write_bytes(canonical.dumps({"schema": "urn:kolm:trust:v1", "keys": []}))
    assert (
        parties.publisher.kolm("request", "show", "squares.request.json", "--trust", empty).code
        == 3
    )


def test_the_answer_is_accepted(answered: Parties) -> None:
    ran = answered.verify("squares.request.json")
    assert ran.code == 0, ran
    assert verdict(ran, "V68") == "ok"
    assert ran.document()["policy"]["name"] == "squares"
    looked = answered.verify(
        "squares.request.json", "--captures", answered.publisher.folder / "captures"
    )
    assert looked.code == 0, looked
    assert {verdict(looked, number) for number in ("V47", "V48", "V49")} == {"ok"}


def test_report_and_dossier_show_that_it_answers(answered: Parties, tmp_path: Path) -> None:
    words = (answered.publisher.bundle, "--request", "squares.request.json", "-o")
    page = tmp_path / "page.html"
    assert answered.buyer.kolm("report", *words, page).code == 0
    assert "V68" in page.read_text()
    fields = answered.buyer.demand("dossier", *words, tmp_path / "made", "--json").document()
    assert fields["counts"]["recomputed"]


def test_it_answers_no_other_request(answered: Parties) -> None:
    """The same demands, asked again: another nonce, another digest."""
    again = answered.buyer.folder / "again.request.json"
    answered.buyer.demand(
        "request", "new", "--policy", "squares.yaml", "--pack", "pack", "-o", again, "--force"
    )
    ran = answered.verify(again)
    assert ran.code == 1
    assert verdict(ran, "V68") == "failed"
    assert verdict(ran, "V62") == "ok"


def test_who_does_not_know_the_buyer_cannot_tell(answered: Parties) -> None:
    listed = answered.buyer.home / "trust.json"
    trust = canonical.loads(listed.read_bytes(), where="trust")
    trust["keys"] = [key for key in trust["keys"] if key["name"] == "publisher"]
    alone = answered.buyer.folder / "alone.json"
    alone.write_bytes(canonical.dumps(trust))
    ran = answered.verify("squares.request.json", "--trust", alone)
    assert ran.code == 3
    assert verdict(ran, "V68") == "could_not_look"


def test_a_policy_beside_a_request_is_a_wrong_call(answered: Parties) -> None:
    ran = answered.buyer.kolm(
        "verify", answered.publisher.bundle, "--request", "squares.request.json", "--policy",
        "squares.yaml",
    )  # fmt: skip
    assert ran.code == 2
    assert "E_VERIFY_REQUEST_POLICY" in ran.stderr


# What stops a compile before anything is trained.


def spoilt(parties: Parties, tmp_path: Path, change: Callable[[Line], None]) -> Process:
    """``kolm check`` in a copy of the publisher's project that was changed."""
    line = project(parties, tmp_path)
    parties.spec("squares.request.json")
    shutil.copy(parties.publisher.folder / "kolm.yaml", line.folder)
    change(line)
    return line.kolm("check", "--json")


def _import(line: Line, *rows: dict[str, object]) -> None:
    place = line.folder / "more"
    place.mkdir()
    write_rows(place, rows)
    line.demand("capture", "import", place / "pairs.jsonl")


def _same_picture(line: Line) -> None:
    _import(line, {"image": dark(0), "prompt": "and?", "response": "yes", "split": "train"})


def _near_twin(line: Line) -> None:
    nearly = dark(0, colour=(12, 12, 12))
    assert nearly != dark(0)
    _import(line, {"image": nearly, "prompt": "and?", "response": "yes", "split": "train"})


def _case_of_ones_own(line: Line) -> None:
    _import(line, {"image": dark(99), "prompt": "and?", "response": "yes", "split": "eval"})


def _spec(old: str, new: str) -> Callable[[Line], None]:
    def change(line: Line) -> None:
        path = line.folder / "kolm.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def _no_pack(line: Line) -> None:
    path = line.folder / "kolm.yaml"
    path.write_text(re.sub(r"pack: sha256:\w+, ", "", path.read_text()))


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("E_SNAPSHOT_IMAGE_ON_TWO_SIDES", _same_picture),
        ("E_SNAPSHOT_NEAR_DUPLICATES", _near_twin),
        ("E_PACK_DIFFERS", _case_of_ones_own),
        (
            "E_SPEC_CONFLICT",
            _spec("captures: captures", "captures: captures, near_duplicates: report"),
        ),
        ("E_SPEC_CONFLICT", _spec("name: line", f"name: line\nnonce: '{'1' * 64}'")),
        ("E_REQUEST_PACK", _no_pack),
        ("E_REQUEST_UNMET", _spec("accuracy_lower_bound: 0.5", "accuracy_lower_bound: 0.4")),
        ("E_REQUEST_UNMET", _spec("kind: lora, rank: 4, alpha: 16", "kind: ia3")),
        ("E_REQUEST_UNMET", _spec("batch_size: 4,", "batch_size: 4, freeze: {vision: false},")),
        ("E_REQUEST_BROKEN", _spec("squares.request.json", "kolm.yaml")),
    ],
)
def test_what_would_be_no_answer_is_told_before_training(
    parties: Parties, tmp_path: Path, code: str, change: Callable[[Line], None]
) -> None:
    ran = spoilt(parties, tmp_path, change)
    assert ran.code in (1, 3)
    found = [finding.get("code") for finding in ran.document()["findings"]]
    assert code in found, found


def test_near_twins_of_a_pack_may_be_left_out(parties: Parties, tmp_path: Path) -> None:
    def change(line: Line) -> None:
        _near_twin(line)
        _spec("captures: captures", "captures: captures, near_duplicates: drop")(line)

    ran = spoilt(parties, tmp_path, change)
    assert ran.code == 0, ran
    told = next(f for f in ran.document()["findings"] if f["name"] == "captures")
    assert "1 left out of the split" in told["message"]


# A sealed pack.


def test_a_sealed_pack_is_scored_by_its_buyer_once_the_bundle_is_made(
    parties: Parties, tmp_path: Path
) -> None:
    line = project(parties, tmp_path)
    told = canonical.loads(
        parties.buyer.demand("request", "show", "sealed.request.json", "--json").stdout.encode(),
        where="request",
    )
    assert told["pack"]["kind"] == "sealed"
    data = "{captures: own, split: {eval: 0.25}, near_duplicates: report}"
    sealed = Parties(parties.buyer, line)
    sealed.spec("sealed.request.json", data=data, pack="")
    line.demand("compile")
    before = sealed.verify("sealed.request.json")
    assert before.code == 1
    assert verdict(before, "V66") == verdict(before, "V68") == "failed"
    scored = sealed.buyer.demand("eval", line.bundle, "--captures", "pack", "--json").document()
    assert scored["kscore"]["pack"]["root"] == told["pack"]["root"] == sealed.root()
    after = sealed.verify("sealed.request.json")
    assert after.code == 0, after
    assert after.document()["bundle"]["digest"] == before.document()["bundle"]["digest"]

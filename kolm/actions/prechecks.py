"""The compositions: what can be known before training. One list, one function for each question.

`kolm check` shows every finding; `kolm compile` tells the warnings and stops at what failed, before
anything is trained. A further precheck is a function and a line of `PRECHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kolm import digest, roles, settings
from kolm.actions import learning, requested
from kolm.actions.ahead import SIDES, Ahead, Names
from kolm.actions.disk import look_at_disk
from kolm.actions.findings import Found, count, each_error_once, failed, grouped, ok, warning
from kolm.actions.preparing import raise_together
from kolm.actions.project import state_places
from kolm.actions.reach import demand_reachable
from kolm.actions.room import room_of
from kolm.actions.signing import choose_key
from kolm.actions.target import demand_place
from kolm.capture.store import CaptureStore
from kolm.counting import counted, listed
from kolm.errors import Denied, KolmError, Refused
from kolm.extras import missing_extra
from kolm.methods import method_of
from kolm.methods.projector import linear_layers, no_layers
from kolm.methods.prompt import demand_rows
from kolm.methods.reached import demand_reached
from kolm.models import folder as folders
from kolm.models.resolve import read_config
from kolm.planning.parameters import by_role
from kolm.planning.trained import modules_of
from kolm.roles.checkpoints import parameter_of
from kolm.run.earlier import find_state, learned_by
from kolm.train import trackers
from kolm.verify.policy import BUILT_IN

if TYPE_CHECKING:
    from kolm.models.shapes import Parameters
    from kolm.records.documents import LockTrain
    from kolm.train.preflight import Encoded

_MANY_PASSES = 50


def look(ahead: Ahead) -> list[Found]:
    """Every finding about a compile, in the order of `PRECHECKS`."""
    found: list[Found] = []
    for name, precheck in PRECHECKS:
        try:
            found += precheck(ahead)
        except ImportError as error:
            found.append(failed(name, missing_extra("train", f"training needs {error.name}")))
        except KolmError as error:
            found.append(failed(name, error))
    return each_error_once(found)


def demand(ahead: Ahead) -> None:
    """Tell the warnings, and refuse a compile that cannot end well.

    Raises:
        KolmError: the one thing that failed, or ``E_COMPILE_PRECHECKS`` with all of them.
    """
    list(_target(ahead))  # at once: what a taken target stops need not be looked at
    findings = look(ahead)
    for finding in findings:
        if finding.verdict == "warning":
            first, _, rest = finding.found.partition("\n")
            shown = f": {first}{' …' if rest else ''}" if first else ""
            ahead.reporter.warned(finding.message + shown)
    raise_together([finding.error for finding in findings if finding.error is not None])


def look_at_key(name: str | None = None) -> Iterator[Found]:
    """Is there a key that can sign? The passphrase of an encrypted one is asked for later."""
    try:
        choose_key(name)
    except Denied as error:
        if error.code != "E_KEY_PASSPHRASE" or settings.text("KOLM_KEY_PASSPHRASE"):
            raise  # wrong, or not ours to read
        yield warning("key", "the signing key is encrypted, and kolm compile will ask")
    else:
        yield ok("key", "found a signing key")


def _data(ahead: Ahead) -> Iterator[Found]:
    """What was split, and how."""
    snapshot = ahead.prepared.snapshot
    sides, dropped = snapshot.header["splits"], snapshot.header["near_duplicates"]["dropped"]
    out = "".join(
        f"; {count:,} left out of the split, {why}"
        for count, why in (
            (dropped, "because an eval image has a near twin in them"),
            (sides["none"]["captures"] - dropped, "because they would join many groups"),
        )
        if count
    )
    named = snapshot.on_no_side()
    if named:
        more = f" and {len(named) - 1:,} more" if named[1:] else ""
        out += f" ({named[0]}{more})"
    yield ok(
        "captures",
        f"{sides['train']['captures']:,} to train on, "
        f"{sides['validation']['captures']:,} to validate, "
        f"{sides['eval']['captures']:,} to score; {len(snapshot.near_pairs):,} of "
        f"{counted(sides['eval']['images'], 'eval image')} with a near twin in train or "
        f"validation{out}",
    )
    told = snapshot.told()
    if told is not None:
        yield warning("captures", told)


def _base(ahead: Ahead) -> Iterator[Found]:
    """The base, whose files were looked at before it was measured."""
    parameters = ahead.lock["base"]["parameters"]
    yield ok("base", f"{ahead.prepared.base.id}: {parameters:,} parameters")
    if not roles.family(ahead.lock["base"]["family"]).takes_pictures:
        yield ok(
            "base",
            "it reads text alone: no vision tower, no projector, no blind run and no floor "
            "above one (evaluation.floors.above_blind does not apply)",
        )


def parameters(
    train: LockTrain, family: roles.Family, owned: Parameters, config: roles.Config
) -> Iterator[Found]:
    """Whose parameters are trained, by role and module; all of them are reached by a gradient.

    Args:
        train: of the lock.
        family: the base's.
        owned: name in memory and shape of each parameter of the base.
        config: of the base, or the part that is known.
    """
    modules = modules_of(owned, family, method_of(train["method"]), train["projector"])
    demand_reached(family, config, [own.module for own in modules if own.trained])
    for role in by_role(modules):
        groups = "\n".join(group.words() for group in role.groups)
        yield Found("parameters", "ok", role.words(), found=groups)


def _parameters(ahead: Ahead) -> Iterator[Found]:
    family = roles.family(ahead.lock["base"]["family"])
    tensors = ahead.prepared.facts.tensors
    owned = tuple((parameter_of(family, tensor.key), tensor.shape) for tensor in tensors)
    config = read_config(ahead.prepared.base.folder)
    yield from parameters(ahead.lock["train"], family, owned, config)


def _projector(ahead: Ahead) -> Iterator[Found]:
    """LoRA on the projector has layers to stand on, by names and shapes of the checkpoint."""
    if ahead.lock["train"]["projector"] == "lora":
        family = roles.family(ahead.lock["base"]["family"])
        tensors = ahead.prepared.facts.tensors
        stored = ((parameter_of(family, tensor.key), tensor.shape) for tensor in tensors)
        if not linear_layers(stored, family):
            raise no_layers("no linear layer")
    yield from ()


def _virtual_tokens(ahead: Ahead) -> Iterator[Found]:
    """Virtual tokens have a row wherever the base looks tokens up."""
    if method_of(ahead.lock["train"]["method"]).front:
        base = ahead.prepared.base
        demand_rows(roles.family(base.family), read_config(base.folder))
    yield from ()


def _tokens(ahead: Ahead) -> Iterator[Found]:
    """The tokens that end an answer and fill batches up, and positions for the longest example."""
    from kolm.models.processor import load_processor, stated_end_tokens

    folder = ahead.prepared.base.folder
    tokenizer = load_processor(folder).tokenizer
    if not stated_end_tokens(folder, tokenizer):
        raise Refused(
            "E_BASE_NO_END_TOKEN",
            "the base has no end-of-sequence token",
            where="generation_config.json",
            expected="eos_token_id",
        )
    if tokenizer.pad_token_id is None:
        yield warning(
            "base",
            "the base has no padding token; its end-of-sequence token is used, and masked",
        )
    yield from _positions(ahead)


def _positions(ahead: Ahead) -> Iterator[Found]:
    limit = folders.positions(read_config(ahead.prepared.base.folder))
    if limit is None:
        return
    limit -= method_of(ahead.lock["train"]["method"]).front
    room = {"eval": ahead.lock["evaluation"]["max_new_tokens"]}
    long = [
        f"{name}: {example.tokens + room.get(side, 0)} tokens"
        for side, encoded in ahead.sides.items()
        for name, example in zip(encoded.names, encoded.examples, strict=True)
        if example.tokens + room.get(side, 0) > limit
    ]
    if long:
        yield failed(
            "base",
            Refused(
                "E_BASE_POSITIONS",
                f"{count(long, 'capture')} longer than the base's context length",
                where="train.max_seq_length",
                expected=f"at most {limit} tokens, an answer included",
                found=listed(long),
                hint=f"set train.max_seq_length to {max(16, limit - room['eval'])} or less",
            ),
        )


def _blobs(ahead: Ahead) -> Iterator[Found]:
    """Every picture of the snapshot is in the store, and is what its digest says."""
    users: dict[digest.Digest, digest.Digest] = {}
    for row in ahead.prepared.snapshot.rows:
        for file, *_ in row.images:
            users.setdefault(file, row.capture)
    problems: list[tuple[str, KolmError]] = []
    with CaptureStore.open_to_read(ahead.prepared.store_folder) as store:
        names = Names(store)
        for file, capture in users.items():
            try:
                store.blobs.read(file)
            except KolmError as error:
                problems.append((f"{names[capture]}, picture {file}", error))
    yield from grouped("pictures", "picture", problems)
    if not problems:
        yield ok("pictures", f"{len(users):,} picture files are intact")


def _examples(ahead: Ahead) -> Iterator[Found]:
    """What training will see, what it leaves out, and what stops it."""
    from kolm.train.plan import read_plan
    from kolm.train.preflight import demand_examples, summarise

    for side in ("train", "validation"):
        if side in ahead.sides:
            yield from _left_out(side, ahead.sides[side])
    if "train" not in ahead.sides:
        return
    plan, train = read_plan(ahead.lock), ahead.sides["train"]
    looks = ahead.lock["train"]["validation"]
    demand_examples(
        train=len(train.examples) + len(train.refused),  # refused ones are findings of their own
        dropped={reason: len(names) for reason, names in train.dropped.items()},
        validation=len(ahead.sides["validation"].examples) if looks else None,
    )
    if train.examples:
        seen = summarise(plan, train.examples)
        yield ok(
            "train side",
            f"{counted(seen.examples, 'example')} of at most {seen.longest_tokens} tokens, "
            f"{seen.epochs_permille / 1000:.2f} epochs in {counted(plan.schedule.steps, 'step')}",
        )
        if seen.without_images and roles.family(ahead.lock["base"]["family"]).takes_pictures:
            message = f"{counted(seen.without_images, 'example')} without an image"
            yield warning("train side", message)


def _left_out(side: str, encoded: Encoded) -> Iterator[Found]:
    yield from grouped(f"{side} side", "capture", encoded.refused)
    for reason, names in sorted(encoded.dropped.items()):
        message = f"{count(names, 'capture')} left out of the {side} side: {reason}"
        yield warning(f"{side} side", message, names)
    yield from _cut(side, encoded)


def _prompts(ahead: Ahead) -> Iterator[Found]:
    """Every case can be asked, and can be answered within `max_new_tokens`."""
    encoded, evaluation = ahead.sides.get("eval"), ahead.lock["evaluation"]
    long = [] if encoded is None else encoded.long_answers
    if encoded is not None:
        yield from grouped("eval side", "capture", encoded.refused)
        yield from _cut("eval", encoded)
    if long:
        yield warning(
            "eval side",
            f"{count(long, 'reference answer')} longer than evaluation.max_new_tokens "
            f"({evaluation['max_new_tokens']}), so the model cannot produce them",
            long,
        )
    if encoded is not None and encoded.worthless:
        yield from _worthless(encoded, evaluation["metric"]["kind"])
    if not ahead.allow_below_gate:
        unreachable = 0 if encoded is None else encoded.unreachable
        demand_reachable(ahead.prepared, too_long=unreachable)


def _worthless(encoded: Encoded, metric: str) -> Iterator[Found]:
    """References to which no answer can be right, not even themselves."""
    names = encoded.worthless
    if len(names) == len(encoded.names):
        raise Refused(
            "E_METRIC_REFERENCES",
            f"by the metric {metric} not one response of the eval side earns anything",
            where="evaluation.metric",
            found=f"{counted(len(names), 'eval case')}",
            hint="another metric, or other references: kolm help format/evaluation",
        )
    message = f"{count(names, 'response')} that earn nothing by the metric {metric}"
    yield warning("eval side", f"{message}: no answer to them is right", names)


def _shapes(ahead: Ahead) -> Iterator[Found]:
    """Pictures that are too thin for the family."""
    from kolm.models.pictures import too_thin

    thin: list[str] = []
    with CaptureStore.open_to_read(ahead.prepared.store_folder) as store:
        names, records = Names(store), store.image_records()
        for row in ahead.prepared.snapshot.rows:
            for picture in (records[file] for file, *_ in row.images):
                if row.split in SIDES and too_thin(picture.height, picture.width):
                    size = f"{picture.width}x{picture.height}"
                    thin.append(f"{names[row.capture]}: {size} ({row.split})")
    if thin:
        yield warning(
            "pictures",
            f"{count(thin, 'picture')} too thin for the family (one side more than 200 times the "
            "other); the short side is made longer",
            thin,
        )


def _settings(ahead: Ahead) -> Iterator[Found]:
    """Settings that a person may regret: far from what the base was measured with, or costly."""
    train = ahead.lock["train"]
    if train["freeze"]["vision"] is False:
        yield warning(
            "settings",
            "the vision tower is adapted too (train.freeze.vision): it runs in every step, and the "
            "bundle cannot claim that it stayed frozen",
        )
    yield from learning.rates(ahead)
    if "train" in ahead.sides and (examples := len(ahead.sides["train"].examples)):
        passes = train["steps"] * train["batch_size"] * train["accumulation"] / examples
        if passes > _MANY_PASSES:
            yield warning(
                "settings",
                f"training sees each capture about {passes:,.0f} times: it will memorise "
                f"them; more than {_MANY_PASSES} passes seldom help",
            )


def _learned_before(ahead: Ahead) -> Iterator[Found]:
    """Is an eval case among what the training learned from that this one goes on from?

    The snapshot of a bundle knows its own sides alone: what came before, nobody sees later.
    """
    continued = ahead.lock["train"]["continues"]
    if continued is None:
        return
    prepared = ahead.prepared
    seen = learned_by(find_state(state_places(prepared.spec, prepared.project), continued["state"]))
    known = [
        row.capture
        for row in prepared.snapshot.rows
        if row.split == "eval"
        and (row.capture in seen.captures or any(p in seen.pictures for _, p, *_ in row.images))
    ]
    if known:
        yield warning(
            "eval side",
            f"{count(known, 'eval case')} among what the earlier training learned from: their "
            "scores say nothing of new pictures (keep the sides: data.split: official)",
            known,
        )


def _tracking(ahead: Ahead) -> Iterator[Found]:
    """What KOLM_TRACK names is here."""
    trackers.demand(settings.track())
    yield from ()


def _audit(ahead: Ahead) -> Iterator[Found]:
    """What the built-in policy of `kolm verify` will not take, however good the answers are."""
    cases = ahead.prepared.snapshot.header["splits"]["eval"]["captures"]
    least, wanting = BUILT_IN.minimum_eval_cases or 0, []
    if cases < least:
        wanting.append(f"it demands {least} eval cases, and there are {cases:,}")
    if not ahead.lock["publish"]["text"]:
        wanting.append("it demands scores that it can recompute, and publish.text is false")
    if wanting:
        yield warning(
            "audit",
            f"the built-in policy of kolm verify will not accept the bundle: "
            f"{'; '.join(wanting)}; whoever uses it needs a policy file that demands less "
            "(kolm help format/policy)",
        )


def _dossier(ahead: Ahead) -> Iterator[Found]:
    """The policy demands no declaration that the spec does not make (V67)."""
    demanded = ahead.policy.dossier if ahead.policy is not None else None
    declared = ahead.lock.get("dossier", {})
    missing = [name for name in demanded or () if name not in declared]
    if missing:
        error = Refused(
            "E_DOSSIER_NOT_STATED",
            "the policy demands declarations that the spec does not make",
            where="dossier",
            expected=", ".join(demanded or ()),
            found=", ".join(declared) or "none",
            hint="write into the spec:\ndossier:\n" + "\n".join(f"  {name}: …" for name in missing),
        )
        yield failed("dossier", error)


def _target(ahead: Ahead) -> Iterator[Found]:
    """The file that would be written is free, or may be replaced."""
    demand_place(ahead.target, lambda _: ahead.lock, force=ahead.force)
    yield from ()


def _disk(ahead: Ahead) -> Iterator[Found]:
    yield from look_at_disk(ahead.prepared.project.folder, room_of(ahead))


PRECHECKS: tuple[tuple[str, Callable[[Ahead], Iterator[Found]]], ...] = (
    ("captures", _data),
    ("base", _base),
    ("base", _projector),
    ("base", _virtual_tokens),
    ("parameters", _parameters),
    ("base", _tokens),
    ("pictures", _blobs),
    ("pictures", _shapes),
    ("train side", _examples),
    ("train side", learning.pairs),
    ("eval side", _prompts),
    ("eval side", _learned_before),
    ("settings", _settings),
    ("request", requested.look),
    ("tracking", _tracking),
    ("audit", _audit),
    ("dossier", _dossier),
    ("target", _target),
    ("disk", _disk),
)


def _cut(side: str, encoded: Encoded) -> Iterator[Found]:
    if encoded.cut:
        message = f"{count(encoded.cut, 'prompt')} longer than train.max_seq_length allows: cut"
        yield warning(f"{side} side", message, encoded.cut)

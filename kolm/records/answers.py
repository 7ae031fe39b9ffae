"""What commands answer under ``--json``, but for the schema's name, as types.

Written by docs/generate.py; edit schemas/ instead.
"""

from typing import Literal, NotRequired, TypedDict, final

from kolm.digest import Digest
from kolm.records.documents import Capture, Evaluation, Kscore, PredicateCompute, Receipt, Snapshot

class CaptureJudgePreferredInterval(TypedDict):
    method: Literal['wilson']
    level: Literal['0.95']
    low: str
    high: str

class CaptureJudgePreferred(TypedDict):
    pairs: int
    right: int
    ties: int
    agreement: str
    interval: CaptureJudgePreferredInterval

class CaptureJudgeAgreement(TypedDict):
    cases: int
    agreement: str
    interval: CaptureJudgePreferredInterval
    kappa: str | None
    kappa_low: str | None
    kappa_high: str | None

class CaptureListCapture(TypedDict):
    id: Digest
    images: int
    name: str | None
    prompt: str
    response: str
    split: Literal['train', 'validation', 'eval', None]
    tags: list[str]
    rejected: str | None

class CaptureRemove(TypedDict):
    store: str
    captures: int
    images: int
    total: int

class CaptureShow(TypedDict):
    store: str
    id: Digest
    name: str | None
    capture: Capture
    image_files: list[str]

class CaptureSnapshot(TypedDict):
    digest: Digest
    folder: str | None
    snapshot: Snapshot
    on_no_side: list[str]

class CaptureStatsPairs(TypedDict):
    captures: int
    corrected: int
    longer: int

class CaptureStats(TypedDict):
    captures: int
    image_bytes: int
    images: int
    licenses: dict[str, int]
    media_types: dict[str, int]
    pictures: int
    several_turns: int
    sources: dict[str, int]
    splits: dict[str, int]
    store: str
    tags: dict[str, int]
    pairs: CaptureStatsPairs

class CaptureVerify(TypedDict):
    store: str
    captures: int
    image_files: int

class CheckFinding(TypedDict):
    name: str
    verdict: Literal['ok', 'warning', 'failed']
    message: str
    family: NotRequired[str]
    code: NotRequired[str]
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]

class Check(TypedDict):
    spec: str
    passed: bool
    findings: list[CheckFinding]

class ConformanceDisagreement(TypedDict):
    file: str
    expected: str
    found: str
    said: str

class Conformance(TypedDict):
    runner: str
    bundles: int
    agreed: int
    seconds: str
    disagreements: list[ConformanceDisagreement]

class DiffBundle(TypedDict):
    name: str
    content_id: Digest
    cid: str

class DiffSetting(TypedDict):
    path: str
    left: str | None
    right: str | None

class DiffCapture(TypedDict):
    captures: list[Digest]
    split: Literal['train', 'validation', 'eval', 'none']

class DiffMoved(TypedDict):
    captures: list[Digest]
    left: Literal['train', 'validation', 'eval', 'none']
    right: Literal['train', 'validation', 'eval', 'none']

class DiffCaptures(TypedDict):
    added: list[DiffCapture]
    removed: list[DiffCapture]
    moved: list[DiffMoved]

class DiffModule(TypedDict):
    module: str
    left: str | None
    right: str | None

class DiffTensors(TypedDict):
    same: int
    changed: list[str]
    added: list[str]
    removed: list[str]

class DiffRate(TypedDict):
    accuracy: str
    low: str
    high: str

class DiffAccuracy(TypedDict):
    left: DiffRate
    right: DiffRate

class DiffPaired(TypedDict):
    cases: int
    left_only: int
    right_only: int
    p: str
    method: Literal['mcnemar-exact', 'sign-exact']

class DiffAnswer(TypedDict):
    output: str
    score: str

class DiffCase(TypedDict):
    case: Digest
    prompt: str | None
    reference: str | None
    left: DiffAnswer
    right: DiffAnswer

class Diff(TypedDict):
    left: DiffBundle
    right: DiffBundle
    spec: list[DiffSetting]
    captures: DiffCaptures
    modules: list[DiffModule]
    tensors: DiffTensors
    accuracy: DiffAccuracy
    paired: DiffPaired | None
    not_paired: str | None
    cases: list[DiffCase]

class EnvPackage(TypedDict):
    name: str
    version: str | None

class EnvFolder(TypedDict):
    name: str
    path: str
    origin: str

class EnvVariable(TypedDict):
    name: str
    value: str | None
    origin: str

class Env(TypedDict):
    kolm: str
    python: str
    executable: str
    platform: str
    packages: list[EnvPackage]
    folders: list[EnvFolder]
    variables: list[EnvVariable]

class FamiliesFamilyShown(TypedDict):
    trait: str
    says: str
    where: Literal['tests', 'acceptance', 'no pictures', 'none']

class FamiliesFamily(TypedDict):
    model_type: str
    vision: list[str]
    projector: list[str]
    targets: list[str]
    stays_frozen: list[str]
    own_template: bool
    licenses: str
    papers: list[str]
    shown: list[FamiliesFamilyShown]

class FamiliesRefused(TypedDict):
    model_type: str
    reason: str
    instead: str

class Families(TypedDict):
    families: list[FamiliesFamily]
    refused: list[FamiliesRefused]

class InspectMember(TypedDict):
    name: str
    digest: Digest
    bytes: int

class InspectParameterModule(TypedDict):
    glob: str
    modules: int
    base: int
    trained: int
    whole: bool

class InspectParameter(TypedDict):
    role: str
    base: int
    trained: int
    modules: list[InspectParameterModule]

class InspectKscore(TypedDict):
    key: str
    kscore: Kscore

class InspectCompute(TypedDict):
    key: str
    compute: PredicateCompute

class InspectClaimError(TypedDict):
    code: str
    message: str

class InspectClaim(TypedDict):
    predicate_type: str
    key: NotRequired[str]
    error: NotRequired[InspectClaimError]

class Inspect(TypedDict):
    content_id: Digest
    cid: str
    members: list[InspectMember]
    receipt: Receipt
    parameters: list[InspectParameter]
    evaluation: Evaluation
    kscores: list[InspectKscore]
    computes: list[InspectCompute]
    claims: list[InspectClaim]
    unpacked: NotRequired[str]

class KeysNewRowRevoked(TypedDict):
    on: str
    reason: str

KeysListRowAlgorithm = Literal['ed25519', 'p256']

class KeysListRow(TypedDict):
    name: str
    key: str
    algorithm: KeysListRowAlgorithm
    roles: list[Literal['builder', 'evaluator', 'verifier', 'endorser', 'publisher', 'buyer']]
    names: list[str]
    signs_here: bool
    revoked: NotRequired[KeysNewRowRevoked]

class PlanBase(TypedDict):
    id: str
    family: str
    sizes_from: Literal['weights', 'published', 'config']

class PlanTrained(TypedDict):
    numbers: int
    method: str
    projector: Literal['full', 'lora', 'frozen', None]
    vision: bool

class PlanHistogramBin(TypedDict):
    up_to: int
    examples: int

class PlanHistogram(TypedDict):
    mean: int
    longest: int
    bins: list[PlanHistogramBin]

class PlanData(TypedDict):
    examples: int
    cut: int
    dropped: dict[str, int]
    refused: int
    tokens: PlanHistogram
    image_tokens: PlanHistogram
    labels: PlanHistogram

class PlanBatch(TypedDict):
    rows: int
    length: int
    labels: int
    image_tokens: int
    steps: int | None
    accumulation: int
    processes: int
    lengths_from: Literal['data', 'spec']

class PlanMemory(TypedDict):
    weights: int
    state: int
    activations: int
    logits: int
    tower: int
    context: int
    kept: int
    total: int
    with_margin: int

class PlanFits(TypedDict):
    memory_bytes: int
    fits: bool

class PlanChange(TypedDict):
    line: str
    need_bytes: int

class PlanCompared(TypedDict):
    method: str
    checkpointing: bool
    devices: int
    memory: PlanMemory
    flops: str
    step_seconds: str | None

class PlanDevice(TypedDict):
    name: str
    memory_bytes: int
    source: str
    fits: bool

class PlanFlops(TypedDict):
    step: str
    step_terms: dict[str, str]
    reference: str | None
    run: str | None

class PlanTime(TypedDict):
    flops_per_second: str
    step_seconds: str
    run_seconds: str | None

class PlanDisk(TypedDict):
    states_bytes: int
    adapter_bytes: int
    features_bytes: int | None
    other_bytes: int

class PlanUnread(TypedDict):
    message: str
    hint: str

class Plan(TypedDict):
    spec: str
    base: PlanBase
    parameters: dict[str, int]
    trained: PlanTrained
    data: PlanData | None
    batch: PlanBatch
    memory: PlanMemory
    fits: PlanFits | None
    changes: list[PlanChange]
    compared: list[PlanCompared]
    devices: list[PlanDevice]
    flops: PlanFlops
    time: PlanTime | None
    disk: PlanDisk
    notes: list[str]
    unread: list[PlanUnread]

class PolicyCheckClause(TypedDict):
    clause: str
    asks: str

class PolicyCheckProblem(TypedDict):
    clause: str
    problem: str
    hint: str

class PolicyCheck(TypedDict):
    name: str
    digest: Digest
    clauses: list[PolicyCheckClause]
    needs: list[str]
    problems: list[PolicyCheckProblem]

class RegistryListEntryFile(TypedDict):
    digest: Digest
    size: int

class RegistryListEntrySummary(TypedDict):
    accuracy: NotRequired[str]
    base: NotRequired[str]
    k: NotRequired[str]
    measured_on: NotRequired[str]

class RegistryListError(TypedDict):
    code: str
    message: str
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]

class RegistryListEntry(TypedDict):
    name: str
    version: str
    bundle: Digest
    file: RegistryListEntryFile
    claims: list[Digest]
    previous: Digest | None
    sequence: int
    state: str
    cid: str
    counts: bool
    key: str
    signer: NotRequired[str]
    summary: NotRequired[RegistryListEntrySummary]
    objection: NotRequired[RegistryListError]

class RegistryListListing(TypedDict):
    name: str
    versions: list[RegistryListEntry]
    problems: list[RegistryListError]

class RegistryShowKscore(TypedDict):
    key: str
    signer: str
    kscore: Kscore

RegistryVerifyVerdict = Literal['ok', 'failed', 'could_not_look']

class RegistryVerify(TypedDict):
    verdict: RegistryVerifyVerdict
    names: int
    entries: int
    bundles: int
    problems: list[RegistryListError]
    orphans: list[Digest]

class RequestNewPack(TypedDict):
    captures: int
    kind: Literal['open', 'sealed']
    root: Digest

class RequestShow(TypedDict):
    name: str
    digest: Digest
    key: str
    signer: str | None
    nonce: str
    pack: RequestNewPack
    clauses: list[PolicyCheckClause]
    needs: list[str]

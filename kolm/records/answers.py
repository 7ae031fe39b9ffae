"""What commands answer under ``--json``, as types, like `documents`.

Written by docs/generate.py; edit schemas/ instead.
"""

from typing import Literal, NotRequired, TypedDict, final

from kolm.digest import Digest
from kolm.records.documents import Capture, Evaluation, Kscore, Lock, Receipt, Snapshot

class CaptureAddRefused(TypedDict):
    code: str
    reason: str
    where: str

class CaptureAdd(TypedDict):
    schema: Literal['urn:kolm:cli-capture-add:v1']
    captures: int
    images: int
    known: int
    refused: list[CaptureAddRefused]
    store: str
    total: int

class CaptureExport(TypedDict):
    schema: Literal['urn:kolm:cli-capture-export:v1']
    captures: int
    file: str
    format: str
    images: int
    images_folder: str | None

class CaptureImportRefused(TypedDict):
    code: str
    reason: str
    where: str
    expected: NotRequired[str]
    hint: NotRequired[str]

class CaptureImport(TypedDict):
    schema: Literal['urn:kolm:cli-capture-import:v1']
    captures: int
    images: int
    known: int
    refused: list[CaptureImportRefused]
    store: str
    total: int
    refused_file: NotRequired[str]

CaptureListCaptureSplit = Literal['train', 'validation', 'eval', None]

class CaptureListCapture(TypedDict):
    id: Digest
    images: int
    name: str | None
    prompt: str
    response: str
    split: CaptureListCaptureSplit
    tags: list[str]

class CaptureList(TypedDict):
    schema: Literal['urn:kolm:cli-capture-list:v1']
    store: str
    captures: list[CaptureListCapture]

class CaptureRemove(TypedDict):
    schema: Literal['urn:kolm:cli-capture-remove:v1']
    store: str
    captures: int
    images: int
    total: int

class CaptureShow(TypedDict):
    schema: Literal['urn:kolm:cli-capture-show:v1']
    store: str
    id: Digest
    name: str | None
    capture: Capture
    image_files: list[str]

class CaptureSnapshot(TypedDict):
    schema: Literal['urn:kolm:cli-capture-snapshot:v1']
    digest: Digest
    folder: str | None
    snapshot: Snapshot
    on_no_side: list[str]

class CaptureStats(TypedDict):
    schema: Literal['urn:kolm:cli-capture-stats:v1']
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

class CaptureVerify(TypedDict):
    schema: Literal['urn:kolm:cli-capture-verify:v1']
    store: str
    captures: int
    image_files: int

CheckFindingVerdict = Literal['ok', 'warning', 'failed']

class CheckFinding(TypedDict):
    name: str
    verdict: CheckFindingVerdict
    message: str
    family: NotRequired[str]
    code: NotRequired[str]
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]

class Check(TypedDict):
    schema: Literal['urn:kolm:cli-check:v1']
    spec: str
    passed: bool
    findings: list[CheckFinding]

CleanKeptKind = Literal['runs', 'rows', 'features']

class CleanKept(TypedDict):
    kind: CleanKeptKind
    name: str
    path: str
    size_bytes: int
    used_on: str
    freed: bool
    busy: bool

class Clean(TypedDict):
    schema: Literal['urn:kolm:cli-clean:v1']
    kept: list[CleanKept]
    freed_bytes: int

class CompileMadeFailingCase(TypedDict):
    case: Digest
    name: NotRequired[str]
    prompt: str
    reference: str
    output: str

@final
class CompileMade(TypedDict):
    schema: Literal['urn:kolm:cli-compile:v1']
    dry_run: Literal[False]
    bundle: str | None
    content_id: Digest | None
    cid: str | None
    gate_passed: bool
    state: Digest
    lock: Lock
    evaluation: Evaluation
    kscore: Kscore
    failing_cases: list[CompileMadeFailingCase]
    seconds: str
    peak_memory_bytes: int

@final
class CompileDryRun(TypedDict):
    schema: Literal['urn:kolm:cli-compile:v1']
    dry_run: Literal[True]
    lock: Lock

Compile = CompileMade | CompileDryRun

CompletionShell = Literal['bash', 'fish', 'zsh']

class Completion(TypedDict):
    schema: Literal['urn:kolm:cli-completion:v1']
    shell: CompletionShell
    script: str

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
    schema: Literal['urn:kolm:cli-env:v1']
    kolm: str
    python: str
    executable: str
    platform: str
    packages: list[EnvPackage]
    folders: list[EnvFolder]
    variables: list[EnvVariable]

class ErrorError(TypedDict):
    code: str
    message: str
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]
    docs: str

class Error(TypedDict):
    schema: Literal['urn:kolm:cli-error:v1']
    error: ErrorError

class Eval(TypedDict):
    schema: Literal['urn:kolm:cli-eval:v1']
    bundle: str
    content_id: Digest
    gate_passed: bool
    evaluation: Evaluation
    kscore: Kscore

class HelpError(TypedDict):
    code: str
    family: str
    cause: str
    remedy: str

class HelpExitCode(TypedDict):
    code: int
    meaning: str

class HelpVariable(TypedDict):
    name: str
    purpose: str
    default: str

class HelpCheck(TypedDict):
    id: str
    family: str
    question: str
    how: str
    answers: dict[str, str]
    reads: list[str]
    needs: list[str]

class Help(TypedDict):
    schema: Literal['urn:kolm:cli-help:v1']
    topic: str
    text: str
    error: NotRequired[HelpError]
    exit_codes: NotRequired[list[HelpExitCode]]
    variables: NotRequired[list[HelpVariable]]
    check: NotRequired[HelpCheck]
    page: NotRequired[str]
    pages: NotRequired[list[str]]

class Init(TypedDict):
    schema: Literal['urn:kolm:cli-init:v1']
    folder: str
    files: list[str]
    next: list[str]

class InspectMember(TypedDict):
    name: str
    digest: Digest
    bytes: int

class InspectKscore(TypedDict):
    key: str
    kscore: Kscore

class InspectClaim(TypedDict):
    predicate_type: str
    key: str

class Inspect(TypedDict):
    schema: Literal['urn:kolm:cli-inspect:v1']
    content_id: Digest
    cid: str
    members: list[InspectMember]
    receipt: Receipt
    evaluation: Evaluation
    kscores: list[InspectKscore]
    claims: list[InspectClaim]
    unpacked: NotRequired[str]

KeysExportAlgorithm = Literal['ed25519', 'p256']

class KeysExport(TypedDict):
    schema: Literal['urn:kolm:cli-keys-export:v1']
    algorithm: KeysExportAlgorithm
    key: str
    pem: str
    path: str | None

KeysListRowAlgorithm = Literal['ed25519', 'p256']

KeysListRowRole = Literal['builder', 'evaluator', 'verifier', 'publisher']

class KeysListRowRevoked(TypedDict):
    on: str
    reason: str

class KeysListRow(TypedDict):
    name: str
    key: str
    algorithm: KeysListRowAlgorithm
    roles: list[KeysListRowRole]
    names: list[str]
    signs_here: bool
    revoked: NotRequired[KeysListRowRevoked]

class KeysList(TypedDict):
    schema: Literal['urn:kolm:cli-keys-list:v1']
    keys: list[KeysListRow]

KeysNewRowAlgorithm = Literal['ed25519', 'p256']

KeysNewRowRole = Literal['builder', 'evaluator', 'verifier', 'publisher']

class KeysNewRowRevoked(TypedDict):
    on: str
    reason: str

class KeysNewRow(TypedDict):
    name: str
    key: str
    algorithm: KeysNewRowAlgorithm
    roles: list[KeysNewRowRole]
    names: list[str]
    signs_here: bool
    revoked: NotRequired[KeysNewRowRevoked]

class KeysNew(TypedDict):
    schema: Literal['urn:kolm:cli-keys-new:v1']
    keys: list[KeysNewRow]
    path: str

KeysRevokeRowAlgorithm = Literal['ed25519', 'p256']

KeysRevokeRowRole = Literal['builder', 'evaluator', 'verifier', 'publisher']

class KeysRevokeRowRevoked(TypedDict):
    on: str
    reason: str

class KeysRevokeRow(TypedDict):
    name: str
    key: str
    algorithm: KeysRevokeRowAlgorithm
    roles: list[KeysRevokeRowRole]
    names: list[str]
    signs_here: bool
    revoked: NotRequired[KeysRevokeRowRevoked]

class KeysRevoke(TypedDict):
    schema: Literal['urn:kolm:cli-keys-revoke:v1']
    keys: list[KeysRevokeRow]

KeysRotateRowAlgorithm = Literal['ed25519', 'p256']

KeysRotateRowRole = Literal['builder', 'evaluator', 'verifier', 'publisher']

class KeysRotateRowRevoked(TypedDict):
    on: str
    reason: str

class KeysRotateRow(TypedDict):
    name: str
    key: str
    algorithm: KeysRotateRowAlgorithm
    roles: list[KeysRotateRowRole]
    names: list[str]
    signs_here: bool
    revoked: NotRequired[KeysRotateRowRevoked]

class KeysRotate(TypedDict):
    schema: Literal['urn:kolm:cli-keys-rotate:v1']
    keys: list[KeysRotateRow]
    path: str

KeysTrustRowAlgorithm = Literal['ed25519', 'p256']

KeysTrustRowRole = Literal['builder', 'evaluator', 'verifier', 'publisher']

class KeysTrustRowRevoked(TypedDict):
    on: str
    reason: str

class KeysTrustRow(TypedDict):
    name: str
    key: str
    algorithm: KeysTrustRowAlgorithm
    roles: list[KeysTrustRowRole]
    names: list[str]
    signs_here: bool
    revoked: NotRequired[KeysTrustRowRevoked]

class KeysTrust(TypedDict):
    schema: Literal['urn:kolm:cli-keys-trust:v1']
    keys: list[KeysTrustRow]

class RegistryInit(TypedDict):
    schema: Literal['urn:kolm:cli-registry-init:v1']
    registry: str

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

class RegistryList(TypedDict):
    schema: Literal['urn:kolm:cli-registry-list:v1']
    names: list[RegistryListListing]

class RegistryPublish(TypedDict):
    schema: Literal['urn:kolm:cli-registry-publish:v1']
    name: str
    version: str
    content_id: Digest
    cid: str
    file: Digest
    entry: Digest
    sequence: int
    new: bool

class RegistryPull(TypedDict):
    schema: Literal['urn:kolm:cli-registry-pull:v1']
    name: str
    version: str
    content_id: Digest
    cid: str
    path: str

class RegistrySearchEntryFile(TypedDict):
    digest: Digest
    size: int

class RegistrySearchEntrySummary(TypedDict):
    accuracy: NotRequired[str]
    base: NotRequired[str]
    k: NotRequired[str]
    measured_on: NotRequired[str]

class RegistrySearchError(TypedDict):
    code: str
    message: str
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]

class RegistrySearchEntry(TypedDict):
    name: str
    version: str
    bundle: Digest
    file: RegistrySearchEntryFile
    claims: list[Digest]
    previous: Digest | None
    sequence: int
    state: str
    cid: str
    counts: bool
    key: str
    signer: NotRequired[str]
    summary: NotRequired[RegistrySearchEntrySummary]
    objection: NotRequired[RegistrySearchError]

class RegistrySearchListing(TypedDict):
    name: str
    versions: list[RegistrySearchEntry]
    problems: list[RegistrySearchError]

class RegistrySearch(TypedDict):
    schema: Literal['urn:kolm:cli-registry-search:v1']
    names: list[RegistrySearchListing]

class RegistryShowEntryFile(TypedDict):
    digest: Digest
    size: int

class RegistryShowError(TypedDict):
    code: str
    message: str
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]

class RegistryShowEntry(TypedDict):
    name: str
    version: str
    bundle: Digest
    file: RegistryShowEntryFile
    claims: list[Digest]
    previous: Digest | None
    sequence: int
    state: str
    cid: str
    counts: bool
    key: str
    signer: NotRequired[str]
    objection: NotRequired[RegistryShowError]

class RegistryShowKscore(TypedDict):
    signer: str
    kscore: Kscore

class RegistryShow(TypedDict):
    schema: Literal['urn:kolm:cli-registry-show:v1']
    entry: RegistryShowEntry
    receipt: Receipt
    evaluation: Evaluation | None
    kscores: list[RegistryShowKscore]
    claims_not_believed: int

RegistryVerifyVerdict = Literal['ok', 'failed', 'could_not_look']

class RegistryVerifyError(TypedDict):
    code: str
    message: str
    where: NotRequired[str]
    expected: NotRequired[str]
    found: NotRequired[str]
    hint: NotRequired[str]

class RegistryVerify(TypedDict):
    schema: Literal['urn:kolm:cli-registry-verify:v1']
    verdict: RegistryVerifyVerdict
    names: int
    entries: int
    bundles: int
    problems: list[RegistryVerifyError]
    orphans: list[Digest]

RunFinish = Literal['stop', 'length']

class Run(TypedDict):
    schema: Literal['urn:kolm:cli-run:v1']
    content_id: Digest
    prompt: str
    output: str
    tokens: int
    finish: RunFinish
    cut_tokens: int
    below_gate: bool

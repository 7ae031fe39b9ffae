"""The documents as types. For type checkers alone: at run time nothing needs them.

Written by docs/generate.py; edit schemas/ instead. What the type does not say of a text or a number,
the schema does.
"""

from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict, final

from kolm.digest import Digest

class CaptureImage(TypedDict):
    bytes: int
    file: Digest
    height: int
    media_type: Literal['image/png', 'image/jpeg', 'image/webp']
    orientation: int
    pixels: Digest
    width: int

class CapturePartText(TypedDict):
    text: str
    type: Literal['text']

class CapturePartImage(TypedDict):
    image: int
    type: Literal['image']

CapturePart = CapturePartText | CapturePartImage

class CaptureMessage(TypedDict):
    role: Literal['system', 'user', 'assistant']
    content: list[CapturePart]

class CaptureSource(TypedDict):
    kind: str
    name: str

class CaptureCorrection(TypedDict):
    start: int
    end: int
    replacement: str

class Capture(TypedDict):
    images: list[CaptureImage]
    license: str
    messages: list[CaptureMessage]
    source: CaptureSource
    split: Literal['train', 'validation', 'eval', None]
    tags: list[str]
    references: NotRequired[list[str]]
    rejected: NotRequired[str]
    corrections: NotRequired[list[CaptureCorrection]]

class CheckpointPatience(TypedDict):
    best: str | None
    since: int

class Checkpoint(TypedDict):
    gradient_steps: dict[str, int]
    patience: CheckpointPatience | None
    schema: Literal['urn:kolm:checkpoint:v1']
    step: int
    tensors: Digest
    updates: dict[str, int]

class CorpusDemands(TypedDict):
    option: Literal['policy', 'request']
    file: str

class CorpusBundle(TypedDict):
    file: str
    verdict: Literal['accepted', 'not_accepted', 'not_a_bundle']
    demands: NotRequired[CorpusDemands]
    checks: list[str]
    only_by: Literal[None, 'rescore', 'captures', 'base', 'replay', 'nothing']

class Corpus(TypedDict):
    schema: Literal['urn:kolm:corpus:v1']
    trust: str
    bundles: list[CorpusBundle]

class Declared(TypedDict):
    provider: NotRequired[str]
    contact: NotRequired[str]
    representative: NotRequired[str]
    intended_use: NotRequired[str]
    integration: NotRequired[str]
    acceptable_use: NotRequired[str]
    limitations: NotRequired[str]
    risks: NotRequired[str]
    license: NotRequired[str]
    release_date: NotRequired[str]
    distribution: NotRequired[str]
    design: NotRequired[str]
    data_description: NotRequired[str]
    data_sources: NotRequired[str]
    data_collection: NotRequired[str]
    data_curation: NotRequired[str]
    data_license: NotRequired[str]
    personal_data: NotRequired[str]
    copyright: NotRequired[str]
    illegal_content: NotRequired[str]
    energy: NotRequired[str]
    base_compute: NotRequired[str]
    security_contact: NotRequired[str]

class LockBaseFile(TypedDict):
    name: str
    digest: Digest

class EntryFile(TypedDict):
    digest: Digest
    size: int

class Entry(TypedDict):
    name: str
    version: str
    bundle: Digest
    file: EntryFile
    claims: list[Digest]
    previous: Digest | None
    sequence: int
    state: str

class MetricAnls(TypedDict):
    kind: Literal['anls']
    threshold: str

class MetricChoice(TypedDict):
    kind: Literal['choice']
    choices: list[str]

class MetricCiderD(TypedDict):
    kind: Literal['cider_d']

class MetricContains(TypedDict):
    kind: Literal['contains']

class MetricExact(TypedDict):
    kind: Literal['exact']

class MetricIou(TypedDict):
    kind: Literal['iou']
    threshold: str

class MetricJsonF1(TypedDict):
    kind: Literal['json_f1']

class MetricPope(TypedDict):
    kind: Literal['pope']

class MetricRegex(TypedDict):
    kind: Literal['regex']
    pattern: str

class MetricRelaxed(TypedDict):
    kind: Literal['relaxed']
    tolerance: str

class MetricRougeL(TypedDict):
    kind: Literal['rouge_l']

class MetricVqa(TypedDict):
    kind: Literal['vqa']

class EvaluationInterval(TypedDict):
    method: Literal['wilson']
    level: Literal['0.95']
    low: str
    high: str

class EvaluationAccuracy(TypedDict):
    accuracy: str
    interval: EvaluationInterval

class EvaluationClusteredMean(TypedDict):
    design_effect: str
    low: str
    high: str

class EvaluationClustered(TypedDict):
    method: Literal['wilson-clustered']
    level: Literal['0.95']
    clusters: int
    largest: int
    adapter: EvaluationClusteredMean
    base: EvaluationClusteredMean
    blind: EvaluationClusteredMean | None

EvaluationFigureName = Literal['exact_records', 'f1', 'precision', 'recall', 'yes_ratio']

class EvaluationFigure(TypedDict):
    name: EvaluationFigureName
    adapter: str | None
    base: str | None
    blind: str | None

class EvaluationMajority(TypedDict):
    answer: str
    accuracy: str
    interval: EvaluationInterval

class EvaluationPaired(TypedDict):
    adapter_only: int
    base_only: int
    p: str
    method: Literal['mcnemar-exact', 'sign-exact']

EvaluationSliceKind = Literal['answer_type', 'image_size', 'tag']

class EvaluationSlice(TypedDict):
    kind: EvaluationSliceKind
    value: str
    cases: int
    accuracy: str
    interval: EvaluationInterval

EvaluationFloorName = Literal['accuracy_lower_bound', 'clustered_lower_bound', 'worst_slice', 'better_than_base_p', 'above_blind', 'above_majority', 'f1']

class EvaluationFloor(TypedDict):
    name: EvaluationFloorName
    demanded: str | None
    observed: str | None
    passed: bool | None

class EvaluationPreference(TypedDict):
    cases: int
    adapter: EvaluationAccuracy
    base: EvaluationAccuracy
    implicit: EvaluationAccuracy
    margin: str

class Evaluation(TypedDict):
    schema: Literal['urn:kolm:evaluation:v1']
    metric: MetricAnls | MetricChoice | MetricCiderD | MetricContains | MetricExact | MetricIou | MetricJsonF1 | MetricPope | MetricRegex | MetricRelaxed | MetricRougeL | MetricVqa
    cases: int
    covered: int
    distinct_questions: int
    cut_prompts: int
    images: int
    adapter: EvaluationAccuracy
    base: EvaluationAccuracy
    blind: EvaluationAccuracy | None
    clustered: EvaluationClustered
    figures: list[EvaluationFigure]
    majority: EvaluationMajority
    swapped: EvaluationAccuracy
    paired: EvaluationPaired
    slices: list[EvaluationSlice]
    floors: list[EvaluationFloor]
    floors_passed: bool
    preference: NotRequired[EvaluationPreference]

class ExamplesRowKeptRejected(TypedDict):
    corrected: NotRequired[int]
    labels: int
    tokens: int

ExamplesRowSide = Literal['train', 'validation']

@final
class ExamplesRowKept(TypedDict):
    corrected: NotRequired[int]
    cut: int
    image_tokens: NotRequired[int]
    labels: int
    rejected: NotRequired[ExamplesRowKeptRejected]
    side: ExamplesRowSide
    tokens: int

ExamplesRowDroppedDropped = Literal['no_labels', 'over_budget', 'same_answers', 'too_many_images']

@final
class ExamplesRowDropped(TypedDict):
    dropped: ExamplesRowDroppedDropped
    side: ExamplesRowSide

ExamplesRow = ExamplesRowKept | ExamplesRowDropped

class JudgementRowJudge(TypedDict):
    kind: Literal['base', 'bundle', 'endpoint']
    name: str
    digest: Digest | None
    url: str | None

class JudgementRowScores(TypedDict):
    accuracy: int
    completeness: int
    relevance: int

class JudgementRow(TypedDict):
    answer: Literal['response', 'rejected', 'sample']
    capture: Digest
    finish: str
    judge: JudgementRowJudge
    prompt: str
    reference: bool
    reply: str
    rubric: str
    said_by: str
    scores: JudgementRowScores | None
    text: str

class KscoreInputs(TypedDict):
    accuracy: str
    coverage: str
    size_bytes: int
    p50_latency_us: int
    p95_latency_us: int
    latency_calls: int
    cost_usd_per_call: str

class KscoreAxes(TypedDict):
    A: str
    S: str
    L: str
    C: str
    V: str

class KscoreGate(TypedDict):
    k: str | None
    k_passed: bool | None
    floors_passed: bool
    verdict: Literal['passed', 'failed']

class KscorePackOverlap(TypedDict):
    cases: int
    seen_cases: int
    captures: int
    images: int
    near_twins: int | None

class KscorePack(TypedDict):
    root: Digest
    owner: str
    overlap: NotRequired[KscorePackOverlap]

class KscoreRivalWho(TypedDict):
    kind: Literal['base', 'endpoint']
    name: str
    digest: Digest | None
    url: str | None
    said_by: list[str]
    instruction: str

class KscoreRivalFigure(TypedDict):
    name: Literal['exact_records', 'f1', 'precision', 'recall', 'yes_ratio']
    value: str | None

class KscoreRivalPaired(TypedDict):
    bundle_only: int
    rival_only: int
    p: str
    method: Literal['mcnemar-exact', 'sign-exact']

class KscoreRival(TypedDict):
    who: KscoreRivalWho
    answers: Digest
    cases: int
    covered: int
    accuracy: str
    interval: EvaluationInterval
    clustered: EvaluationClusteredMean
    figures: list[KscoreRivalFigure]
    paired: KscoreRivalPaired

class KscoreMachine(TypedDict):
    cpu: str
    threads: int
    device: str
    memory_bytes: int

class Kscore(TypedDict):
    schema: Literal['urn:kolm:kscore:v1']
    spec: Literal['kscore/v1']
    inputs: KscoreInputs
    axes: KscoreAxes
    composite: str
    gate: KscoreGate
    evaluation: Digest
    pack: KscorePack
    rivals: NotRequired[list[KscoreRival]]
    measured_on: str
    machine: KscoreMachine

class LockBaseTemplate(TypedDict):
    source: Literal['base', 'family']
    digest: Digest

class LockBase(TypedDict):
    id: str
    family: str
    revision: str | None
    root: Digest
    tensors: int
    parameters: int
    dtype: str
    license: str
    papers: list[str]
    template: LockBaseTemplate
    files: list[LockBaseFile]

class LockData(TypedDict):
    snapshot: Digest
    root: Digest
    training: Digest
    cases: Digest

class LockTrainObjectiveDdpo(TypedDict):
    kind: Literal['ddpo']
    beta: str
    gamma: str
    match_tokens: int
    reference: Literal['start', 'base']

class LockTrainObjectiveDpo(TypedDict):
    kind: Literal['dpo']
    beta: str
    label_smoothing: str
    reference: Literal['start', 'base']

class LockTrainObjectiveIpo(TypedDict):
    kind: Literal['ipo']
    beta: str
    reference: Literal['start', 'base']

class LockTrainObjectiveKto(TypedDict):
    kind: Literal['kto']
    beta: str
    desirable_weight: str
    undesirable_weight: str
    reference: Literal['start', 'base']

class LockTrainObjectiveOrpo(TypedDict):
    kind: Literal['orpo']
    odds_weight: str

class LockTrainObjectiveSft(TypedDict):
    kind: Literal['sft']

class LockTrainObjectiveSimpo(TypedDict):
    kind: Literal['simpo']
    beta: str
    gamma: str

class LockTrainMethodBottleneck(TypedDict):
    kind: Literal['bottleneck']
    size: int
    activation: Literal['gelu', 'relu']
    targets: list[str]
    target_expression: str

class LockTrainMethodIa3(TypedDict):
    kind: Literal['ia3']
    targets: list[str]
    feedforward: list[str]
    target_expression: str
    feedforward_expression: str | None

class LockTrainMethodLora(TypedDict):
    kind: Literal['lora']
    rank: int
    alpha: int
    dropout: str
    rslora: bool
    dora: bool
    targets: list[str]
    target_expression: str
    experts: NotRequired[list[str]]
    expert_expression: NotRequired[str]

class LockTrainMethodPTuning(TypedDict):
    kind: Literal['p_tuning']
    virtual_tokens: int
    encoder: Literal['lstm', 'mlp']
    encoder_size: int
    targets: list[Literal['embed_tokens']]
    target_expression: str

class LockTrainMethodPrefix(TypedDict):
    kind: Literal['prefix']
    virtual_tokens: int
    targets: list[Literal['v_proj']]
    target_expression: str

class LockTrainMethodPrompt(TypedDict):
    kind: Literal['prompt']
    virtual_tokens: int
    text_alone: bool
    targets: list[Literal['embed_tokens']]
    target_expression: str

class LockTrainFreeze(TypedDict):
    vision: bool | None
    projector_after_steps: int | None

class LockTrainValidationAnswers(TypedDict):
    cases: int
    max_new_tokens: int
    metric: MetricAnls | MetricChoice | MetricCiderD | MetricContains | MetricExact | MetricIou | MetricJsonF1 | MetricPope | MetricRegex | MetricRelaxed | MetricRougeL | MetricVqa

class LockTrainValidation(TypedDict):
    every_steps: int
    answers: LockTrainValidationAnswers | None

class LockTrainEarlyStopping(TypedDict):
    patience: int
    on: Literal['loss', 'metric']

class LockTrainContinues(TypedDict):
    state: Digest
    chain: Digest

class ReceiptVlmTrainQuantisation(TypedDict):
    kind: Literal['fp4', 'nf4']
    double: bool
    block_size: int
    target_expression: str

class LockTrain(TypedDict):
    objective: LockTrainObjectiveDdpo | LockTrainObjectiveDpo | LockTrainObjectiveIpo | LockTrainObjectiveKto | LockTrainObjectiveOrpo | LockTrainObjectiveSft | LockTrainObjectiveSimpo
    method: LockTrainMethodBottleneck | LockTrainMethodIa3 | LockTrainMethodLora | LockTrainMethodPTuning | LockTrainMethodPrefix | LockTrainMethodPrompt
    freeze: LockTrainFreeze
    projector: Literal['full', 'lora', 'frozen', None]
    learning_rate: str
    projector_learning_rate: str
    optimizer: Literal['adamw', 'adamw_8bit', 'paged_adamw_8bit']
    schedule: Literal['cosine', 'linear', 'constant']
    warmup_steps: int
    weight_decay: str
    max_grad_norm: str
    steps: int
    batch_size: int
    accumulation: int
    max_seq_length: int
    max_images: int
    shrink_images: bool
    segments: int
    validation: LockTrainValidation | None
    early_stopping: LockTrainEarlyStopping | None
    continues: LockTrainContinues | None
    precision: Literal['float32', 'bfloat16']
    attention: Literal['sdpa', 'eager']
    quantisation: ReceiptVlmTrainQuantisation | None

class LockEvaluationFloors(TypedDict):
    accuracy_lower_bound: str | None
    clustered_lower_bound: str | None
    worst_slice: str | None
    worst_slice_minimum_cases: int
    better_than_base_p: str | None
    above_blind: str | None
    above_majority: str | None
    f1: str | None
    k: str | None

class LockEvaluationCostLocal(TypedDict):
    kind: Literal['local']

class LockEvaluationCostPerToken(TypedDict):
    kind: Literal['per_token']
    usd_per_1000_tokens: str

class LockEvaluation(TypedDict):
    metric: MetricAnls | MetricChoice | MetricCiderD | MetricContains | MetricExact | MetricIou | MetricJsonF1 | MetricPope | MetricRegex | MetricRelaxed | MetricRougeL | MetricVqa
    pack: NotRequired[Digest]
    max_new_tokens: int
    batch_size: int
    floors: LockEvaluationFloors
    cost: LockEvaluationCostLocal | LockEvaluationCostPerToken

class LockPublish(TypedDict):
    text: bool
    images: bool
    checkpoints: Literal['hashes', 'bundle', 'registry']

class LockRates(TypedDict):
    source: Literal['spec', 'recommended']
    recommended: str
    reason: str

class LockSeeds(TypedDict):
    initialisation: Digest
    order: Digest

class LockEnvironmentAccelerator(TypedDict):
    name: str
    capability: str
    driver: str
    runtime: str
    attention: list[str]

LockEnvironment = TypedDict('LockEnvironment', {
    'class': Digest,
    'python': str,
    'torch': str,
    'transformers': str,
    'peft': str,
    'tokenizers': str,
    'safetensors': str,
    'numpy': str,
    'pillow': str,
    'kolm': str,
    'device': str,
    'cpu': str,
    'isa': str,
    'capability': str,
    'arithmetic': Digest,
    'threads': int,
    'profile': Literal['strict'],
    'bitsandbytes': NotRequired[str],
    'accelerator': NotRequired[LockEnvironmentAccelerator],
    'world_size': int,
})

class Lock(TypedDict):
    schema: Literal['urn:kolm:lock:v1']
    name: str
    base: LockBase
    data: LockData
    train: LockTrain
    evaluation: LockEvaluation
    publish: LockPublish
    rates: LockRates
    dossier: NotRequired[Declared]
    request: Digest | None
    nonce: str
    seeds: LockSeeds
    environment: LockEnvironment

ManifestDescriptorAnnotations = TypedDict('ManifestDescriptorAnnotations', {
    'org.cncf.model.filepath': NotRequired[str],
    'org.opencontainers.image.title': str,
})

class ManifestDescriptor(TypedDict):
    annotations: ManifestDescriptorAnnotations
    digest: Digest
    mediaType: str
    size: int

class Manifest(TypedDict):
    artifactType: str
    config: ManifestDescriptor
    layers: list[ManifestDescriptor]
    mediaType: Literal['application/vnd.oci.image.manifest.v1+json']
    schemaVersion: Literal[2]

ModulesRowDtype = Literal['BOOL', 'U8', 'I8', 'F8_E4M3', 'F8_E5M2', 'I16', 'U16', 'F16', 'BF16', 'I32', 'U32', 'F32', 'I64', 'U64', 'F64']

class ModulesRowAdapter(TypedDict):
    after: Digest
    before: Digest
    dtype: ModulesRowDtype
    elements: int
    gradient_steps: int
    moments: NotRequired[Literal['U8']]
    shape: list[int]
    tensor: str

class ModulesRowBuffer(TypedDict):
    after: Digest
    before: Digest
    dtype: ModulesRowDtype
    name: str
    shape: list[int]

class ModulesRowParameterQuantised(TypedDict):
    after: Digest
    before: Digest
    block_size: int
    double: bool
    kind: Literal['fp4', 'nf4']

class ModulesRowParameter(TypedDict):
    after: Digest
    alias_of: NotRequired[str]
    before: Digest
    checkpoint: list[str]
    dtype: ModulesRowDtype
    elements: int
    gradient_steps: int
    name: str
    quantised: NotRequired[ModulesRowParameterQuantised]
    requires_grad: bool
    shape: list[int]

ModulesRowRole = Literal['vision', 'audio', 'projector', 'language', 'head', 'other']

ModulesRowState = Literal['frozen', 'adapted', 'trained']

ModulesRow = TypedDict('ModulesRow', {
    'adapter': list[ModulesRowAdapter],
    'buffers': list[ModulesRowBuffer],
    'class': str,
    'module': str,
    'parameters': list[ModulesRowParameter],
    'role': ModulesRowRole,
    'state': ModulesRowState,
    'weight_norm': str | None,
})

class PairsCounts(TypedDict):
    captures: int
    samples: int
    pairs: int
    cut: int
    equal: int
    unusable: int
    unscored: int
    no_candidates: int
    none_worse: int
    longer: int

class PairsJudge(TypedDict):
    kind: Literal['base', 'bundle', 'endpoint']
    name: str
    digest: Digest | None
    url: str | None
    rubric: str
    reference: bool

class PairsModel(TypedDict):
    kind: Literal['base', 'bundle']
    name: str
    digest: Digest

class PairsSettings(TypedDict):
    batch_size: int
    max_new_tokens: int
    max_seq_length: int | None
    noise: int
    samples: int
    seed: int
    temperature: str

class Pairs(TypedDict):
    schema: Literal['urn:kolm:pairs:v1']
    better: Literal['reference', 'sample']
    by: dict[str, str | str | list[str]]
    captures: Digest
    counts: PairsCounts
    environment: Digest
    judge: PairsJudge | None
    model: PairsModel
    settings: PairsSettings

class PolicyClaimStamped(TypedDict):
    after: NotRequired[str]
    before: NotRequired[str]

class PolicyClaim(TypedDict):
    predicate: Literal['https://slsa.dev/provenance/v1', 'urn:kolm:modules:v1', 'urn:kolm:compute:v1', 'urn:kolm:kscore:v1', 'https://in-toto.io/attestation/test-result/v0.1', 'https://slsa.dev/verification_summary/v1', 'https://b7n0de.com/attestation/eval-result/v0.2', 'urn:kolm:endorsement:v1']
    role: Literal['builder', 'evaluator', 'verifier', 'endorser']
    threshold: int
    keys: NotRequired[list[str]]
    stamped: NotRequired[PolicyClaimStamped]

class PolicyPack(TypedDict):
    evaluator: str
    pack: Digest

class Policy(TypedDict):
    schema: Literal['urn:kolm:policy:v1']
    name: str
    claims: list[PolicyClaim]
    same_signer: NotRequired[bool]
    gate: NotRequired[Literal['passed', 'any']]
    text: NotRequired[Literal['published', 'any']]
    base_roots: NotRequired[list[Digest]]
    eval_pack_roots: NotRequired[list[Digest]]
    environment_classes: NotRequired[list[Digest]]
    minimum_eval_cases: NotRequired[int]
    lower_bound_above: NotRequired[list[Literal['base', 'blind', 'majority', 'swapped']]]
    families: NotRequired[list[str]]
    methods: NotRequired[list[str]]
    metrics: NotRequired[list[Literal['anls', 'choice', 'cider_d', 'contains', 'exact', 'iou', 'json_f1', 'pope', 'regex', 'relaxed', 'rouge_l', 'vqa'] | MetricAnls | MetricChoice | MetricCiderD | MetricContains | MetricExact | MetricIou | MetricJsonF1 | MetricPope | MetricRegex | MetricRelaxed | MetricRougeL | MetricVqa]]
    freeze: NotRequired[list[str]]
    floors: NotRequired[dict[str, str]]
    packs: NotRequired[list[PolicyPack]]
    licenses: NotRequired[list[str]]
    dossier: NotRequired[list[Literal['provider', 'contact', 'representative', 'intended_use', 'integration', 'acceptable_use', 'limitations', 'risks', 'license', 'release_date', 'distribution', 'design', 'data_description', 'data_sources', 'data_collection', 'data_curation', 'data_license', 'personal_data', 'copyright', 'illegal_content', 'energy', 'base_compute', 'security_contact']]]
    measurements: NotRequired[Literal['worst'] | str]
    reach: NotRequired[list[Literal['delta_scope', 'base_identity', 'process', 'scores']]]

class PredicateComputeFlops(TypedDict):
    adapter: str
    attention: str
    head: str
    language: str
    projector: str
    reference: str
    total: str
    tower: str

@final
class SpentEnergyMetered(TypedDict):
    joules: str
    meters: list[Literal['nvml', 'rapl']]

@final
class SpentEnergyUnmetered(TypedDict):
    absent: str

class Spent(TypedDict):
    energy: SpentEnergyMetered | SpentEnergyUnmetered
    from_step: int
    observed_peak_bytes: int
    processes: NotRequired[int]
    seconds: str

class PredicateComputeModifierTest(TypedDict):
    base_flops: str | None
    exceeds: bool
    limit: str
    words: str

class PredicateCompute(TypedDict):
    flops: PredicateComputeFlops
    measured: Spent
    modifier_test: PredicateComputeModifierTest
    predicted_peak_bytes: int
    shared_prompts: bool

class PredicateEndorsement(TypedDict):
    claims: list[Digest]
    endorsed_on: str
    policy: Digest

class PredicateEvalResultEvaluator(TypedDict):
    id: str

class PredicateEvalResultNamedVersion(TypedDict):
    name: str
    version: str

class PredicateEvalResultClaim(TypedDict):
    metric: str
    comparator: Literal['>=', '>']
    threshold: str
    passed: bool

class StatementSubjectDigest(TypedDict):
    sha256: str

class PredicateEvalResultModel(TypedDict):
    digest: StatementSubjectDigest

class PredicateEvalResultDatasetDigest(TypedDict):
    merkleSha256: str

class PredicateEvalResultDataset(TypedDict):
    digest: PredicateEvalResultDatasetDigest

class PredicateEvalResult(TypedDict):
    evaluator: PredicateEvalResultEvaluator
    evaluatedAt: str
    suite: PredicateEvalResultNamedVersion
    claims: list[PredicateEvalResultClaim]
    sampleSize: int
    model: PredicateEvalResultModel
    dataset: PredicateEvalResultDataset
    assuranceLevel: Literal['self_attested', 'reproduced']
    subjectProfile: Literal['public-model']
    harness: PredicateEvalResultNamedVersion

class PredicateModules(TypedDict):
    base: Digest
    modules: Digest
    words: list[str]

class PredicateProvenanceBuildDefinitionExternalParameters(TypedDict):
    name: str
    spec: Digest

class PredicateProvenanceBuildDefinitionInternalParameters(TypedDict):
    lock: Digest
    environment: dict[str, Digest | LockEnvironmentAccelerator | str | int | bool | None]

class PredicateProvenanceBuildDefinitionResolvedDependencyDigest(TypedDict):
    merkleSha256: str
    sha256: NotRequired[str]

class PredicateProvenanceBuildDefinitionResolvedDependency(TypedDict):
    name: Literal['base', 'snapshot']
    digest: PredicateProvenanceBuildDefinitionResolvedDependencyDigest
    annotations: NotRequired[PredicateEvalResultEvaluator]

class PredicateProvenanceBuildDefinition(TypedDict):
    buildType: Literal['urn:kolm:compile:v1']
    externalParameters: PredicateProvenanceBuildDefinitionExternalParameters
    internalParameters: PredicateProvenanceBuildDefinitionInternalParameters
    resolvedDependencies: list[PredicateProvenanceBuildDefinitionResolvedDependency]

class PredicateProvenanceRunDetailsBuilderVersion(TypedDict):
    kolm: str

class PredicateProvenanceRunDetailsBuilder(TypedDict):
    id: str
    version: PredicateProvenanceRunDetailsBuilderVersion

class PredicateProvenanceRunDetailsMetadata(TypedDict):
    startedOn: str
    finishedOn: str

class PredicateProvenanceRunDetailsByproduct(TypedDict):
    name: Literal['measured']
    annotations: dict[str, str | int]

class PredicateProvenanceRunDetails(TypedDict):
    builder: PredicateProvenanceRunDetailsBuilder
    metadata: PredicateProvenanceRunDetailsMetadata
    byproducts: list[PredicateProvenanceRunDetailsByproduct]

class PredicateProvenance(TypedDict):
    buildDefinition: PredicateProvenanceBuildDefinition
    runDetails: PredicateProvenanceRunDetails

class PredicateTestResultConfiguration(TypedDict):
    name: str
    uri: NotRequired[str]
    digest: StatementSubjectDigest

class PredicateTestResult(TypedDict):
    result: Literal['PASSED', 'FAILED']
    configuration: list[PredicateTestResultConfiguration]
    passedTests: list[str]
    warnedTests: list[object]
    failedTests: list[str]

class PredicateVerificationSummaryPolicy(TypedDict):
    uri: str
    digest: StatementSubjectDigest

class PredicateVerificationSummaryInputAttestation(TypedDict):
    uri: NotRequired[str]
    digest: StatementSubjectDigest

class PredicateVerificationSummaryUrnKolmReplayV1(TypedDict):
    nonce: Digest
    segments: int
    equal: list[int]
    differing: list[int]

PredicateVerificationSummaryVerifiedLevel = Literal['KOLM_DELTA_SCOPE', 'KOLM_BASE_IDENTITY', 'KOLM_PROCESS', 'KOLM_SCORES']

PredicateVerificationSummary = TypedDict('PredicateVerificationSummary', {
    'verifier': PredicateProvenanceRunDetailsBuilder,
    'timeVerified': str,
    'resourceUri': str,
    'policy': PredicateVerificationSummaryPolicy,
    'inputAttestations': NotRequired[list[PredicateVerificationSummaryInputAttestation]],
    'urn:kolm:replay:v1': NotRequired[PredicateVerificationSummaryUrnKolmReplayV1],
    'verificationResult': Literal['PASSED', 'FAILED'],
    'verifiedLevels': list[PredicateVerificationSummaryVerifiedLevel],
})

PredictionsRowOutcomeFinish = Literal['stop', 'length']

class PredictionsRowOutcome(TypedDict):
    output: str
    tokens: int
    finish: PredictionsRowOutcomeFinish
    score: str
    covered: bool

class PredictionsRowLikelihoods(TypedDict):
    chosen: str
    rejected: str

class PredictionsRowPreference(TypedDict):
    adapter: PredictionsRowLikelihoods
    base: PredictionsRowLikelihoods

class PredictionsRow(TypedDict):
    case: Digest
    batch: int
    cut: int
    adapter: PredictionsRowOutcome
    base: PredictionsRowOutcome
    blind: PredictionsRowOutcome | None
    preference: NotRequired[PredictionsRowPreference]

class ReceiptBase(TypedDict):
    family: str
    id: str
    root: Digest

class ReceiptRoleCount(TypedDict):
    frozen: int
    modules: int
    parameters: int
    trained: int

class ReceiptCounts(TypedDict):
    audio: ReceiptRoleCount
    head: ReceiptRoleCount
    language: ReceiptRoleCount
    other: ReceiptRoleCount
    projector: ReceiptRoleCount
    vision: ReceiptRoleCount

class ReceiptMember(TypedDict):
    digest: Digest
    name: str

class ReceiptTrace(TypedDict):
    chain: Digest
    segments: int
    state_first: Digest
    state_last: Digest
    steps: int

class ReceiptVlmTrainMethodBottleneck(TypedDict):
    kind: Literal['bottleneck']
    bottleneck_activation: Literal['gelu', 'relu']
    bottleneck_size: int
    bottleneck_target_expression: str
    bottleneck_targets: list[str]

class ReceiptVlmTrainMethodIa3(TypedDict):
    kind: Literal['ia3']
    ia3_feedforward: list[str]
    ia3_feedforward_expression: str | None
    ia3_target_expression: str
    ia3_targets: list[str]

class ReceiptVlmTrainMethodLora(TypedDict):
    kind: Literal['lora']
    lora_alpha: int
    lora_dropout: str
    lora_r: int
    lora_target_expression: str
    lora_targets: list[str]
    use_dora: bool
    use_rslora: bool
    lora_experts: NotRequired[list[str]]

class ReceiptVlmTrainMethodPTuning(TypedDict):
    kind: Literal['p_tuning']
    p_tuning_encoder: Literal['lstm', 'mlp']
    p_tuning_encoder_size: int
    p_tuning_target_expression: str
    p_tuning_targets: list[Literal['embed_tokens']]
    p_tuning_virtual_tokens: int

class ReceiptVlmTrainMethodPrefix(TypedDict):
    kind: Literal['prefix']
    prefix_target_expression: str
    prefix_targets: list[Literal['v_proj']]
    prefix_virtual_tokens: int

class ReceiptVlmTrainMethodPrompt(TypedDict):
    kind: Literal['prompt']
    prompt_target_expression: str
    prompt_targets: list[Literal['embed_tokens']]
    prompt_text_alone: bool
    prompt_virtual_tokens: int

class ReceiptVlmTrainObjectiveDpoLastSegment(TypedDict):
    margin: str
    pairs: int
    preferred: int

class ReceiptVlmTrainObjectiveDdpo(TypedDict):
    kind: Literal['ddpo']
    beta: str
    gamma: str
    match_tokens: int
    reference: Literal['start', 'base']
    last_segment: ReceiptVlmTrainObjectiveDpoLastSegment

class ReceiptVlmTrainObjectiveDpo(TypedDict):
    kind: Literal['dpo']
    beta: str
    label_smoothing: str
    reference: Literal['start', 'base']
    last_segment: ReceiptVlmTrainObjectiveDpoLastSegment

class ReceiptVlmTrainObjectiveIpo(TypedDict):
    kind: Literal['ipo']
    beta: str
    reference: Literal['start', 'base']
    last_segment: ReceiptVlmTrainObjectiveDpoLastSegment

class ReceiptVlmTrainObjectiveKto(TypedDict):
    kind: Literal['kto']
    beta: str
    desirable_weight: str
    undesirable_weight: str
    reference: Literal['start', 'base']
    last_segment: ReceiptVlmTrainObjectiveDpoLastSegment

class ReceiptVlmTrainObjectiveOrpo(TypedDict):
    kind: Literal['orpo']
    odds_weight: str
    last_segment: ReceiptVlmTrainObjectiveDpoLastSegment

class ReceiptVlmTrainObjectiveSimpo(TypedDict):
    kind: Literal['simpo']
    beta: str
    gamma: str
    last_segment: ReceiptVlmTrainObjectiveDpoLastSegment

class ReceiptVlmTrainOptimizer(TypedDict):
    elements_32bit: int
    elements_8bit: int
    kind: Literal['adamw', 'adamw_8bit', 'paged_adamw_8bit']
    library: str
    paged: bool

class ReceiptVlmTrainTemplate(TypedDict):
    digest: Digest
    source: Literal['base', 'family']

class ReceiptVlmTrain(TypedDict):
    adapter_bytes: int
    base_parameters: int
    cut_prompts: int
    dropped_examples: int
    freeze_vision: bool | None
    frozen_modules: list[str]
    label_tokens: int
    learning_rate: str
    max_seq_length: int
    method: ReceiptVlmTrainMethodBottleneck | ReceiptVlmTrainMethodIa3 | ReceiptVlmTrainMethodLora | ReceiptVlmTrainMethodPTuning | ReceiptVlmTrainMethodPrefix | ReceiptVlmTrainMethodPrompt
    model_id: str
    objective: ReceiptVlmTrainObjectiveDdpo | ReceiptVlmTrainObjectiveDpo | ReceiptVlmTrainObjectiveIpo | ReceiptVlmTrainObjectiveKto | ReceiptVlmTrainObjectiveOrpo | LockTrainObjectiveSft | ReceiptVlmTrainObjectiveSimpo
    optimizer: ReceiptVlmTrainOptimizer
    papers: list[str]
    precision: str
    projector: Literal['full', 'lora', 'frozen', None]
    projector_learning_rate: str
    quantisation: ReceiptVlmTrainQuantisation | None
    steps: int
    template: ReceiptVlmTrainTemplate
    train_examples: int
    trainable_modules: list[str]
    trained_parameters: int

class Receipt(TypedDict):
    base: ReceiptBase
    counts: ReceiptCounts
    environment_class: Digest
    kolm: str
    lock: Digest
    members: list[ReceiptMember]
    name: str
    schema: Literal['urn:kolm:receipt:v1']
    snapshot_root: Digest
    trace: ReceiptTrace
    vlm_train: ReceiptVlmTrain

class RequestPack(TypedDict):
    captures: int
    kind: Literal['open', 'sealed']
    root: Digest

class Request(TypedDict):
    name: str
    nonce: str
    pack: RequestPack
    policy: Policy

class Seen(TypedDict):
    registry: str
    digest: Digest
    key: str
    entry: Entry

SnapshotNearDuplicatesPolicy = Literal['refuse', 'report', 'drop', 'group']

class SnapshotNearDuplicates(TypedDict):
    across_splits: int
    dropped: int
    method: Literal['dhash-8x8-color-v1']
    policy: SnapshotNearDuplicatesPolicy

class SnapshotRuleOfficial(TypedDict):
    kind: Literal['official']
    nonce: NotRequired[str]
    validation: str

class SnapshotRuleHash(TypedDict):
    eval: str
    kind: Literal['hash']
    nonce: NotRequired[str]
    validation: str

class SnapshotSide(TypedDict):
    captures: int
    images: int

class SnapshotSplits(TypedDict):
    eval: SnapshotSide
    none: SnapshotSide
    train: SnapshotSide
    validation: SnapshotSide

class Snapshot(TypedDict):
    captures: int
    images: int
    near_duplicates: SnapshotNearDuplicates
    root: Digest
    rule: SnapshotRuleOfficial | SnapshotRuleHash
    schema: Literal['urn:kolm:snapshot:v1']
    splits: SnapshotSplits

class SnapshotRowImage(TypedDict):
    file: Digest
    pixels: Digest
    twins: NotRequired[Digest]

SnapshotRowSplit = Literal['train', 'validation', 'eval', 'none']

class SnapshotRow(TypedDict):
    capture: Digest
    images: list[SnapshotRowImage]
    split: SnapshotRowSplit

class StatementSubject(TypedDict):
    name: str
    digest: StatementSubjectDigest

class Statement(TypedDict):
    _type: Literal['https://in-toto.io/Statement/v1']
    subject: list[StatementSubject]
    predicateType: str
    predicate: Mapping[str, object]

class SweepPointCurve(TypedDict):
    step: int
    loss: str

class SweepPoint(TypedDict):
    schema: Literal['urn:kolm:sweep_point:v1']
    of: Digest
    failure: str
    steps: int
    trained_numbers: int
    loss: str
    curve: list[SweepPointCurve]
    scores_millionths: list[int]
    covered: int
    state: str

@final
class TraceRowStepFactsDpo(TypedDict):
    chosen_reward: str
    margin: str
    preferred: int
    rejected_reward: str

@final
class TraceRowStepFactsKto(TypedDict):
    chosen_reward: str
    margin: str
    preferred: int
    rejected_reward: str
    reference_point: str

@final
class TraceRowStepFactsOrpo(TypedDict):
    chosen_reward: str
    margin: str
    preferred: int
    rejected_reward: str
    supervised_loss: str

class TraceRowStep(TypedDict):
    facts: NotRequired[TraceRowStepFactsDpo | TraceRowStepFactsDpo | TraceRowStepFactsDpo | TraceRowStepFactsKto | TraceRowStepFactsOrpo | TraceRowStepFactsDpo]
    grad_norm: str
    kind: Literal['step']
    label_tokens: int
    learning_rate: str
    loss: str
    positions: list[int]
    projector_learning_rate: str | None
    step: int

class TraceRowCheckpoint(TypedDict):
    chain: Digest
    kind: Literal['checkpoint']
    state: Digest
    step: int

class TraceRowValidationAnswers(TypedDict):
    cases: int
    score: str

class TraceRowValidation(TypedDict):
    facts: NotRequired[TraceRowStepFactsDpo | TraceRowStepFactsDpo | TraceRowStepFactsDpo | TraceRowStepFactsKto | TraceRowStepFactsOrpo | TraceRowStepFactsDpo]
    answers: NotRequired[TraceRowValidationAnswers]
    kind: Literal['validation']
    label_tokens: int
    loss: str
    step: int

TraceRow = TraceRowStep | TraceRowCheckpoint | TraceRowValidation

class TrainFactsPicture(TypedDict):
    learned: bool
    numbers: int
    sequences: int

class TrainFactsMeasured(TypedDict):
    compute: Spent
    started_on: str
    train_seconds: str
    tokens_per_second: str

class TrainFacts(TypedDict):
    state_last: Digest
    chain: Digest
    pictures: list[TrainFactsPicture]
    shared_prompts: bool
    measured: TrainFactsMeasured

class TrustAuthority(TypedDict):
    name: str
    certificates: list[str]

class TrustKeyRevoked(TypedDict):
    on: str
    reason: str

class TrustKey(TypedDict):
    name: str
    key: str
    roles: list[Literal['builder', 'evaluator', 'verifier', 'endorser', 'publisher', 'buyer']]
    names: list[str]
    revoked: NotRequired[TrustKeyRevoked]

class Trust(TypedDict):
    schema: Literal['urn:kolm:trust:v1']
    authorities: NotRequired[list[TrustAuthority]]
    keys: list[TrustKey]

from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentMessage(_message.Message):
    __slots__ = ("hello", "heartbeat", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    batch: Batch
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ...) -> None: ...

class AggregatorMessage(_message.Message):
    __slots__ = ("welcome", "acknowledgement", "configuration", "refusal")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENT_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    acknowledgement: Acknowledgement
    configuration: Configuration
    refusal: Refusal
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., acknowledgement: _Optional[_Union[Acknowledgement, _Mapping]] = ..., configuration: _Optional[_Union[Configuration, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("node", "cluster", "agent_version", "kernel_release", "boot_id", "spool_id", "heartbeat_seconds")
    NODE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    KERNEL_RELEASE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SPOOL_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    node: str
    cluster: str
    agent_version: str
    kernel_release: str
    boot_id: str
    spool_id: str
    heartbeat_seconds: int
    def __init__(self, node: _Optional[str] = ..., cluster: _Optional[str] = ..., agent_version: _Optional[str] = ..., kernel_release: _Optional[str] = ..., boot_id: _Optional[str] = ..., spool_id: _Optional[str] = ..., heartbeat_seconds: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("aggregator_version", "acknowledged_sequence", "configuration", "maximum_message_bytes")
    AGGREGATOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    aggregator_version: str
    acknowledged_sequence: int
    configuration: Configuration
    maximum_message_bytes: int
    def __init__(self, aggregator_version: _Optional[str] = ..., acknowledged_sequence: _Optional[int] = ..., configuration: _Optional[_Union[Configuration, _Mapping]] = ..., maximum_message_bytes: _Optional[int] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("sequence", "reason")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: str
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ClassCounters(_message.Message):
    __slots__ = ("event_class", "seen", "suppressed", "submitted", "dropped", "decoded", "lost_in_user_space", "known")
    EVENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    DECODED_FIELD_NUMBER: _ClassVar[int]
    LOST_IN_USER_SPACE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    event_class: str
    seen: int
    suppressed: int
    submitted: int
    dropped: int
    decoded: int
    lost_in_user_space: int
    known: int
    def __init__(self, event_class: _Optional[str] = ..., seen: _Optional[int] = ..., suppressed: _Optional[int] = ..., submitted: _Optional[int] = ..., dropped: _Optional[int] = ..., decoded: _Optional[int] = ..., lost_in_user_space: _Optional[int] = ..., known: _Optional[int] = ...) -> None: ...

class NoveltyCounters(_message.Message):
    __slots__ = ("whose", "container_id", "container_name", "pod_namespace", "pod_name", "event_class", "submitted", "dropped", "withheld", "unlisted", "expired", "evicted")
    WHOSE_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_ID_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_NAME_FIELD_NUMBER: _ClassVar[int]
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    EVENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    UNLISTED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    EVICTED_FIELD_NUMBER: _ClassVar[int]
    whose: str
    container_id: str
    container_name: str
    pod_namespace: str
    pod_name: str
    event_class: str
    submitted: int
    dropped: int
    withheld: int
    unlisted: int
    expired: int
    evicted: int
    def __init__(self, whose: _Optional[str] = ..., container_id: _Optional[str] = ..., container_name: _Optional[str] = ..., pod_namespace: _Optional[str] = ..., pod_name: _Optional[str] = ..., event_class: _Optional[str] = ..., submitted: _Optional[int] = ..., dropped: _Optional[int] = ..., withheld: _Optional[int] = ..., unlisted: _Optional[int] = ..., expired: _Optional[int] = ..., evicted: _Optional[int] = ...) -> None: ...

class Knowledge(_message.Message):
    __slots__ = ("entries", "capacity", "generation")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    entries: int
    capacity: int
    generation: int
    def __init__(self, entries: _Optional[int] = ..., capacity: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("since", "until", "reason")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    since: float
    until: float
    reason: str
    def __init__(self, since: _Optional[float] = ..., until: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("at", "started_at", "probe_state", "missing_hooks", "counters", "rule_set_hash", "resident_bytes", "cpu_seconds", "spool_records", "spool_bytes", "discarded", "profiles", "canary_at", "containers", "detection_hash", "detection_problems", "rules_in_force", "novelty", "knowledge", "last_gap")
    class DiscardedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    PROBE_STATE_FIELD_NUMBER: _ClassVar[int]
    MISSING_HOOKS_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    RULE_SET_HASH_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPOOL_RECORDS_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISCARDED_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    CANARY_AT_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    DETECTION_HASH_FIELD_NUMBER: _ClassVar[int]
    DETECTION_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    RULES_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    NOVELTY_FIELD_NUMBER: _ClassVar[int]
    KNOWLEDGE_FIELD_NUMBER: _ClassVar[int]
    LAST_GAP_FIELD_NUMBER: _ClassVar[int]
    at: float
    started_at: float
    probe_state: str
    missing_hooks: _containers.RepeatedScalarFieldContainer[str]
    counters: _containers.RepeatedCompositeFieldContainer[ClassCounters]
    rule_set_hash: str
    resident_bytes: int
    cpu_seconds: float
    spool_records: int
    spool_bytes: int
    discarded: _containers.ScalarMap[str, int]
    profiles: _containers.RepeatedCompositeFieldContainer[ProfileState]
    canary_at: float
    containers: int
    detection_hash: str
    detection_problems: _containers.RepeatedScalarFieldContainer[str]
    rules_in_force: int
    novelty: _containers.RepeatedCompositeFieldContainer[NoveltyCounters]
    knowledge: Knowledge
    last_gap: Gap
    def __init__(self, at: _Optional[float] = ..., started_at: _Optional[float] = ..., probe_state: _Optional[str] = ..., missing_hooks: _Optional[_Iterable[str]] = ..., counters: _Optional[_Iterable[_Union[ClassCounters, _Mapping]]] = ..., rule_set_hash: _Optional[str] = ..., resident_bytes: _Optional[int] = ..., cpu_seconds: _Optional[float] = ..., spool_records: _Optional[int] = ..., spool_bytes: _Optional[int] = ..., discarded: _Optional[_Mapping[str, int]] = ..., profiles: _Optional[_Iterable[_Union[ProfileState, _Mapping]]] = ..., canary_at: _Optional[float] = ..., containers: _Optional[int] = ..., detection_hash: _Optional[str] = ..., detection_problems: _Optional[_Iterable[str]] = ..., rules_in_force: _Optional[int] = ..., novelty: _Optional[_Iterable[_Union[NoveltyCounters, _Mapping]]] = ..., knowledge: _Optional[_Union[Knowledge, _Mapping]] = ..., last_gap: _Optional[_Union[Gap, _Mapping]] = ...) -> None: ...

class ProfileKey(_message.Message):
    __slots__ = ("cluster", "namespace", "workload", "container", "image_digest")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    namespace: str
    workload: str
    container: str
    image_digest: str
    def __init__(self, cluster: _Optional[str] = ..., namespace: _Optional[str] = ..., workload: _Optional[str] = ..., container: _Optional[str] = ..., image_digest: _Optional[str] = ...) -> None: ...

class ProfileState(_message.Message):
    __slots__ = ("key", "state", "hash", "running", "canary_detected")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    CANARY_DETECTED_FIELD_NUMBER: _ClassVar[int]
    key: ProfileKey
    state: str
    hash: str
    running: int
    canary_detected: bool
    def __init__(self, key: _Optional[_Union[ProfileKey, _Mapping]] = ..., state: _Optional[str] = ..., hash: _Optional[str] = ..., running: _Optional[int] = ..., canary_detected: _Optional[bool] = ...) -> None: ...

class Behaviour(_message.Message):
    __slots__ = ("behaviour_class", "process", "object")
    BEHAVIOUR_CLASS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    behaviour_class: str
    process: str
    object: str
    def __init__(self, behaviour_class: _Optional[str] = ..., process: _Optional[str] = ..., object: _Optional[str] = ...) -> None: ...

class ProfileEntry(_message.Message):
    __slots__ = ("behaviour", "first_seen", "last_seen", "origin", "accepted_by", "reason", "valid_until")
    BEHAVIOUR_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    behaviour: Behaviour
    first_seen: float
    last_seen: float
    origin: str
    accepted_by: str
    reason: str
    valid_until: float
    def __init__(self, behaviour: _Optional[_Union[Behaviour, _Mapping]] = ..., first_seen: _Optional[float] = ..., last_seen: _Optional[float] = ..., origin: _Optional[str] = ..., accepted_by: _Optional[str] = ..., reason: _Optional[str] = ..., valid_until: _Optional[float] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("id", "node", "source", "title", "severity", "fingerprint", "occurred_at", "detected_at", "profile", "behaviour", "container", "process", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    DETECTED_AT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOUR_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    node: str
    source: str
    title: str
    severity: str
    fingerprint: str
    occurred_at: float
    detected_at: float
    profile: ProfileKey
    behaviour: Behaviour
    container: Container
    process: Process
    fields: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., node: _Optional[str] = ..., source: _Optional[str] = ..., title: _Optional[str] = ..., severity: _Optional[str] = ..., fingerprint: _Optional[str] = ..., occurred_at: _Optional[float] = ..., detected_at: _Optional[float] = ..., profile: _Optional[_Union[ProfileKey, _Mapping]] = ..., behaviour: _Optional[_Union[Behaviour, _Mapping]] = ..., container: _Optional[_Union[Container, _Mapping]] = ..., process: _Optional[_Union[Process, _Mapping]] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FindingRepeat(_message.Message):
    __slots__ = ("id", "count", "last_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    count: int
    last_at: float
    def __init__(self, id: _Optional[str] = ..., count: _Optional[int] = ..., last_at: _Optional[float] = ...) -> None: ...

class Process(_message.Message):
    __slots__ = ("pid", "executable", "arguments", "working_directory", "uid", "login_uid", "tty", "ancestors", "origin")
    PID_FIELD_NUMBER: _ClassVar[int]
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    LOGIN_UID_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    pid: int
    executable: str
    arguments: _containers.RepeatedScalarFieldContainer[str]
    working_directory: str
    uid: int
    login_uid: int
    tty: str
    ancestors: _containers.RepeatedScalarFieldContainer[str]
    origin: str
    def __init__(self, pid: _Optional[int] = ..., executable: _Optional[str] = ..., arguments: _Optional[_Iterable[str]] = ..., working_directory: _Optional[str] = ..., uid: _Optional[int] = ..., login_uid: _Optional[int] = ..., tty: _Optional[str] = ..., ancestors: _Optional[_Iterable[str]] = ..., origin: _Optional[str] = ...) -> None: ...

class Container(_message.Message):
    __slots__ = ("id", "name", "runtime", "image", "image_digest", "pod_name", "pod_namespace", "pod_uid", "labels", "started_at", "kind", "workload")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POD_NAME_FIELD_NUMBER: _ClassVar[int]
    POD_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    POD_UID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    runtime: str
    image: str
    image_digest: str
    pod_name: str
    pod_namespace: str
    pod_uid: str
    labels: _containers.ScalarMap[str, str]
    started_at: float
    kind: str
    workload: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., runtime: _Optional[str] = ..., image: _Optional[str] = ..., image_digest: _Optional[str] = ..., pod_name: _Optional[str] = ..., pod_namespace: _Optional[str] = ..., pod_uid: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., started_at: _Optional[float] = ..., kind: _Optional[str] = ..., workload: _Optional[str] = ...) -> None: ...

class ProfileDelta(_message.Message):
    __slots__ = ("key", "state", "observed_seconds", "entries", "last_novelty_at")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    LAST_NOVELTY_AT_FIELD_NUMBER: _ClassVar[int]
    key: ProfileKey
    state: str
    observed_seconds: float
    entries: _containers.RepeatedCompositeFieldContainer[ProfileEntry]
    last_novelty_at: float
    def __init__(self, key: _Optional[_Union[ProfileKey, _Mapping]] = ..., state: _Optional[str] = ..., observed_seconds: _Optional[float] = ..., entries: _Optional[_Iterable[_Union[ProfileEntry, _Mapping]]] = ..., last_novelty_at: _Optional[float] = ...) -> None: ...

class Inventory(_message.Message):
    __slots__ = ("at", "containers")
    AT_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    at: float
    containers: _containers.RepeatedCompositeFieldContainer[Container]
    def __init__(self, at: _Optional[float] = ..., containers: _Optional[_Iterable[_Union[Container, _Mapping]]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("sequence", "previous_hash", "hash", "kind", "payload", "withheld")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_HASH_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    previous_hash: bytes
    hash: bytes
    kind: str
    payload: bytes
    withheld: str
    def __init__(self, sequence: _Optional[int] = ..., previous_hash: _Optional[bytes] = ..., hash: _Optional[bytes] = ..., kind: _Optional[str] = ..., payload: _Optional[bytes] = ..., withheld: _Optional[str] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class Profile(_message.Message):
    __slots__ = ("key", "state", "entries", "inherited_from", "hash")
    KEY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    INHERITED_FROM_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    key: ProfileKey
    state: str
    entries: _containers.RepeatedCompositeFieldContainer[ProfileEntry]
    inherited_from: str
    hash: str
    def __init__(self, key: _Optional[_Union[ProfileKey, _Mapping]] = ..., state: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[ProfileEntry, _Mapping]]] = ..., inherited_from: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("profiles", "detection")
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    DETECTION_FIELD_NUMBER: _ClassVar[int]
    profiles: _containers.RepeatedCompositeFieldContainer[Profile]
    detection: DetectionSet
    def __init__(self, profiles: _Optional[_Iterable[_Union[Profile, _Mapping]]] = ..., detection: _Optional[_Union[DetectionSet, _Mapping]] = ...) -> None: ...

class DetectionSet(_message.Message):
    __slots__ = ("files", "policies")
    FILES_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[RuleFile]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    def __init__(self, files: _Optional[_Iterable[_Union[RuleFile, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ...) -> None: ...

class RuleFile(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    content: str
    def __init__(self, name: _Optional[str] = ..., content: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "enabled", "rules", "description", "scope", "actions", "severity", "origin")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    enabled: bool
    rules: _containers.RepeatedScalarFieldContainer[str]
    description: str
    scope: Scope
    actions: _containers.RepeatedScalarFieldContainer[str]
    severity: str
    origin: str
    def __init__(self, name: _Optional[str] = ..., enabled: _Optional[bool] = ..., rules: _Optional[_Iterable[str]] = ..., description: _Optional[str] = ..., scope: _Optional[_Union[Scope, _Mapping]] = ..., actions: _Optional[_Iterable[str]] = ..., severity: _Optional[str] = ..., origin: _Optional[str] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("clusters", "namespaces", "labels", "accounts", "regions")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedScalarFieldContainer[str]
    namespaces: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    regions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, clusters: _Optional[_Iterable[str]] = ..., namespaces: _Optional[_Iterable[str]] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., accounts: _Optional[_Iterable[str]] = ..., regions: _Optional[_Iterable[str]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

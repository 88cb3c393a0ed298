"""Fields of audit events as an API server writes them; the events are made up."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fields import Argument
from rules.sources.json_document import decode
from rules.sources.json_event import JsonEvent
from rules.sources.k8s_audit import SOURCE

HEAD = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "7f1b", "stage": "ResponseComplete"}
POD = {
    **HEAD,
    "requestURI": "/api/v1/namespaces/shop/pods?fieldManager=kubectl-create&dryRun=All",
    "verb": "create",
    "user": {"username": "alice", "groups": ["dev", "system:authenticated"]},
    "impersonatedUser": {"username": "bob"},
    "userAgent": "kubectl/v1.31.0",
    "sourceIPs": ["192.0.2.7"],
    "objectRef": {"resource": "pods", "namespace": "shop", "name": "web"},
    "annotations": {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "",
        "pod-security.kubernetes.io/audit-violations": "would violate",
    },
    "responseStatus": {"code": 201},
    "responseObject": {"metadata": {"name": "web-x1"}},
    "requestObject": {
        "spec": {
            "hostNetwork": True,
            "hostPID": False,
            "securityContext": {"runAsUser": 1000, "fsGroup": 2000, "supplementalGroups": [1, 2]},
            "containers": [
                {
                    "name": "app",
                    "image": "registry.example:5000/shop/app:1.2",
                    "command": ["sh", "-c"],
                    "args": ["sleep 1"],
                    "ports": [{"containerPort": 8080}, {"containerPort": 9090, "hostPort": 90}],
                    "securityContext": {"privileged": True, "capabilities": {"add": ["NET_ADMIN", "SYS_TIME"]}},
                },
                {"name": "log", "image": "docker.io/fluent@sha256:abc", "securityContext": {"runAsUser": 0}},
            ],
            "initContainers": [{"name": "init", "image": "busybox", "securityContext": {"privileged": False}}],
            "ephemeralContainers": [{"name": "debug", "image": "alpine:3"}],
            "volumes": [
                {"name": "root", "hostPath": {"path": "/proc", "type": ""}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "flex", "flexVolume": {"driver": "example/lvm"}},
            ],
        }
    },
}
BINDING = {
    **HEAD,
    "verb": "create",
    "objectRef": {"resource": "clusterrolebindings", "name": "admins"},
    "requestObject": {
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"kind": "User", "name": "carol"},
            {"kind": "Group", "name": "ops"},
            {"kind": "ServiceAccount", "name": "builder", "namespace": "ci"},
            {"kind": "ServiceAccount", "name": "lost"},
        ],
    },
}
ROLE = {
    **HEAD,
    "verb": "create",
    "objectRef": {"resource": "clusterroles", "name": "reader"},
    "requestObject": {
        "rules": [
            {"apiGroups": ["", "apps"], "resources": ["*"], "verbs": ["get"]},
            {"nonResourceURLs": ["/healthz"], "verbs": ["get", "head"]},
        ]
    },
}
CONFIG_MAP = {
    **HEAD,
    "verb": "create",
    "objectRef": {"resource": "configmaps", "name": "keys", "namespace": "shop"},
    "requestObject": {"data": {"credentials": "aws_access_key_id=A&B\n"}},
}
SERVICE = {
    **HEAD,
    "verb": "create",
    "objectRef": {"resource": "services", "name": "web"},
    "requestObject": {"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}},
}
DENIED = {
    **HEAD,
    "verb": "get",
    "user": {"username": "system:anonymous"},
    "requestURI": "/api/v1/secrets/%ZZ?x=1",
    "responseStatus": {"code": 403, "reason": "Forbidden", "status": "Failure"},
}


def made(document: dict[str, Any]) -> JsonEvent:
    decoded, raw = decode(json.dumps(document).encode())
    return JsonEvent(decoded, raw, 1, 0)


def extracted(document: dict[str, Any], *fields: str) -> dict[str, Any]:
    event = made(document)
    result = {}
    for field in fields:
        name, _, argument = field.rstrip("]").partition("[")
        result[field] = SOURCE.fields[name].extractor(argument or None)(event)
    return result


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            POD,
            {
                "ka.auditid": "7f1b",
                "ka.stage": "ResponseComplete",
                "ka.auth.decision": "allow",
                "ka.auth.reason": "",
                "ka.auth.openshift.decision": None,
                "ka.security.pod.violations": "would violate",
                "ka.user.name": "alice",
                "ka.user.groups": ("dev", "system:authenticated"),
                "ka.impuser.name": "bob",
                "ka.verb": "create",
                "ka.uri.param[dryRun]": "All",
                "ka.uri.param[container]": None,
                "ka.target.name": "web",
                "ka.target.namespace": "shop",
                "ka.target.resource": "pods",
                "ka.target.subresource": None,
                "ka.target.pod.name": "web-x1",
                "ka.resp.name": "web-x1",
                "ka.response.code": "201",
                "ka.response.reason": None,
                "ka.useragent": "kubectl/v1.31.0",
                "ka.sourceips": None,
                "ka.cluster.name": None,
                "jevt.value[/requestObject/spec/hostNetwork]": "true",
            },
        ),
        (
            POD,
            {
                "ka.req.pod.host_network": "true",
                "ka.req.container.host_network": "true",
                "ka.req.pod.host_pid": "false",
                "ka.req.pod.host_ipc": None,
                "ka.req.pod.run_as_user": "1000",
                "ka.req.pod.run_as_group": None,
                "ka.req.pod.fs_group": "2000",
                "ka.req.pod.supplemental_groups": ("1", "2"),
                "ka.req.pod.volumes.hostpath": ("/proc",),
                "ka.req.pod.volumes.hostpath[0]": ("/proc",),
                "ka.req.pod.volumes.hostpath[1]": None,
                "ka.req.pod.volumes.flexvolume_driver": ("example/lvm",),
                "ka.req.pod.volumes.volume_type": ("hostPath", "emptyDir", "flexVolume"),
                "ka.req.pod.volumes.volume_type[1]": ("emptyDir",),
                "ka.req.volume.hostpath[/pro*]": "true",
                "ka.req.volume.hostpath[/proc]": "true",
                "ka.req.volume.hostpath[/pro]": "false",
            },
        ),
        (
            POD,
            {
                "ka.req.pod.containers.name": ("app", "log"),
                "ka.req.pod.containers.name[1]": ("log",),
                "ka.req.pod.containers.name[2]": None,
                "ka.req.pod.containers.image": ("registry.example:5000/shop/app:1.2", "docker.io/fluent@sha256:abc"),
                "ka.req.pod.containers.image.repository": ("registry.example", "docker.io/fluent"),
                "ka.req.container.image": "registry.example:5000/shop/app:1.2",
                "ka.req.container.image.repository": "registry.example",
                "ka.req.pod.containers.command": ("sh -c",),
                "ka.req.pod.containers.args": ("sleep 1",),
                "ka.req.pod.containers.args[1]": None,
                "ka.req.pod.containers.host_port": ("8080", "90"),
                "ka.req.pod.containers.privileged": ("true",),
                "ka.req.container.privileged": "true",
                "ka.req.pod.containers.add_capabilities": ('["NET_ADMIN","SYS_TIME"]',),
                "ka.req.pod.containers.run_as_user": ("0",),
                "ka.req.pod.containers.eff_run_as_user": ("0", "0"),
                "ka.req.pod.containers.read_only_fs": None,
                "ka.req.pod.initContainers.name": ("init",),
                "ka.req.pod.initContainers.privileged": ("false",),
                "ka.req.pod.ephemeralContainers.image.repository": ("alpine",),
                "ka.req.pod.ephemeralContainers.privileged": None,
            },
        ),
        (
            BINDING,
            {
                "ka.req.binding.role": "cluster-admin",
                "ka.req.binding.subjects": (
                    '{"kind":"User","name":"carol"}',
                    '{"kind":"Group","name":"ops"}',
                    '{"kind":"ServiceAccount","name":"builder","namespace":"ci"}',
                    '{"kind":"ServiceAccount","name":"lost"}',
                ),
                "ka.req.binding.subjects.user_names": ("carol",),
                "ka.req.binding.subjects.group_names": ("ops",),
                "ka.req.binding.subjects.serviceaccount_names": ("builder", "lost"),
                "ka.req.binding.subjects.serviceaccount_ns_names": ("ci:builder",),
                "ka.req.binding.subject.has_name[mallory]": "true",
                "ka.target.pod.name": None,
            },
        ),
        (
            ROLE,
            {
                "ka.req.role.rules": (
                    '{"apiGroups":["","apps"],"resources":["*"],"verbs":["get"]}',
                    '{"nonResourceURLs":["/healthz"],"verbs":["get","head"]}',
                ),
                "ka.req.role.rules.apiGroups": ("", "apps"),
                "ka.req.role.rules.resources": ("*",),
                "ka.req.role.rules.resources[1]": None,
                "ka.req.role.rules.verbs": ("get", "get", "head"),
                "ka.req.role.rules.verbs[1]": ("get", "head"),
                "ka.req.role.rules.nonResourceURLs": ("/healthz",),
            },
        ),
        (
            CONFIG_MAP,
            {
                "ka.req.configmap.name": "keys",
                "ka.req.configmap.obj": '{"credentials":"aws_access_key_id=A&B\\n"}',
            },
        ),
        (SERVICE, {"ka.req.service.type": "NodePort", "ka.req.service.ports": ('[{"port":80,"nodePort":30080}]',)}),
        (
            DENIED,
            {
                "ka.user.groups": None,
                "ka.response.code": "403",
                "ka.response.reason": "Forbidden",
                "ka.uri.param[x]": None,
                "ka.req.pod.containers.image": None,
                "ka.req.container.privileged": None,
            },
        ),
    ],
)
def test_fields_of_audit_events(document: dict[str, Any], expected: dict[str, Any]) -> None:
    """What each field of each kind of request is."""
    assert extracted(document, *expected) == expected


def test_a_container_without_the_flag_is_not_privileged() -> None:
    """The deprecated field says false as soon as there are containers."""
    document = {**HEAD, "requestObject": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}
    assert extracted(document, "ka.req.container.privileged", "ka.req.pod.containers.privileged") == {
        "ka.req.container.privileged": "false",
        "ka.req.pod.containers.privileged": None,
    }


@pytest.mark.parametrize(
    "containers", [[], {}, "x", None, [{"image": 7}, {}], [{"ports": {"hostPort": 1}}], [{"command": [1], "args": "x"}]]
)
def test_odd_containers_are_missing(containers: Any) -> None:
    """An empty list, another type, or an image that is not there: the field is missing."""
    names = ("image", "image.repository", "host_port", "command", "args")
    fields = [f"ka.req.pod.containers.{name}" for name in names]
    document = {**HEAD, "requestObject": {"spec": {"containers": containers}}}
    assert extracted(document, *fields) == dict.fromkeys(fields)


@pytest.mark.parametrize(
    ("uri", "value"),
    [
        ("/x?command=ls&command=cat", "ls"),
        ("/x?a=1&command=sh+-c%20id#f", "sh -c id"),
        ("/x?command", ""),
        ("/x?command=1;2", None),
        ("/x?command=%zz", None),
        ("/x\n?command=1", None),
        ("/x", None),
    ],
)
def test_query_parameters_are_decoded_as_go_does(uri: str, value: str | None) -> None:
    """The first value counts, and a URI that Go refuses has no parameters."""
    assert extracted({**HEAD, "requestURI": uri}, "ka.uri.param[command]") == {"ka.uri.param[command]": value}


def test_an_event_without_an_identity_has_no_audit_fields() -> None:
    """Without auditID every ka.* is missing, and the other fields are not."""
    document = {key: value for key, value in POD.items() if key != "auditID"}
    event = made(document)
    present = [
        name
        for name, info in SOURCE.fields.items()
        if name.startswith("ka.")
        and info.extractor("0" if info.argument is not Argument.NONE else None)(event) is not None
    ]
    assert present == []
    assert SOURCE.fields["jevt.value"].extractor("/verb")(event) == "create"


@pytest.mark.parametrize("argument", ["-1", "x", "", "²", "1" * 30])
def test_an_index_is_a_number(argument: str) -> None:
    """Anything else in brackets is an error when the rule is loaded."""
    with pytest.raises(ValueError, match="is not an index"):
        SOURCE.fields["ka.req.pod.containers.image"].extractor(argument)


KEYS = (
    *("auditID", "requestObject", "spec", "containers", "image", "ports", "hostPort", "securityContext", "privileged"),
    *("subjects", "kind", "name", "rules", "verbs", "volumes", "hostPath", "path", "data", "requestURI", "user"),
    *("groups", "objectRef", "resource", "0"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(st.dictionaries(st.sampled_from(["requestObject", "requestURI", "user", "objectRef", "responseObject"]), JSON))
def test_no_document_breaks_an_extractor(document: dict[str, Any]) -> None:
    """Every field, with and without an argument, of any document is a value of its type or missing."""
    event = made({"auditID": "x", **document})
    for info in SOURCE.fields.values():
        arguments = {Argument.NONE: (None,), Argument.KEY: ("0", "/a/0")}.get(info.argument, (None, "0", "1"))
        for argument in arguments:
            value = info.extractor(argument)(event)
            assert value is None or isinstance(value, tuple) == info.is_list
            if isinstance(value, tuple):
                assert value and all(isinstance(item, str) for item in value)

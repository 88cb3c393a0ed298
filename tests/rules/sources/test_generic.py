import socket

from rules.sources.json_event import JsonEvent
from rules.sources.registry import source

AT = 1540475929736141000
EVENT = JsonEvent({"auditID": "a", "b": [1]}, b'{"auditID": "a", "b": [1]}', 7, AT)


def test_every_event_has_the_generic_fields() -> None:
    """The evt.* fields of an event that is no system call."""
    fields = source("k8s_audit").fields
    generic = {name: info.extractor(None)(EVENT) for name, info in fields.items() if name.startswith("evt.")}
    assert generic == {
        "evt.num": 7,
        "evt.time": "13:58:49.736141000",
        "evt.time.s": "13:58:49",
        "evt.time.iso8601": "2018-10-25T13:58:49.736141000+0000",
        "evt.datetime": "2018-10-25 13:58:49.736141000",
        "evt.datetime.s": "2018-10-25 13:58:49",
        "evt.rawtime": AT,
        "evt.rawtime.s": 1540475929,
        "evt.rawtime.ns": 736141000,
        "evt.source": "k8s_audit",
        "evt.is_async": False,
        "evt.asynctype": None,
        "evt.hostname": socket.gethostname(),
        "evt.type": "pluginevent",
        "evt.category": "other",
        "evt.pluginname": "k8saudit",
        "evt.plugininfo": '{"auditID":"a","b":[1]}',
    }


def test_the_whole_event_is_told_indented() -> None:
    """json.obj and jevt.obj are the event over several lines; the times are text."""
    fields = source("aws_cloudtrail").fields
    for prefix in ("json", "jevt"):
        whole = {name: fields[f"{prefix}.{name}"].extractor(None)(EVENT) for name in ("obj", "rawtime", "time")}
        assert whole == {
            "obj": '{\n  "auditID": "a",\n  "b": [\n    1\n  ]\n}',
            "rawtime": str(AT),
            "time": "13:58:49.736141000",
        }
        assert fields[f"{prefix}.value"].extractor("/b/0")(EVENT) == "1"

"""One rule file to its items. What is wrong with one item is told, and the others are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rules import grammar
from rules.documents import Malformed, Mapping, Node, Sequence, is_null, read_documents
from rules.entries import Entries
from rules.items import EngineVersionItem, Item, ListItem, MacroItem, PluginVersionItem, Written
from rules.overrides import APPEND, REPLACE, read_append, read_override
from rules.problems import Code, Problem
from rules.report import Report
from rules.rule_reader import read_rule


@dataclass(frozen=True, slots=True)
class Reading:
    items: tuple[Item, ...]
    problems: tuple[Problem, ...]


def read(name: str, content: str) -> Reading:
    """The items of a file in their order. Never raises: a file that is no YAML has no items and one problem."""
    report = Report(name)
    items: list[Item] = []
    for node in _nodes(content, report):
        report.item = ""
        try:
            items.extend(_read_item(node, report))
        except Malformed as error:
            report.error(Code.YAML_VALIDATE, error)
    return Reading(tuple(items), tuple(report.problems))


def _nodes(content: str, report: Report) -> Iterator[Node]:
    try:
        documents = read_documents(content)
    except Malformed as error:
        report.error(Code.YAML_PARSE, error)
        return
    for document in documents:
        if isinstance(document, Sequence):
            yield from (node for node in document.items if not is_null(node))
        else:
            report.item = ""
            report.error(Code.YAML_VALIDATE, Malformed("a rule file is a sequence of items", document.line))


def _read_item(node: Node, report: Report) -> tuple[Item, ...]:
    if not isinstance(node, Mapping):
        raise Malformed("an item is not a mapping", node.line)
    entries = Entries(node)
    for kind, read_kind in _KINDS.items():
        if kind in entries:
            return read_kind(entries, report)
    report.warn(Code.UNKNOWN_ITEM, f"unknown item with keys: {', '.join(entries)}", entries.line)
    return ()


def _read_engine_version(entries: Entries, report: Report) -> tuple[Item, ...]:
    report.item = "required_engine_version"
    report.warn_unknown(entries, ("required_engine_version",))
    version = entries.scalar("required_engine_version")
    return (EngineVersionItem(version.text, report.place(version.line)),)


def _read_plugin_versions(entries: Entries, report: Report) -> tuple[Item, ...]:
    report.item = "required_plugin_versions"
    report.warn_unknown(entries, ("required_plugin_versions",))
    return tuple(_read_plugin(plugin, report) for plugin in entries.mappings("required_plugin_versions"))


def _read_plugin(plugin: Entries, report: Report) -> PluginVersionItem:
    report.warn_unknown(plugin, ("name", "version", "alternatives"))
    alternatives = plugin.mappings("alternatives") if "alternatives" in plugin else ()
    for alternative in alternatives:
        report.warn_unknown(alternative, ("name", "version"))
    versions = tuple((one.text("name"), one.text("version")) for one in (plugin, *alternatives))
    return PluginVersionItem(versions, report.place(plugin.line))


def _read_list(entries: Entries, report: Report) -> tuple[Item, ...]:
    name = _read_name(entries, "list", grammar.BARE_TEXT, report)
    items = entries.texts("items")
    return (ListItem(name, items, _appends(entries, "items", report), report.place(entries.line)),)


def _read_macro(entries: Entries, report: Report) -> tuple[Item, ...]:
    name = _read_name(entries, "macro", grammar.IDENTIFIER, report)
    condition = entries.scalar("condition")
    written = Written(condition.text, report.place(condition.line))
    return (MacroItem(name, written, _appends(entries, "condition", report), report.place(entries.line)),)


def _read_name(entries: Entries, kind: str, token: re.Pattern[str], report: Report) -> str:
    name = entries.scalar(kind)
    report.item = f"{kind} {name.text}"
    if not token.fullmatch(name.text):
        raise Malformed(f"the name of a {kind} has the form {token.pattern}", name.line)
    return name.text


def _appends(entries: Entries, key: str, report: Report) -> bool:
    """Whether a list or macro is added to the earlier one of its name; ``key``: its only part."""
    report.warn_unknown(entries, (*report.item.split()[:1], key, "append", "override"))
    override = read_override(entries, {key: (APPEND, REPLACE)})
    return read_append(entries, override, key, report) or override.get(key) == APPEND


_KINDS: dict[str, Callable[[Entries, Report], tuple[Item, ...]]] = {
    "required_engine_version": _read_engine_version,
    "required_plugin_versions": _read_plugin_versions,
    "list": _read_list,
    "macro": _read_macro,
    "rule": read_rule,
}

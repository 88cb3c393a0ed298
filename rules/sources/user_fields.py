"""user.*, group.*: as whom the process acted, by the names its container gives the ids."""

from __future__ import annotations

from collections.abc import Callable

from rules.fields import Extractor, FieldInfo
from rules.sources.activity import Activity
from rules.sources.arguments import UNKNOWN, effective
from rules.sources.declarations import integer, text

NOBODY = 0xFFFFFFFF  # the login user of whom never logged in, as the kernel keeps it


def user_fields() -> tuple[FieldInfo, ...]:
    return (
        integer("user.uid", "The effective user's id.", user),
        text("user.name", "The effective user's name; <NA> where nobody has the id.", _of_user(_user_name)),
        text("user.homedir", "The user's home directory.", _of_user(lambda activity, uid: activity.accounts.home(uid))),
        text("user.shell", "The user's shell.", _of_user(lambda activity, uid: activity.accounts.shell(uid))),
        integer("user.loginuid", "Id of the user who logged in; -1 where nobody did.", login_user),
        text("user.loginname", "Name of the user who logged in.", _login_name),
        integer("group.gid", "The effective group's id.", group),
        text("group.name", "The effective group's name.", _group_name),
    )


def user(activity: Activity) -> int:
    task = activity.event.task
    return effective(task.effective_uid, task.uid)


def group(activity: Activity) -> int:
    task = activity.event.task
    return effective(task.effective_gid, task.gid)


def login_user(activity: Activity) -> int:
    found = activity.event.task.login_uid
    return -1 if found == NOBODY else found


def _of_user(get: Callable[[Activity, int], str]) -> Extractor:
    return lambda activity: get(activity, user(activity)) or UNKNOWN


def _user_name(activity: Activity, uid: int) -> str:
    return activity.accounts.user(uid) or ("root" if uid == 0 else "")


def _login_name(activity: Activity) -> str:
    found = login_user(activity)
    return UNKNOWN if found < 0 else _user_name(activity, found) or UNKNOWN


def _group_name(activity: Activity) -> str:
    found = group(activity)
    return activity.accounts.group(found) or ("root" if found == 0 else UNKNOWN)

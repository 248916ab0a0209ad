"""The configuration: a YAML file as frozen, checked settings, without any secret in them."""

from chatlake.config.durations import format_duration, parse_duration
from chatlake.config.ids import IdList, lines_of, parse_ids, read_ids
from chatlake.config.load import find_settings_file, load_settings, parse_settings
from chatlake.config.notify import NotifyTarget
from chatlake.config.notify_address import NotifyAddress
from chatlake.config.pace import PaceSettings
from chatlake.config.references import SecretLoader, SecretReference
from chatlake.config.select import Select
from chatlake.config.settings import Runner, Schedule, Settings, json_schema
from chatlake.config.source import Source
from chatlake.config.template import template, write_template

__all__ = [
    "IdList",
    "NotifyAddress",
    "NotifyTarget",
    "PaceSettings",
    "Runner",
    "Schedule",
    "SecretLoader",
    "SecretReference",
    "Select",
    "Settings",
    "Source",
    "find_settings_file",
    "format_duration",
    "json_schema",
    "lines_of",
    "load_settings",
    "parse_duration",
    "parse_ids",
    "parse_settings",
    "read_ids",
    "template",
    "write_template",
]

"""Presets for firewalls. An event holds the port of a service only: a client's port never repeats."""

from __future__ import annotations

import dataclasses

from stackyard_detector.readers.presets.preset import ADDRESS, SERVICE, STRUCTURED, TIME, Preset

_OUTSIDE = "a session is an outside address, else the source"
_BETWEEN = {"columns": ["src", "dst"], "if_none": "first"}

# Cisco: header, %ASA-severity-number: message. A message without an address is the device's own.
_CISCO_HEAD = (
    rf"^(?:<\d+>)?(?:1 )?:?(?:(?P<at>{TIME})[^%%]*)?%%(?P<device>ASA|FTD|PIX)-(?:\w+-)?\d-(?P<id>%s):?\s"
)
_CISCO = _CISCO_HEAD % r"\d{6}" + (
    r"(?:access-list \S{1,256} )?(?P<verb>[A-Za-z]{1,24}(?: (?:inbound|outbound)\b)?(?![\w@\\.]|-\w*[@\\]))?"
)
# An address in brackets behind another, and that behind gaddr, are what it is translated to: nobody's.
_CISCO_ADDRESS = rf".*?(?<=[\s:(/@=<])(?<![\d)] \()(?<!gaddr )(?P<%s>{ADDRESS})(?=[/\s(),.>]|:[A-Za-z/]|$)"
# The second party: a name behind the first address is a text.
_CISCO_SECOND = r"(?:(?! for user [\"'*]).)*?" + (_CISCO_ADDRESS % "dst")[len(".*?") :]
# Translations: the second address is the device's own.
_CISCO_TRANSLATION = _CISCO_HEAD % r"3050(?:09|1[0-2])" + r"(?P<verb>\w+)" + _CISCO_ADDRESS % "src"
# AnyConnect, VPN and AAA: a name that the user chose comes before the address.
_CISCO_USER = _CISCO + rf".*\bIP (?:<|= )(?P<src>{ADDRESS})(?=[>,\s]|$)"
# Commands of an administrator: an address in one is nobody's.
_CISCO_COMMAND = (
    _CISCO_HEAD % r"111(?:00[89]|010)"
    + rf"(?P<verb>User)\b(?:(?:(?!executed ).)*? from IP (?P<src>{ADDRESS})(?=, executed))?"
)
# AAA: a name stands before the two addresses.
_CISCO_NAME = _CISCO_HEAD % r"1090\d\d" + (
    rf"(?P<verb>\w+)(?=.* for user ).* from (?P<src>{ADDRESS})/\d+ to (?P<dst>{ADDRESS})/\d+"
)
# Connections, intrusions and files of FTD: name: value.
_FTD = (
    _CISCO_HEAD % r"43000\d"
    + rf"(?=.*?\bSrcIP: (?P<src>{ADDRESS})(?:,|$))(?=(?:.*?\bDstIP: (?P<dst>{ADDRESS})(?:,|$))?)"
    + r"(?:.*?\b(?:AccessControlRuleAction|InlineResult|FileAction): (?P<verb>[^,]{1,64}))?"
)

# Palo Alto Networks: fields by position, the first 31 of traffic and threat alike. A field with a comma is quoted.
_F = r'(?:"(?:[^"]|"")*"|[^",]*)'
_PALO_ALTO = (
    rf"^(?:[^,]*\s)?[^\s,]*,[^,]*,[^,]*,(?P<type>%s),(?P<subtype>[^,]*),[^,]*,(?P<at>[^,]*),(?P<src>[^,]*),(?P<dst>[^,]*),"
    rf"(?:{_F},){{5}}(?P<app>{_F}),(?:{_F},){{10}}(?:(?P<service>{SERVICE})|[^,]*),(?:[^,]*,){{3}}"
    r"(?P<proto>[^,]*),(?P<action>[^,]*)"
)
#: What a threat has behind the fields that it shares with traffic: the URL or file, then the threat.
_THREAT = rf",{_F},(?P<threat>{_F})"

# pfSense: comma-separated behind the syslog header; what follows the IP version depends on it and on the protocol.
_FILTERLOG = (
    rf"^(?:<\d+>)?(?:1 )?(?P<at>{TIME}) (?:\S+ )?filterlog(?:\[\d+\])?:?(?: \S+ \S+ {STRUCTURED}|\s)"
    r"(?:[^,]*,){6}(?P<action>[^,]*),(?P<direction>[^,]*),%s,"
    rf"[^,]*,(?P<src>[^,]*),(?P<dst>[^,]*)(?:,\d+,(?:(?P<service>{SERVICE})|\d+)(?=,|$))?"
)
_FILTERLOG_4 = r"4,(?:[^,]*,){7}(?P<proto>[^,]*)"
_FILTERLOG_6 = r"6,(?:[^,]*,){3}(?P<proto>[^,]*),[^,]*"

# netfilter: seconds since the start, the rule's prefix, and pairs; in brackets is a packet inside the packet.
_PORT = rf"(?:[^\[]*?\bDPT=(?:(?P<service>{SERVICE})|\d+))?"
_LOGGED = r"(?:\[[ \d]{0,12}\.\d{1,9}\] ?)?(?P<prefix>.{0,128}?)[:\s]{0,8}(?<![^\s\]:>)])IN=\S* OUT=" + _PORT
#: A program with the number of its process writes texts that others chose (a user's name); the kernel has none.
_PROCESS = r"(?!kernel\b|ulogd\b)[^\s:=\[]{1,255}\[\d+\]:"
_UFW = r"(?:\[[ \d]{0,12}\.\d{1,9}\] ?)?\[UFW (?P<prefix>[A-Z ]{1,32})\]" + _PORT
_LOGGER_5424 = r"(?:(?:kernel|ulogd)\b\S* \S+|\S+ -)"
_NETFILTER = Preset(
    "netfilter",
    "Linux netfilter, the LOG target of iptables and nftables",
    f"{_OUTSIDE}; an event is the rule's prefix, the protocol and the service",
    "iptables-extensions(8), LOG; kernel documentation, nf_log_syslog",
    {
        "format": "key-value",
        "fields": [
            rf"^(?:<\d+>)?1 (?P<at>{TIME}) \S+ {_LOGGER_5424} \S+ (?:{STRUCTURED})?{_LOGGED}",
            rf"^(?:<\d+>)?(?P<at>{TIME}) [^=\[]{{0,128}}?\bkernel:\s{{1,4}}{_LOGGED}",
            # by another program, or by none: UniFi names its model and version, ulogd itself; also without host
            rf"^(?:<\d+>)?(?P<at>{TIME}) (?!(?:\S+ )?{_PROCESS})"
            r"(?:(?!\[)\S*[^\s:] (?:[^\s:=]{1,255}:(?!\s{0,4}IN=)\s{1,4})?)?"
            rf"{_LOGGED}",
        ],
        "external_key": {"columns": ["SRC", "DST"], "if_none": "first"},
        "event_column": ["prefix", "PROTO", "service"],
        "time_column": "at",
        "session_minutes": 30,
    },
    r"\bIN=\S* OUT=\S* .*\bSRC=\S+ DST=\S+ ",
)

FIREWALLS = (
    Preset(
        "asa",
        "Cisco Secure Firewall ASA and FTD, syslog",
        f"{_OUTSIDE}; an event is the number of the message and its first word (denied or permitted, of access-list)",
        "Cisco Secure Firewall ASA Series Syslog Messages; messages 106023, 302013, 302014",
        {
            "format": "lines",
            "fields": [
                _FTD,
                _CISCO_TRANSLATION,
                _CISCO_COMMAND,
                _CISCO_NAME,
                _CISCO_USER,
                _CISCO + _CISCO_ADDRESS % "src" + _CISCO_SECOND,
                _CISCO + _CISCO_ADDRESS % "src",
                _CISCO,
            ],
            "external_key": {"columns": ["src", "dst", "device"], "if_none": "first"},
            "event_column": ["id", "verb"],
            "time_column": "at",
            "session_minutes": 30,
        },
        r"%(?:ASA|FTD|PIX)-(?:\w+-)?\d-\d{6}:? ",
    ),
    Preset(
        "fortigate",
        "Fortinet FortiGate, syslog",
        f"{_OUTSIDE}; an event is the type, the action and its status, the service and the attack",
        "FortiOS Administration Guide, Sample logs by log type",
        {
            "format": "key-value",
            # a service without a name is its protocol and port: of a client's, nothing
            "fields": (
                r'^(?:[^"]|"(?:[^"\\]|\\.)*")*?(?<![^\s,])service="?'
                rf"(?P<service>)(?i:tcp|udp|udplite|sctp)/(?!{SERVICE})\d"
            ),
            "external_key": {"columns": ["srcip", "dstip", "remip", "devname", "vd"], "if_none": "first"},
            "event_column": ["type", "subtype", "action", "status", "service", "attack"],
            "time_column": ["date", "time"],
            "session_minutes": 30,
        },
        r'\bdate=\d{4}-\d\d-\d\d time=\S+ .*\blogid="?\d+"? .*\btype="?\w+"? subtype="?',
    ),
    Preset(
        "sophos",
        "Sophos Firewall (XG, SFOS), syslog",
        f"{_OUTSIDE}; an event is the log's type, component and subtype, the status, the protocol, the service and the "
        "signature",
        "Sophos Firewall, Syslog descriptions, Firewall",
        {
            "format": "key-value",
            "fields": [
                rf'(?:\btimestamp="(?P<day>\d{{4}}-\d\d-\d\d)T(?P<clock>[^"]+)")'
                rf'(?:(?:[^"]|"(?:[^"\\]|\\.)*")*?\bdst_port="?(?:(?P<service>{SERVICE})|\d+))?',
                rf"(?:\bdate=(?P<day>\d{{4}}-\d\d-\d\d) time=(?P<clock>\S+))"
                rf'(?:(?:[^"]|"(?:[^"\\]|\\.)*")*?\bdst_port="?(?:(?P<service>{SERVICE})|\d+))?',
            ],
            "external_key": {"columns": ["src_ip", "dst_ip", "device_name", "device"], "if_none": "first"},
            "event_column": [
                "log_type",
                "log_component",
                "log_subtype",
                "status",
                "protocol",
                "service",
                "signature_id",
            ],
            "time_column": ["day", "clock"],
            "session_minutes": 30,
        },
        r'\blog_type="[^"]+" log_component="[^"]+" log_subtype="',
    ),
    Preset(
        "palo-alto",
        "Palo Alto Networks PAN-OS, syslog: TRAFFIC and THREAT",
        f"{_OUTSIDE}; an event is the type, the application, the action, the service and the threat; other types are "
        "passed over",
        "PAN-OS Administrator's Guide, Syslog Field Descriptions, Traffic Log Fields and Threat Log Fields",
        {
            "format": "lines",
            "fields": [
                _PALO_ALTO % "THREAT" + _THREAT,
                _PALO_ALTO % "TRAFFIC",
                r"^(?:[^,]*\s)?[^\s,]*,\d{4}/[^,]*,[^,]*,(?P<type>[A-Z-]+),",
            ],
            "where": {"type": ["TRAFFIC", "THREAT"]},
            "external_key": _BETWEEN,
            "event_column": ["type", "subtype", "app", "action", "service", "threat"],
            "time_column": "at",
            "time_format": "%Y/%m/%d %H:%M:%S",
            "session_minutes": 30,
        },
        r"(?:^|\s)[^\s,]*,\d{4}/\d\d/\d\d \d\d:\d\d:\d\d,[^,]*,[A-Z-]+,[^,]*,",
    ),
    Preset(
        "pfsense-filterlog",
        "pfSense and OPNsense, filterlog",
        f"{_OUTSIDE}; an event is the action, the direction, the protocol and the service",
        "pfSense documentation, Raw Filter Log Format",
        {
            "format": "lines",
            "fields": [_FILTERLOG % _FILTERLOG_4, _FILTERLOG % _FILTERLOG_6],
            "external_key": _BETWEEN,
            "event_column": ["action", "direction", "proto", "service"],
            "action_map": {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "icmpv6": "icmpv6"},
            "time_column": "at",
            "session_minutes": 30,
        },
        r"\bfilterlog\S*:?(?: \S+ - -)? (?:[^,]*,){6}\w+,(?:in|out),[46],",
    ),
    Preset(
        "check-point",
        "Check Point Log Exporter, syslog",
        f"{_OUTSIDE}, else the gateway; an event is the product, the action or operation, the service, the "
        "attack and an audit's status",
        "Check Point Log Exporter, syslog format; shown in syslog-ng, Check Point Log Exporter parser",
        {
            "format": "key-value",
            # a record without a time of its own has that of the header
            "fields": rf'^(?:<\d+>)?(?:1 )?(?P<time>{TIME}) (?!.*[\[;] ?time:"\d)',
            "external_key": {"columns": ["src", "dst", "origin"], "if_none": "first"},
            "event_column": ["product", "action", "operation", "service_id", "attack", "audit_status"],
            "time_column": "time",
            "session_minutes": 30,
        },
        r"\bCheckPoint \S+ - \[.*\b\w+:\"",
    ),
    Preset(
        "ufw",
        "Ubuntu Uncomplicated Firewall, kernel log",
        f"{_OUTSIDE}; an event is what UFW did, the protocol and the service",
        "Ubuntu community documentation, UFW, Interpreting Log Entries",
        {
            **_NETFILTER.settings,
            "fields": [
                rf"^(?:<\d+>)?1 (?P<at>{TIME}) \S+ {_LOGGER_5424} \S+ (?:{STRUCTURED})?{_UFW}",
                rf"^(?:<\d+>)?(?P<at>{TIME}) (?!(?:\S+ )?{_PROCESS})(?:\S+\s{{1,4}}){{0,3}}?{_UFW}",
            ],
        },
        r"\[UFW [A-Z ]+\] IN=",
    ),
    _NETFILTER,
    dataclasses.replace(_NETFILTER, name="iptables", looks=""),
)

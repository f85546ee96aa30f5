"""Presets for what operating systems and their services write: Windows, sshd, auditd, Wazuh."""

from __future__ import annotations

from stackyard_detector.readers.presets.preset import ADDRESS, STRUCTURED, TIME, Preset

_HOST = "a session is a computer for 30 minutes; an event is the provider and the event's id"
_XML = {
    "format": "xml-lines",
    "key_column": "System.Computer",
    "event_column": ["System.Provider.Name", "System.EventID"],
    "time_column": "System.TimeCreated.SystemTime",
    "session_minutes": 30,
}
# RFC 5424; else the first bracket of a line is sshd's: a name that an attacker chose comes behind it
_MODERN = rf"<\d+>1 \S+ \S+ sshd(?:-session|-auth)? \S+ \S+ {STRUCTURED}"
_SSHD_LINE = rf"^(?:{_MODERN}|(?!{_MODERN})[^\[]*\bsshd(?:-session|-auth)?\[\d+\]: )"
# rsyslog writes a line that came again in brackets
_BEFORE = r"(?:message repeated \d{1,9} times: \[ ?)?(?:error: |fatal: |banner exchange: |ssh_dispatch_run_fatal: )?"
_SSHD = _SSHD_LINE + _BEFORE
_ZONE = r"(?:%[\w.-]{1,16})?"
_WHOLE = r"(?!\w|[.:]\w)"
# The client's address is the daemon's word; names, and texts that a client sends, are not. In this order: forms that
# have no name before the address; the last address before a port; older forms without a port; what is left.
_SSHD_KEYS = [
    _SSHD
    + r"(?:Connection (?:closed by|reset by|from)|Disconnect(?:ed|ing)(?: from)?|Received disconnect from"
    r"|Did not receive identification string from|Unable to negotiate with|Read error from remote host|Address"
    rf"|Timeout before authentication for(?: connection from)?) ({ADDRESS}){_WHOLE}",
    _SSHD + rf"(?:pam_|PAM \d)(?:(?!rhost=).)*rhost=({ADDRESS}){_WHOLE}",
    # names stand before the address and behind it: only a line that can be read in one way
    _SSHD
    + rf"Disconnecting (?=.*: Change of username )(?:(?! port \d).)*? ({ADDRESS}){_ZONE} port \d+(?!\d)(?!.* port \d)",
    # behind the port is nothing but what the daemon writes there; a certificate's ID is the client's
    _SSHD + r"(?!pam_|PAM \d|error: |fatal: |Disconnecting .*: Change of username )"
    rf".*(?<![\w.:])({ADDRESS}){_ZONE} port \d+(?: ssh2(?:: \S+ (?:SHA256|MD5):\S+"
    r"(?: ID .{0,512}? \(serial \d+\) CA \S+ \S+)?)?)?(?: id \d+)?(?: \[\w+\])?\]?\s*$",
    _SSHD + r"(?!pam_|PAM \d|error: |fatal: |Disconnecting .*: Change of username )"
    rf".*(?<![\w.:])({ADDRESS}){_ZONE} port \d+(?!\d)",
    _SSHD
    + rf"(?:(?:Invalid|Illegal) user|User|PAM:|pam_access\S*:|Bad protocol|Failed|Accepted|Postponed|Partial) .*"
    rf"\bfrom [`']?({ADDRESS})" + _WHOLE,
    _SSHD + rf"reverse mapping checking .* \[({ADDRESS})\] failed",
    _SSHD + rf"Nasty PTR record .* is set up for ({ADDRESS}), ignoring",
    _SSHD_LINE
    + rf"(?!{_BEFORE}(?:(?:Invalid|Illegal) user|User |PAM[: ]|pam_|Could not|subsystem|Bad protocol|Failed|Accepted"
    r"|Postponed|Partial|input_userauth_request|Connection|Disconnect|Received disconnect|maximum auth|reverse mapping"
    rf"|Nasty PTR))(?!.*{ADDRESS} port \d).*?(?<![\w.:])({ADDRESS}){_WHOLE}",
]
# Audit: no text that a user chose comes before the time and the login session; values with quotes are such.
_AUDIT = r"^[^'\"]{0,512}?\bmsg=audit\((?P<at>\d+(?:\.\d+)?):\d+\)"
#: A field's name that stands in no value with double quotes, and at no other value's beginning.
_UNQUOTED = _AUDIT + r"(?:[^\"]|\"[^\"]*\")*?(?<=[\s'(,])"

HOSTS = (
    Preset(
        "sysmon",
        "Microsoft Sysmon, as XML with one event a line",
        "a session is a computer for 30 minutes; an event is the event's id; other providers are passed over",
        "Sysinternals, Sysmon, Events; event schema of the Windows event log",
        {
            **_XML,
            "event_column": "System.EventID",
            "where": {"System.Provider.Name": "Microsoft-Windows-Sysmon"},
        },
        r"<Event[ >].*<Provider\b[^>]*Name=['\"]Microsoft-Windows-Sysmon['\"]",
    ),
    Preset(
        "windows-events-xml",
        "Windows event log, as XML with one event a line",
        _HOST,
        "Microsoft, Windows security auditing, 4624(S): An account was successfully logged on, Event XML",
        _XML,
        r"<Event[ >].*<System>.*<EventID",
    ),
    Preset(
        "windows-winlogbeat",
        "Windows event log, as Winlogbeat writes JSON",
        _HOST,
        "Elastic, Winlogbeat reference, Exported fields, Winlogbeat",
        {
            "format": "jsonl",
            "key_column": "winlog.computer_name",
            "event_column": ["winlog.provider_name", "winlog.event_id"],
            "time_column": "@timestamp",
            "session_minutes": 30,
        },
        r'"winlog"\s*:\s*\{',
    ),
    Preset(
        "windows-nxlog",
        "Windows event log, as NXLog writes JSON",
        _HOST,
        "NXLog reference manual, im_msvistalog, Fields",
        {
            "format": "jsonl",
            "key_column": "Hostname",
            "event_column": ["SourceName", "EventID"],
            "time_column": "EventTime",
            "session_minutes": 30,
        },
        r'^(?=.*"EventTime"\s*:)(?=.*"Hostname"\s*:)(?=.*"EventID"\s*:).*"SourceName"\s*:',
    ),
    Preset(
        "windows-evtx-dump",
        "Windows event log, as evtx_dump writes JSON lines",
        _HOST,
        "evtx, evtx_dump -o jsonl; event schema of the Windows event log",
        {
            "format": "jsonl",
            "key_column": "Event.System.Computer",
            "event_column": ["Event.System.Provider.#attributes.Name", "Event.System.EventID"],
            "time_column": "Event.System.TimeCreated.#attributes.SystemTime",
            "session_minutes": 30,
        },
        r'"Event"\s*:\s*\{.*"System"\s*:\s*\{.*"#attributes"',
    ),
    Preset(
        "wazuh",
        "Wazuh, alerts.json",
        "a session is an agent for 30 minutes; an event is the rule's id",
        "Wazuh documentation, Event logging, alerts.json",
        {
            "format": "jsonl",
            "key_column": "agent.name",
            "event_column": "rule.id",
            "time_column": "timestamp",
            "session_minutes": 30,
        },
        r'^(?=.*"rule"\s*:\s*\{)(?=.*"agent"\s*:\s*\{).*"(?:decoder|location|manager)"\s*:',
    ),
    Preset(
        "sshd",
        "OpenSSH sshd, syslog",
        "a session is a client's address for 30 minutes; an event is what happened, how, and to what kind of user",
        "OpenSSH portable, auth.c, auth_log",
        {
            "format": "lines",
            "key_pattern": _SSHD_KEYS,
            "event_pattern": [
                _SSHD + r"(Accepted|Failed|Postponed|Partial) (\S+) for ((?:invalid|illegal) user(?= ))?",
                _SSHD + r"(Disconnected|Disconnecting|Connection (?:closed|reset)) (?:from|by) "
                r"((?:authenticating|invalid) user)?",
                _SSHD + r"((?i:maximum authentication attempts exceeded)) for (invalid user)?",
                _SSHD + r"(pam_unix\([\w:-]+\): [a-z ]+)",
                _SSHD + r"(PAM) \d+ (more authentication)",
                _SSHD + r"(Invalid user|Did not receive identification|Connection from|Received disconnect"
                r"|Bad protocol version|Unable to negotiate|reverse mapping checking|User not allowed|Timeout|Nasty PTR"
                r"|Could not)",
                _SSHD + r"(\w+)",
            ],
            "time_pattern": rf"^(?:<\d+>)?(?:1 )?({TIME})",
            "session_minutes": 30,
        },
        r"\bsshd(?:-session|-auth)?(?:\[\d+\]: | \d+ \S+ (?:-|\[.*\]) )",
    ),
    Preset(
        "auditd",
        "Linux Audit, audit.log",
        "a session is a login session (ses), else the address, host, account or program, for 30 minutes; an event is "
        "the record's type, the system call and its success; records that name none of these, and those that only add "
        "to another (CWD, PATH, EXECVE), are passed over",
        "Red Hat Enterprise Linux, Security Guide, Understanding Audit Log Files",
        {
            "format": "key-value",
            "fields": [
                _AUDIT + r"[^'\"]*?(?<![\w-])(?<!old )ses=(?!4294967295\b)(?P<who>\d+)",
                # not set: what failed to log in, or was never logged in
                _UNQUOTED + rf"addr=(?P<who>{ADDRESS})(?![\w:.])",
                _UNQUOTED + r"hostname=(?P<who>[^\s?'\",]+)",
                _UNQUOTED + r"acct=\"?(?P<who>[^\"\s?]+)",
                _UNQUOTED + r"exe=\"?(?P<who>[^\"\s?]+)",
                _UNQUOTED + r"comm=\"?(?P<who>[^\"\s?]+)",
                r"^[^'\"]{0,512}?\bmsg(?P<who>=audit\()(?P<at>\d+(?:\.\d+)?):",
            ],
            # the last of the patterns found nobody
            "nobody": ["-", "=audit("],
            "where": {
                "type": [
                    *(
                        "SYSCALL",
                        "LOGIN",
                        "USER_AUTH",
                        "USER_ACCT",
                        "USER_LOGIN",
                        "USER_LOGOUT",
                        "USER_START",
                    ),
                    *(
                        "USER_END",
                        "USER_CMD",
                        "USER_ERR",
                        "USER_CHAUTHTOK",
                        "USER_MGMT",
                        "CRED_ACQ",
                        "CRED_DISP",
                    ),
                    *("CRED_REFR", "ADD_USER", "DEL_USER", "ADD_GROUP", "DEL_GROUP", "SERVICE_START"),
                    *("SERVICE_STOP", "CRYPTO_KEY_USER", "CRYPTO_SESSION", "ANOM_ABEND", "ANOM_PROMISCUOUS"),
                    *("CONFIG_CHANGE", "SECCOMP", "USER_ROLE_CHANGE"),
                ]
            },
            "key_column": "who",
            "event_column": ["type", "syscall", "success", "res"],
            "time_column": "at",
            "session_minutes": 30,
        },
        r"\btype=[A-Z_]+ msg=audit\(\d+",
    ),
)

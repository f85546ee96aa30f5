"""Presets of what hosts write, on lines in the form of the makers' documents, each named where it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

from tests.stackyard_detector.readers.presets.trying import IN, OTHER, OUT, OUT6, read

SECURITY = "Microsoft-Windows-Security-Auditing"


def _xml(event: int, data: str = "", provider: str = SECURITY, second: int = 9) -> str:
    """An event in the form of Microsoft's page on 4624(S), Event XML, on one line as wevtutil qe writes it."""
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='{provider}' Guid='{{54849625-5478-4994-A5BA-3E3B0328C30D}}'/><EventID>{event}</EventID>"
        "<Version>2</Version><Level>0</Level><Task>12544</Task><Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords>"
        f"<TimeCreated SystemTime='2026-01-08T03:37:{second:02d}.8890630Z'/><EventRecordID>211</EventRecordID>"
        "<Correlation ActivityID='{00D66690-1CDF-0000-AC66-D600DF1CD101}'/><Execution ProcessID='716' ThreadID='760'/>"
        f"<Channel>Security</Channel><Computer>ws-1.example.org</Computer><Security/></System><EventData>{data}"
        "</EventData></Event>"
    )


def test_windows_events_xml(tmp_path: Path) -> None:
    """Microsoft, Windows security auditing, 4624(S): An account was successfully logged on, Event XML."""
    lines = [
        _xml(4624, "<Data Name='TargetUserName'>alice &amp; co</Data><Data Name='LogonType'>2</Data>"),
        _xml(4672, "<Data Name='PrivilegeList'/>"),
        _xml(7036, provider="Service Control Manager"),
        '<!DOCTYPE Event [<!ENTITY a "b">]>' + _xml(4625),
    ]
    found = [("ws-1.example.org", [f"{SECURITY}|4624", f"{SECURITY}|4672", "Service Control Manager|7036"])]
    assert read(tmp_path, "windows-events-xml", lines, quarantined=1) == found
    logons = {"EventData.LogonType": ["2"]}
    only = read(
        tmp_path, "windows-events-xml", lines[:3], where=logons, event_column="EventData.TargetUserName"
    )
    assert only == [("ws-1.example.org", ["alice & co"])]


def test_sysmon(tmp_path: Path) -> None:
    """Sysinternals, Sysmon, Events: 1 process creation, 3 network connection, 22 DNS; other providers pass by."""
    sysmon = "Microsoft-Windows-Sysmon"
    lines = [
        _xml(1, "<Data Name='Image'>C:\\Windows\\System32\\cmd.exe</Data>", sysmon),
        _xml(3, "<Data Name='DestinationIp'>198.51.100.7</Data>", sysmon, 10),
        _xml(22, "<Data Name='QueryName'>www.example.org</Data>", sysmon, 11),
        _xml(4624),
    ]
    assert read(tmp_path, "sysmon", lines[:3]) == [("ws-1.example.org", ["1", "3", "22"])]
    assert read(tmp_path, "sysmon", lines, guess=False) == [("ws-1.example.org", ["1", "3", "22"])]


def test_windows_winlogbeat(tmp_path: Path) -> None:
    """Elastic, Winlogbeat reference, Exported fields, Winlogbeat."""
    row: Dict[str, Any] = {
        "@timestamp": "2026-01-08T03:37:09.889Z",
        "event": {"code": "4624", "provider": SECURITY, "kind": "event", "action": "logged-in"},
        "host": {"name": "ws-1"},
        "winlog": {
            "computer_name": "ws-1.example.org",
            "provider_name": SECURITY,
            "channel": "Security",
            "event_id": 4624,
            "event_data": {"TargetUserName": "alice", "LogonType": "2"},
        },
    }
    second = {**row, "winlog": {**row["winlog"], "event_id": "4634"}}
    assert read(tmp_path, "windows-winlogbeat", [json.dumps(row), json.dumps(second)]) == [
        ("ws-1.example.org", [f"{SECURITY}|4624", f"{SECURITY}|4634"])
    ]


def test_windows_nxlog(tmp_path: Path) -> None:
    """NXLog reference manual, im_msvistalog, Fields, as xm_json writes them."""
    row = {
        "EventTime": "2026-01-08 03:37:09",
        "Hostname": "ws-1.example.org",
        "Keywords": -9214364837600034816,
        "EventType": "AUDIT_SUCCESS",
        "SeverityValue": 2,
        "Severity": "INFO",
        "EventID": 4656,
        "SourceName": SECURITY,
        "Channel": "Security",
        "SourceModuleName": "eventlog",
        "SourceModuleType": "im_msvistalog",
    }
    lines = [
        json.dumps(row),
        json.dumps({**row, "EventID": 4658, "EventTime": "2026-01-08T03:37:10.5+00:00"}),
    ]
    assert read(tmp_path, "windows-nxlog", lines) == [
        ("ws-1.example.org", [f"{SECURITY}|4656", f"{SECURITY}|4658"])
    ]


def test_windows_evtx_dump(tmp_path: Path) -> None:
    """The project evtx, evtx_dump -o jsonl: attributes of an element lie in "#attributes"."""
    row: Dict[str, Any] = {
        "Event": {
            "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
            "System": {
                "Provider": {
                    "#attributes": {"Name": SECURITY, "Guid": "54849625-5478-4994-A5BA-3E3B0328C30D"}
                },
                "EventID": 4624,
                "Keywords": "0x8020000000000000",
                "TimeCreated": {"#attributes": {"SystemTime": "2026-01-08T03:37:09.322481Z"}},
                "EventRecordID": 84336,
                "Correlation": None,
                "Channel": "Security",
                "Computer": "ws-1.example.org",
                "Security": None,
            },
            "EventData": {"TargetUserName": "alice", "LogonType": 2},
        }
    }
    system = {**row["Event"]["System"], "EventID": {"#attributes": {"Qualifiers": 16384}, "#text": 4624}}
    lines = [
        json.dumps(each, separators=(",", ":"))
        for each in (row, {"Event": {**row["Event"], "System": system}})
    ]
    assert read(tmp_path, "windows-evtx-dump", lines) == [("ws-1.example.org", [f"{SECURITY}|4624"] * 2)]


def test_wazuh(tmp_path: Path) -> None:
    """Wazuh documentation, Event logging, alerts.json."""
    row = {
        "timestamp": "2026-01-08T03:37:09.106+0000",
        "rule": {
            "level": 5,
            "description": "sshd: Attempt to login using a non-existent user",
            "id": "5710",
            "mitre": {"id": ["T1110.001"]},
            "firedtimes": 2,
            "mail": False,
            "groups": ["syslog", "sshd"],
        },
        "agent": {"id": "002", "name": "web-1", "ip": IN},
        "manager": {"name": "wazuh-1"},
        "id": "1587082700.80945",
        "full_log": f"Jan  8 03:37:08 web-1 sshd[1]: Invalid user x from {OUT}",
        "decoder": {"parent": "sshd", "name": "sshd"},
        "data": {"srcip": OUT, "srcuser": "x"},
        "location": "/var/log/auth.log",
    }
    other = {**row, "rule": {**row["rule"], "id": "5503"}}  # type: ignore[dict-item]
    assert read(tmp_path, "wazuh", [json.dumps(row), json.dumps(other)]) == [("web-1", ["5710", "5503"])]


def test_sshd(tmp_path: Path) -> None:
    """OpenSSH portable, auth.c (auth_log, allowed_user), packet.c (sshpkt_vfatal), sshd.c; names are the attacker's."""
    head = "Jan  8 03:37:09 host sshd[2742]: "
    lines = [
        f"{head}Connection from {OUT} port 57516 on {IN} port 22 rdomain",
        f"{head}Invalid user admin from {OUT} port 57516",
        f"{head}Failed password for invalid user admin from {OUT} port 57516 ssh2",
        f"{head}Failed password for root from {OUT} port 57516 ssh2",
        f"{head}error: maximum authentication attempts exceeded for root from {OUT} port 57516 ssh2 [preauth]",
        f"{head}Disconnected from authenticating user root {OUT} port 57516 [preauth]",
        f"{head}Connection closed by {OUT} port 57516 [preauth]",
        f"<38>1 2026-01-08T03:37:10.5Z host sshd-session[9]: Accepted publickey for root from {OUT6} port 1 ssh2",
        f"{head}Received disconnect from {OUT6} port 1:11: disconnected by user",
        f"{head}pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
        f"{head}Server listening on 0.0.0.0 port 22.",
    ]
    found = dict(read(tmp_path, "sshd", lines[1:-1]))
    assert found[OUT] == [
        "Invalid user",
        "Failed|password|invalid user",
        "Failed|password",
        "maximum authentication attempts exceeded",
        "Disconnected|authenticating user",
        "Connection closed",
    ]
    assert found[OUT6] == ["Received disconnect", "Accepted|publickey"]
    assert dict(read(tmp_path, "sshd", lines))[OUT][0] == "Connection from"
    chosen = f"{head}Invalid user x sshd[1]: Accepted publickey for root from {OTHER} port 1 ssh2 from {OUT} port 5"
    assert read(tmp_path, "sshd", [chosen])[0][1] == ["Invalid user"]


def test_auditd(tmp_path: Path) -> None:
    """Red Hat Enterprise Linux, Security Guide, Understanding Audit Log Files."""
    lines = [
        "type=SYSCALL msg=audit(1767843429.243:24287): arch=c000003e syscall=2 success=no exit=-13 a0=7fffd19c5592 "
        'items=1 ppid=2686 pid=3538 auid=1000 uid=1000 tty=pts0 ses=1 comm="cat" exe="/bin/cat" key="sshd_config"',
        'type=CWD msg=audit(1767843429.243:24287):  cwd="/home/shadowman"',
        'type=PATH msg=audit(1767843429.243:24287): item=0 name="/etc/ssh/sshd_config" inode=409248 nametype=NORMAL',
        "type=USER_LOGIN msg=audit(1767843430.001:24288): pid=1 uid=0 auid=1000 ses=1 "
        f'msg=\'op=login acct="root" exe="/usr/sbin/sshd" hostname=? addr={OTHER} terminal=ssh res=failed\'',
        "type=DAEMON_START msg=audit(1767843431.713:5305): auditd start, ver=3.0, format=raw, res=success",
    ]
    assert read(tmp_path, "auditd", lines) == [("1", ["SYSCALL|2|no|", "USER_LOGIN|||failed"])]


def test_auditd_without_a_login_session(tmp_path: Path) -> None:
    """Linux Audit documentation: auid and ses of 4294967295 are unset; they are nobody's session."""
    unset = "pid=1 uid=0 auid=4294967295 ses=4294967295"
    lines = [
        f"type=USER_LOGIN msg=audit(1767843429.1:1): {unset} "
        f'msg=\'op=login acct="root" exe="/usr/sbin/sshd" hostname=? addr={OTHER} terminal=ssh res=failed\'',
        f'type=SERVICE_START msg=audit(1767843430.1:2): {unset} msg=\'unit=cron comm="systemd" '
        'exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success\'',
        "type=LOGIN msg=audit(1767843431.1:3): pid=9 uid=0 old-auid=4294967295 auid=0 tty=(none) "
        "old-ses=4294967295 ses=13 res=1",
        "type=LOGIN msg=audit(1767843432.1:4): pid=9 uid=0 old auid=4294967295 new auid=0 "
        "old ses=4294967295 new ses=13",
        "node=web type=CONFIG_CHANGE msg=audit(1767843433.1:5): auid=4294967295 ses=4294967295 op=add_rule res=1",
    ]
    assert read(tmp_path, "auditd", lines) == [
        (OTHER, ["USER_LOGIN|||failed"]),
        ("/usr/lib/systemd/systemd", ["SERVICE_START|||success"]),
        ("13", ["LOGIN|||1", "LOGIN|||"]),
    ]


def test_sshd_behind_a_header_of_rfc_5424(tmp_path: Path) -> None:
    """RFC 5424, section 6; a name that an attacker chose is no header."""
    head = "<38>1 2026-01-08T03:37:10.5Z host sshd 44255 - "
    lines = [
        f'{head}[meta sequenceId="1"] Invalid user tutu from {OUT} port 33166',
        f"{head}- Invalid user x sshd[1]: Accepted publickey for root from {OTHER} port 1 ssh2 from {OUT} port 5",
        f"{head}- Failed password for root from {OUT} port 33166 ssh2",
        f"Jan 8 03:37:11 host sshd[1]: Failed password for root from {OUT6} port 33166 ssh2",
    ]
    found = read(tmp_path, "sshd", lines[:1] + lines[2:], year=2026)
    assert found == [(OUT, ["Invalid user", "Failed|password"]), (OUT6, ["Failed|password"])]
    assert read(tmp_path, "sshd", lines[1:2])[0][1] == ["Invalid user"]


def test_auditd_without_login_session(tmp_path: Path) -> None:
    """auditd(8): an id that is not set is 4294967295; old records of LOGIN say the session before, too."""
    unset = "auid=4294967295 ses=4294967295"
    login = "pid=1 uid=0 old auid=700 new auid=700 old ses=6793 new ses=12286"
    lines = [
        f'type=USER_LOGIN msg=audit(1767843429.1:1): pid=1 uid=0 {unset} msg=\'op=login acct="addr=192.0.2.8" '
        f'exe="/usr/sbin/sshd" hostname=? addr={OUT} terminal=sshd res=failed\'',
        f'type=USER_LOGIN msg=audit(1767843429.2:2): pid=1 uid=0 {unset} msg=\'op=login acct="ses=5" '
        f'exe="/usr/sbin/sshd" hostname=? addr={OUT} terminal=sshd res=failed\'',
        f'type=SYSCALL msg=audit(1767843429.3:3): syscall=44 success=yes {unset} comm="charon" exe="/usr/sbin/charon"',
        f"type=LOGIN msg=audit(1767843429.4:4): {login}",
        "type=LOGIN msg=audit(1767843429.5:5): pid=1 uid=0 old-auid=4294967295 auid=7 old-ses=4294967295 ses=9 res=1",
        f"type=CONFIG_CHANGE msg=audit(1767843429.6:6): audit_enabled=1 old=1 {unset} res=1",
        f'type=USER_ACCT msg=audit(1767843429.7:7): {unset} msg=\'acct="bob" exe="/bin/su" addr=? res=failed\'',
    ]
    assert dict(read(tmp_path, "auditd", lines)) == {
        OUT: ["USER_LOGIN|||failed", "USER_LOGIN|||failed"],
        "/usr/sbin/charon": ["SYSCALL|44|yes|"],
        "12286": ["LOGIN|||"],
        "9": ["LOGIN|||1"],
        "bob": ["USER_ACCT|||failed"],
    }


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (f"Invalid user {OTHER} from {OUT} port 5", "Invalid user"),
        (f"Invalid user {OTHER} from {OUT}", "Invalid user"),
        (f"Invalid user from {OTHER} port 22 from {OUT} port 5", "Invalid user"),
        (
            f"Failed password for invalid user from {OTHER} port 22 ssh2 from {OUT} port 5 ssh2",
            "Failed|password|invalid user",
        ),
        (f"Failed password for invalid user {OTHER} from {OUT} port 5 ssh2", "Failed|password|invalid user"),
        (
            f"Connection closed by invalid user {OTHER} {OUT} port 5 [preauth]",
            "Connection closed|invalid user",
        ),
        (f"Connection closed by invalid user a {OTHER} port 22 {OUT} port 5 [preauth]", None),
        (f"Received disconnect from {OUT} port 5:11: from {OTHER} port 22 [preauth]", "Received disconnect"),
        (f"Received disconnect from {OUT}: 11: from {OTHER} port 22", "Received disconnect"),
        (f"Unable to negotiate with {OUT} port 5: no match. Their offer: {OTHER} port 22 [preauth]", None),
        (
            f"Disconnecting invalid user {OTHER} {OUT} port 5: Change of username or service not allowed: "
            f"({OTHER},ssh-connection) -> ({OTHER},ssh-connection) [preauth]",
            "Disconnecting",
        ),
        (
            f"Disconnecting invalid user {OTHER} {OUT} port 5: Too many authentication failures [preauth]",
            "Disconnecting",
        ),
        (
            f"Failed publickey for a from {OUT} port 5 ssh2: RSA-CERT SHA256:a ID from {OTHER} port 22 ssh2 "
            "(serial 0) CA RSA SHA256:b",
            "Failed|publickey",
        ),
        (
            f"Bad protocol version identification 'from {OTHER} port 22' from {OUT} port 5",
            "Bad protocol version",
        ),
        (f"User a from {OUT} not allowed because not listed in AllowUsers", None),
        (
            f"pam_unix(sshd:auth): authentication failure; logname= uid=0 tty=ssh ruser= rhost={OUT}  "
            f"user=rhost={OTHER}",
            "pam_unix(sshd:auth): authentication failure",
        ),
        (
            f"message repeated 5 times: [ Failed password for root from {OUT} port 5 ssh2]",
            "Failed|password",
        ),
        (f"fatal: Timeout before authentication for {OUT} port 5", None),
        (f"pam_access(sshd:account): access denied for user `from {OTHER}' from `{OUT}'", None),
        (f"error: Received disconnect from {OUT}: 3: {OTHER} port 22 [preauth]", "Received disconnect"),
        (f"reverse mapping checking getaddrinfo for {OTHER} [{OUT}] failed - POSSIBLE BREAK-IN!", None),
        (f"drop connection #10 from [{OUT}]:5 on [{IN}]:22 past MaxStartups", None),
    ],
)
def test_sshd_takes_the_address_that_the_daemon_wrote(tmp_path: Path, message: str, event: str) -> None:
    """OpenSSH portable, auth.c, packet.c: names, offers and reasons are the client's words."""
    ((key, (found,)),) = read(tmp_path, "sshd", [f"Mar  2 10:00:00 h sshd[1]: {message}"], year=2026)
    assert key == OUT
    assert event in (None, found)


def test_a_name_alone_is_no_address_of_sshd(tmp_path: Path) -> None:
    """OpenSSH portable, auth2.c before 7.4: only the name stands in the line."""
    head = "Mar  2 10:00:00 h sshd[1]: "
    lines = [
        f"{head}input_userauth_request: invalid user {OTHER} [preauth]",
        f"{head}Invalid user {OTHER} from host.example.org",
        f"{head}pam_unix(sshd:auth): bad username [{OTHER}]",
        f"{head}error: Could not get shadow information for {OTHER}",
        f"{head}Disconnecting: Too many authentication failures for {OTHER} [preauth]",
        # a reason is cut off after 100 characters
        f"{head}Disconnecting invalid user a {OUT} port 5: Change of username or service not allowed: "
        f"(a,ssh-connection) -> ({'b' * 20} {OTHER} port 22 [preauth]",
        f"{head}Connection closed by {OUT} port 5",
    ]
    assert read(tmp_path, "sshd", lines, year=2026) == [(OUT, ["Connection closed"])]


def test_auditd_finds_no_field_within_an_account(tmp_path: Path) -> None:
    """Linux Audit: accounts with blanks or double quotes are hexadecimal; anything else stands as it was sent."""
    head = "type=USER_AUTH msg=audit(1767843429.1:1): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='op=x "
    rest = 'exe="/usr/sbin/sshd" hostname=? addr=? terminal=ssh res=failed\''
    for account in (f"addr={OTHER}", f"hostname={OTHER}", f"'addr={OTHER}", f"x',addr={OTHER},res=success"):
        assert read(tmp_path, "auditd", [f'{head}acct="{account}" {rest}']) == [
            (account, ["USER_AUTH|||failed"])
        ]

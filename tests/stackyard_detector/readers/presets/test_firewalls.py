"""Presets of firewalls on lines in the form of the makers' documents, each named where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from tests.stackyard_detector.readers.presets.trying import IN, IN2, OTHER, OUT, OUT6, read, years


def test_asa(tmp_path: Path) -> None:
    """Cisco Secure Firewall ASA Series Syslog Messages: 106023, 106100, 302013, 302014, 111008; FTD writes the same."""
    lines = [
        f'Jan  8 03:37:09 192.0.2.1 %ASA-4-106023: Deny tcp src outside:{OUT}/40222 dst inside:{IN}/22 by "x"',
        f"Jan  8 03:37:11 192.0.2.1 %ASA-6-302013: Built inbound TCP connection 1001 for outside:{OUT}/40223 "
        f"({OUT}/40223) to inside:{IN}/443 ({IN}/443)",
        f"Jan  8 03:37:19 192.0.2.1 %ASA-6-302014: Teardown TCP connection 1001 for outside:{OUT}/40223 to "
        f"inside:{IN}/443 duration 0:00:08 bytes 5120 TCP FINs",
        f"<166>Jan 08 2026 03:37:20: %FTD-6-302015: Built outbound UDP connection 7 for outside:{OUT6}/53 ({OUT6}/53) "
        f"to inside:2001:db8:1::5/4000 (2001:db8:1::5/4000)",
        f"Jan  8 03:37:20 192.0.2.1 %ASA-6-106100: access-list outside_in denied tcp outside/{OUT}(4444) -> "
        f"inside/{IN}(80) hit-cnt 1 first hit [0x0, 0x0]",
        "Jan  8 03:37:21 192.0.2.1 %ASA-5-111008: User 'enable_15' executed the 'write memory' command.",
    ]
    assert sorted(read(tmp_path, "asa", lines)) == [
        (OUT, ["106023|Deny", "302013|Built inbound", "302014|Teardown", "106100|denied"]),
        (OUT6, ["302015|Built outbound"]),
        ("ASA", ["111008|User"]),
    ]


def test_fortigate(tmp_path: Path) -> None:
    """FortiOS Administration Guide, Sample logs by log type: forward traffic, IPS, system event."""
    lines = [
        'date=2026-05-10 time=11:37:47 logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" '
        f'eventtime=1557513467369913239 srcip={IN} srcport=58012 srcintf="port12" dstip={OUT} dstport=80 '
        'proto=6 action="close" policyid=1 service="HTTP" app="HTTP.BROWSER_Firefox" duration=116',
        'date=2026-05-10 time=11:38:00 logid="0419016384" type="utm" subtype="ips" eventtype="signature" '
        f'level="alert" vd="root" severity="info" srcip={OUT} dstip={IN} action="dropped" proto=6 service="HTTPS" '
        'attack="Eicar.Virus.Test.File" srcport=52300 dstport=443 msg="file_transfer: Eicar.Virus.Test.File,"',
        '<189>date=2026-05-10 time=11:39:00 devname="fw-1" devid="FG1" logid="0100032002" type="event" '
        'subtype="system" level="alert" vd="root" logdesc="Admin login failed" action="login" status="failed"',
        '<189>date=2026-05-10 time=11:39:09 devname="fw-1" devid="FG1" logid="0100032001" type="event" '
        'subtype="system" level="alert" vd="root" logdesc="Admin login" action="login" status="success"',
    ]
    assert sorted(read(tmp_path, "fortigate", lines)) == [
        (OUT, ["traffic|forward|close||HTTP|", "utm|ips|dropped||HTTPS|Eicar.Virus.Test.File"]),
        ("fw-1", ["event|system|login|failed||", "event|system|login|success||"]),
    ]


def test_sophos(tmp_path: Path) -> None:
    """Sophos Firewall, Syslog descriptions, Firewall: the form of SFOS 17.5, and that with a timestamp since 19."""
    lines = [
        'device="SFW" date=2026-01-31 time=18:13:40 timezone="IST" device_name="XG230" device_id=C01 '
        'log_id=010101600001 log_type="Firewall" log_component="Firewall Rule" log_subtype="Denied" status="Deny" '
        f'priority=Information duration=0 fw_rule_id=2 src_ip={OUT} dst_ip={IN} protocol="TCP" src_port=40222 '
        "dst_port=22 sent_pkts=0",
        '<30>device_name="SFW" timestamp="2026-01-31T18:14:00+0000" device_model="XGS" log_id="010101600001" '
        'log_type="Firewall" log_component="Firewall Rule" log_subtype="Allowed" fw_rule_id="5" '
        f'src_ip="{IN}" dst_ip="{OUT}" protocol="UDP" src_port=51515 dst_port=40000 bytes_sent=100',
        'device="SFW" date=2026-01-31 time=18:15:00 timezone="IST" device_name="XG230" log_id=062009617502 '
        'log_type="Event" log_component="GUI" log_subtype="Admin" status="Successful" priority=Information',
        'device="SFW" date=2026-01-31 time=18:15:09 timezone="IST" device_name="XG230" log_id=062009617502 '
        'log_type="Event" log_component="GUI" log_subtype="Admin" status="Failed" '
        'url="/?dst_port=22\\" dst_port=22" priority=Notice',
    ]
    assert sorted(read(tmp_path, "sophos", lines)) == [
        (OUT, ["Firewall|Firewall Rule|Denied|Deny|TCP|22|", "Firewall|Firewall Rule|Allowed||UDP||"]),
        ("XG230", ["Event|GUI|Admin|Successful|||", "Event|GUI|Admin|Failed|||"]),
    ]


def _palo_alto(kind: str, rest: str, source: str = OUT, port: int = 22, header: str = "") -> str:
    """The fields of PAN-OS, Traffic Log Fields and Threat Log Fields, in their order."""
    return (
        f"{header}1,2026/01/08 03:37:09,007051000113358,{kind},2561,2026/01/08 03:37:08,{source},{IN},192.0.2.4,{IN},"
        f'rule one,"example\\one, two",,ssh,vsys1,untrust,trust,ethernet1/1,ethernet1/2,forward,'
        f"2026/01/08 03:37:09,371791,1,40222,{port},5556,{port},0x400000,tcp,{rest}"
    )


def test_palo_alto(tmp_path: Path) -> None:
    """PAN-OS Administrator's Guide, Syslog Field Descriptions: Traffic, Threat and System Log Fields."""
    lines = [
        _palo_alto(
            "TRAFFIC,end", "allow,7312,2228,5084,22,2026/01/08 03:36:52,16,any,,725,0x8000000000000000"
        ),
        _palo_alto(
            "TRAFFIC,drop",
            "deny,0,0,0,1,2026/01/08 03:36:52,0,any",
            port=40001,
            header="Jan  8 03:37:09 pa-1 ",
        ),
        _palo_alto(
            "THREAT,vulnerability",
            'reset-both,"a,b.exe",SSH Brute Force(40015),any,high,client-to-server,726',
            header="<14>Jan  8 03:37:10 pa-1 ",
        ),
        "1,2026/01/08 03:37:12,007051000113358,SYSTEM,general,2561,2026/01/08 03:37:12,,general,,0,0,general,"
        'informational,"User admin logged in",727,0x0',
    ]
    assert read(tmp_path, "palo-alto", lines) == [
        (
            OUT,
            [
                "TRAFFIC|end|ssh|allow|22|",
                "TRAFFIC|drop|ssh|deny||",
                "THREAT|vulnerability|ssh|reset-both|22|SSH Brute Force(40015)",
            ],
        )
    ]


def test_pfsense_filterlog(tmp_path: Path) -> None:
    """PfSense documentation, Raw Filter Log Format: IPv4 and IPv6 with TCP, UDP and ICMP, both syslog headers."""
    head = "Aug  3 08:59:02 fw filterlog"
    lines = [
        f"{head}[72237]: 4,,,1000000103,igb0,match,block,in,4,0x10,,128,0,0,none,17,udp,328,{OUT},{IN},68,67,308",
        f"{head}: 4,,,1000000103,igb0,match,pass,in,4,0x0,,111,23330,0,DF,6,tcp,52,{OUT},{IN},56735,445,0,S,2,,8,,mss",
        f"{head}: 4,,,1000000103,igb0,match,pass,in,4,0x0,,64,48961,0,DF,1,icmp,84,{OUT},{IN},request,5113,6664",
        f"<134>1 2026-08-03T08:59:05.123456+00:00 fw filterlog 72237 - - "
        f"7,,,1000000105,igb1,match,block,in,6,0x00,0x00000,255,ICMPv6,58,32,{OUT6},ff02::1,",
        f"{head}: 7,,,1000000105,igb1,match,pass,out,6,0x00,0x6cf7c,64,TCP,6,40,{OUT6},2001:db8:1::5,55000,443,0,S,1,,",
    ]
    found = read(tmp_path, "pfsense-filterlog", lines)
    assert sorted(key for key, _ in found) == sorted([OUT, *[OUT6] * (len(found) - 1)])
    assert dict(found)[OUT] == ["block|in|udp|67", "pass|in|tcp|445", "pass|in|icmp|"]
    assert sorted(e for key, events in found for e in events if key == OUT6) == [
        "block|in|icmpv6|",
        "pass|out|tcp|443",
    ]


def test_check_point(tmp_path: Path) -> None:
    """Check Point Log Exporter in syslog form, as syslog-ng's Check Point Log Exporter parser shows it."""
    head = "<134>1 2026-01-08T03:37:09Z gw-1 CheckPoint 13752 - "
    policy = (
        r'__policy_id_tag:"product=VPN-1 & FireWall-1[db_tag={15E4};mgmt=m;date=1;policy_name=Standard\]"'
    )
    lines = [
        f'{head}[action:"Drop"; flags:"400644"; ifdir:"inbound"; ifname:"eth2"; loguid:"{{0x5ab2,0x0}}"; '
        f'origin:"192.0.2.1"; time:"1767843429"; version:"5"; {policy}; dst:"{IN}"; product:"VPN-1 & FireWall-1"; '
        f'proto:"6"; rule_name:"Cleanup rule"; s_port:"40222"; service:"22"; service_id:"ssh"; src:"{OUT}"; ]',
        f'{head}[action:"Accept"; flags:"1"; ifdir:"outbound"; origin:"192.0.2.1"; time:"1767843430"; version:"5"; '
        f'dst:"{OUT}"; product:"VPN-1 & FireWall-1"; proto:"17"; service:"40000"; src:"{IN}"]',
        f'{head}[flags:"133440"; ifdir:"inbound"; origin:"192.0.2.1"; time:"1767843431"; version:"5"; '
        'product:"System Monitor"]',
    ]
    assert sorted(read(tmp_path, "check-point", lines)) == [
        ("192.0.2.1", ["System Monitor|||||"]),
        (OUT, ["VPN-1 & FireWall-1|Drop||ssh||", "VPN-1 & FireWall-1|Accept||||"]),
    ]


def test_ufw(tmp_path: Path) -> None:
    """Ubuntu community documentation, UFW, Interpreting Log Entries."""
    rest = "MAC=00:16:3e LEN=40 TOS=0x00 PREC=0x00 TTL=249 ID=8475"
    lines = [
        f"Feb  4 23:33:37 host kernel: [ 3529.289825] [UFW BLOCK] IN=eth0 OUT= {rest} "
        f"SRC={OUT} DST={IN} PROTO=TCP SPT=80 DPT=22 WINDOW=1024 RES=0x00 SYN URGP=0",
        f"2026-02-04T23:33:38.120000+00:00 host kernel: [UFW ALLOW] IN=eth0 OUT= {rest} SRC={OUT} DST={IN} "
        "PROTO=UDP SPT=4000 DPT=51820 LEN=20",
        f"Feb  4 23:33:39 host kernel: [ 3531.0] [UFW AUDIT] IN=eth0 OUT= {rest} SRC={OUT} DST={IN} PROTO=ICMP TYPE=8",
    ]
    assert [e for _, events in read(tmp_path, "ufw", lines) for e in events] == [
        "BLOCK|TCP|22",
        "ALLOW|UDP|",
        "AUDIT|ICMP|",
    ]


def test_netfilter_behind_other_names_than_the_kernel(tmp_path: Path) -> None:
    """UniFi gateways put model and version where the program stands; ulogd and some devices have their own."""
    rest = f"IN=eth8 OUT= MAC=78:8a SRC={OUT} DST={IN} LEN=60 PROTO=UDP SPT=19610 DPT=4500 LEN=40"
    lines = [
        f"<4>Nov  2 00:08:28 gw-01 UDMPRO,788a20aabbcc,UDM-Pro-3.2.12: [WAN_IN-3001-A]{rest}",
        f"Nov  2 00:08:29 gw-01 [WAN_IN-3001-A]{rest}",
        f"2026-11-02T00:08:30+00:00 gw-01 ulogd[812]: [WAN_IN-3001-A] {rest}",
        f"Nov  2 00:08:31 gw-01 DENY: {rest}",
    ]
    assert [e for _, events in read(tmp_path, "netfilter", lines, guess=True) for e in events] == [
        *["[WAN_IN-3001-A]|UDP|4500"] * 3,
        "DENY|UDP|4500",
    ]


@pytest.mark.parametrize("name", ["netfilter", "iptables"])
def test_netfilter(tmp_path: Path, name: str) -> None:
    """Iptables-extensions(8), LOG, with --log-prefix; an ICMP error holds the packet that it is about."""
    lines = [
        f"Jan  8 03:37:09 gw kernel: DENY: IN=eth0 OUT= MAC=02:00 SRC={OUT} DST={IN} LEN=88 TTL=118 ID=21684 "
        f"PROTO=ICMP TYPE=3 CODE=3 [SRC={IN} DST={OTHER} LEN=60 TTL=54 ID=0 DF PROTO=UDP SPT=21458 DPT=62936 LEN=40 ]",
        f"Jan  8 03:37:10 gw kernel: [12345.678901] DENY: IN=eth0 OUT= MAC=02:00 SRC={OUT} DST={IN2} LEN=52 TTL=115 "
        "ID=15743 DF PROTO=TCP SPT=17805 DPT=445 WINDOW=8192 SYN URGP=0",
        f"Jan  8 03:37:11 gw kernel: IN= OUT=eth0 SRC={IN} DST={OTHER} LEN=52 TTL=64 PROTO=TCP SPT=443 DPT=50000 ACK",
    ]
    assert sorted(read(tmp_path, name, lines, guess=name == "netfilter")) == [
        (OUT, ["DENY|ICMP|", "DENY|TCP|445"]),
        (OTHER, ["|TCP|"]),
    ]


def _asa(message: str) -> str:
    return f"Jan  8 03:37:09 192.0.2.1 %ASA-{message}"


@pytest.mark.parametrize(
    ("message", "key", "event"),
    [
        # a clock and a duration are no addresses
        ("5-771002: CLOCK: set, source: NTP, IP: ntp1, before: 13:44:00.021 GMT", "ASA", "771002|CLOCK"),
        # what a party is translated to is our own address
        (
            f"4-338008: Dynamic Filter dropped TCP traffic from in:{IN}/51638 ({OTHER}/51638) to out:{OUT}/80 "
            f"({OUT}/80), destination {OUT} resolved from dynamic list",
            OUT,
            "338008|Dynamic",
        ),
        (
            f"6-305011: Built dynamic TCP translation from in:{IN}/58159 to out:{OUT}/58159",
            IN,
            "305011|Built",
        ),
        (f"6-302020: Built inbound ICMP connection for faddr {IN2}/0 gaddr {OUT}/0 laddr {IN}/0", IN2, None),
        (
            f"6-302013: Built inbound TCP connection 9 for o:{IN2}/4 ({OUT}/4)(LOCAL\\u) to i:{IN}/80 ({IN}/80) (u)",
            IN2,
            None,
        ),
        (f"5-304001: {IN} Accessed URL {OUT}:http://www.example.org/", OUT, "304001|"),
        (f"5-304001: joe7@{IN}(LOCAL\\joe7) Accessed URL {OUT}:/x", OUT, "304001|"),
        # a name that the user chose stands before the address
        (
            f"6-113039: Group <G> User <{OUT}> IP <{OTHER}> AnyConnect parent session started.",
            OTHER,
            "113039|Group",
        ),
        (
            f"4-722051: Group <G> User <u> IP <{OUT}> IPv4 Address <{IN}> IPv6 address <::> assigned to session",
            OUT,
            "722051|Group",
        ),
        (
            f"6-113005: AAA user authentication Rejected: server = {OUT}, User = u: user IP = {OTHER}",
            OTHER,
            None,
        ),
        (
            f"6-302016 Teardown UDP connection 40 for outside:{OUT}/500 to inside:{IN}/500",
            OUT,
            "302016|Teardown",
        ),
        ("4-418001: Through-the-device packet is denied", "ASA", "418001|Through"),
    ],
)
def test_asa_finds_the_party_and_not_its_own_addresses(
    tmp_path: Path, message: str, key: str, event: Optional[str]
) -> None:
    """Cisco Secure Firewall ASA Series Syslog Messages, each by its number."""
    ((found, events),) = read(tmp_path, "asa", [_asa(message)])
    assert found == key
    assert event is None or events == [event]


def test_ftd_connections_and_intrusions(tmp_path: Path) -> None:
    """Cisco Secure Firewall Threat Defense Syslog Messages, Security Event Syslog Messages: 430001, 430003."""
    lines = [
        "<111>:Jan 08 03:37:09 UTC: %FTD-6-430003: DeviceUUID: 9-1, AccessControlRuleAction: Block, "
        f"SrcIP: {IN}, DstIP: {OUT}, SrcPort: 59698, DstPort: 443, URL: http://x/SrcIP: {OTHER},",
        f"<118>2026-01-08T03:37:10Z %FTD-5-430001: Protocol: tcp, SrcIP: {OUT}, DstIP: {IN}, InlineResult: Drop",
    ]
    with_dates = [line.replace("Jan 08 ", "Jan 08 2026 ") for line in lines]
    assert read(tmp_path, "asa", with_dates) == [(OUT, ["430003|Block", "430001|Drop"])]


HEADERS = (
    "<4>1 2026-01-08T03:37:09Z gw kernel - - - ",
    '<4>1 2026-01-08T03:37:09Z gw kernel 0 - [meta sequenceId="1"] ',
    "2026-01-08T03:37:09-08 gw kernel: [ 12.345678] ",
    "Jan 8 03:37:09 gw kernel: ",
    "Jan  8 03:37:09 gw ",
    "<4>Jan  8 03:37:09 gw ulogd[7]: ",
)


@pytest.mark.parametrize("header", HEADERS)
def test_netfilter_behind_every_header(tmp_path: Path, header: str) -> None:
    """RFC 5424 and RFC 3164, with and without program; a prefix may hold = and brackets; of inner packets nothing."""
    pairs = f"IN=eth8 OUT= MAC=02:00 SRC={OUT} DST={IN} LEN=88 PROTO=ICMP TYPE=3 CODE=3"
    inner = f"[SRC={IN} DST={OTHER} LEN=28 PROTO=UDP SPT=5000 DPT=53 LEN=8 ]"
    lines = [
        f"{header}RULE=5 pol=x {pairs} {inner}",
        f"{header}[WAN_IN-3001-A]IN=eth8 OUT= SRC={OUT} DST={IN} LEN=40 PROTO=TCP SPT=1 DPT=22 SYN",
        f"{header}DROP: {pairs} {inner}",
    ]
    assert read(tmp_path, "netfilter", lines, guess=False) == [
        (OUT, ["RULE=5 pol=x|ICMP|", "[WAN_IN-3001-A]|TCP|22", "DROP|ICMP|"])
    ]
    lines = [
        f"{header}[UFW BLOCK] {pairs} {inner}",
        f"{header}[UFW BLOCK] {pairs.replace('ICMP', 'TCP DPT=22')}",
    ]
    assert read(tmp_path, "ufw", lines, guess=False) == [(OUT, ["BLOCK|ICMP|", "BLOCK|TCP|22"])]


def test_filterlog_with_structured_data_and_a_day_of_one_digit(tmp_path: Path) -> None:
    """RFC 5424, section 6.3; OPNsense writes meta."""
    rest = f"4,,,7,igb0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,60,{OUT},{IN},40370,22,0,S,1,,8,,mss"
    lines = [f'<134>1 2026-08-03T08:59:05-06:00 fw filterlog 7 - [meta sequenceId="1"] {rest}']
    lines += [f"<134>Aug 3 14:59:06 fw filterlog[7]: {rest}"]
    assert read(tmp_path, "pfsense-filterlog", lines) == [(OUT, ["block|in|tcp|22", "block|in|tcp|22"])]


def test_check_point_without_time_of_its_own(tmp_path: Path) -> None:
    """The time of the header is that of the record."""
    head = "<134>1 2026-01-08T03:37:09Z gw-1 CheckPoint 13752 - "
    lines = [
        f'{head}[action:"Drop"; origin:"192.0.2.1"; dst:"{IN}"; src:"{OUT}"; product:"FW"; msg:"a; time:\\"1\\""]',
        f'{head}[action:"Accept"; time:"1767843430"; origin:"192.0.2.1"; dst:"{IN}"; src:"{OUT}"; product:"FW"]',
    ]
    assert read(tmp_path, "check-point", lines) == [(OUT, ["FW|Drop||||", "FW|Accept||||"])]
    assert years(tmp_path, "check-point", lines) == [1767843429.0]


@pytest.mark.parametrize(
    ("message", "key", "event"),
    [
        (f"5-111008: User 'a' executed the 'ping {OUT}' command.", "ASA", "111008|User"),
        (f"7-111009: User 'a' executed cmd: show route {OUT}", "ASA", "111009|User"),
        (f"5-111010: User 'a', running 'CLI' from IP {IN}, executed 'ping {OUT}'", IN, "111010|User"),
        (f"5-111010: User 'a', running 'N/A' from IP 0, executed 'x from IP {OUT}, executed'", "ASA", None),
        (
            f'6-605004: Login denied from {IN}/9 to inside:{IN2}/ssh for user "a {OTHER} b"',
            IN,
            "605004|Login",
        ),
        (
            f'6-315011: SSH session from {IN} on interface inside for user "a {OTHER} b" disconnected',
            IN,
            None,
        ),
        (
            f"6-109006: Authentication failed for user 'from {OTHER}/1 to {OTHER}/2' from {OUT}/4 to {IN}/23 on "
            "interface outside",
            OUT,
            "109006|Authentication",
        ),
    ],
)
def test_asa_takes_no_address_out_of_a_command_or_a_name(
    tmp_path: Path, message: str, key: str, event: Optional[str]
) -> None:
    """Cisco Secure Firewall ASA Series Syslog Messages: 109006, 111008, 111009, 111010."""
    ((found, events),) = read(tmp_path, "asa", [_asa(message)])
    assert found == key
    assert event is None or events == [event]


@pytest.mark.parametrize(
    ("service", "event"),
    [
        ('"tcp/50001"', ""),
        ("udp/50001", ""),
        ('"tcp/8443"', "tcp/8443"),
        ('"tcp/2222"', ""),
        ('"HTTPS"', "HTTPS"),
        ('"icmp/8/0"', "icmp/8/0"),
    ],
)
def test_fortigate_counts_no_port_of_a_client(tmp_path: Path, service: str, event: str) -> None:
    """FortiOS Administration Guide, Sample logs by log type: a service without a name is its protocol and port."""
    line = (
        'date=2026-05-10 time=11:37:47 logid="0000000013" type="traffic" subtype="forward" vd="root" '
        f'url="a \\" service=tcp/1" srcip={OUT} dstip={IN} action="deny" service={service} duration=1'
    )
    assert read(tmp_path, "fortigate", [line]) == [(OUT, [f"traffic|forward|deny||{event}|"])]


@pytest.mark.parametrize("name", ["netfilter", "ufw"])
def test_a_name_that_sshd_was_sent_is_no_packet(tmp_path: Path, name: str) -> None:
    """Logs of several programs: what another process writes is a text, whatever stands in it."""
    packet = f"[UFW BLOCK] IN=eth0 OUT= SRC={OUT} DST={IN} PROTO=TCP SPT=1 DPT=22"
    spoofed = packet.replace(OUT, OTHER)
    lines = [
        f"Jan  8 03:37:09 gw kernel: {packet}",
        f"Jan  8 03:37:09 gw sshd[7]: Invalid user {spoofed} from {IN} port 5",
        f"Jan  8 03:37:09 gw sshd[7]: Invalid user kernel: {spoofed} from {IN} port 5",
        f"<38>1 2026-01-08T03:37:09Z gw sshd 44255 - - Invalid user {spoofed} from {IN} port 5",
    ]
    ((key, (_,)),) = read(tmp_path, name, lines, quarantined=3, guess=False)
    assert key == OUT

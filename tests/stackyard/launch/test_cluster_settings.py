"""clusters.toml: what it may say, and one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackyard.errors import BadInputError
from stackyard.launch import cluster_settings
from stackyard.launch.cluster_settings import KubernetesSettings, SlurmSettings
from stackyard.settings import Settings

SLURM = """
[slurm]
partition = "short,long"
account = "lab"
qos = "normal"
constraint = "avx512&ib"
exclusive = true
gpu_type = "a100"
minutes = 90
options = ["--mail-type=FAIL", "--licenses=foo:2"]
shared = true
poll_seconds = 5
"""


def home(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "clusters.toml").write_text(text)
    return Settings(home=tmp_path)


def test_without_a_file_and_without_its_table_defaults_hold(tmp_path: Path) -> None:
    assert cluster_settings.slurm(Settings(home=tmp_path)) == SlurmSettings()
    assert cluster_settings.kubernetes(home(tmp_path, "[slurm]\n")) == KubernetesSettings()


def test_every_key_of_slurm_is_taken(tmp_path: Path) -> None:
    assert cluster_settings.slurm(home(tmp_path, SLURM)) == SlurmSettings(
        partition="short,long",
        account="lab",
        qos="normal",
        constraint="avx512&ib",
        exclusive=True,
        gpu_type="a100",
        minutes=90,
        options=("--mail-type=FAIL", "--licenses=foo:2"),
        shared=True,
        poll_seconds=5.0,
    )


def test_a_variable_names_another_file_which_then_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text('[slurm]\npartition = "mine"\n')
    settings = home(tmp_path, '[slurm]\npartition = "other"\n')
    monkeypatch.setenv("STACKYARD_CLUSTERS", str(tmp_path / "mine.toml"))
    assert cluster_settings.slurm(settings).partition == "mine"
    monkeypatch.setenv("STACKYARD_CLUSTERS", str(tmp_path / "missing.toml"))
    with pytest.raises(BadInputError, match=r"missing\.toml: cannot be read"):
        cluster_settings.slurm(settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[slrum]\n", r"slrum is an unknown table, expected one of slurm, kubernetes \(did you mean 'slurm'"),
        ('[slurm]\npartitions = "a"\n', r"slurm.partitions is an unknown key.*'partition'"),
        ('[slurm]\npartition = "a b"\n', "slurm.partition is 'a b', expected a word without spaces"),
        ('[slurm]\npartition = "-x"\n', "slurm.partition is '-x'"),
        ('[slurm]\nexclusive = "yes"\n', "slurm.exclusive is 'yes', expected true or false"),
        ("[slurm]\nminutes = 0\n", "slurm.minutes is 0, expected a whole number from 1"),
        ("[slurm]\npoll_seconds = 0.1\n", "slurm.poll_seconds is 0.1, expected seconds from 0.5 to 300"),
        ('[slurm]\noptions = ["mail"]\n', r"slurm.options is \['mail'\], expected options such as"),
        ('[slurm]\noptions = ["--outp=x"]\n', "slurm.options holds '--outp=x', expected none of those"),
        ('[slurm]\noptions = ["--partition=x"]\n', "slurm.options holds '--partition=x'"),
        ('[slurm]\noptions = ["--a=1\\nx"]\n', "slurm.options is"),
        ("[slurm]\nshared = 1\n", "slurm.shared is 1, expected true or false"),
        ("slurm = 3\n", r"slurm is 3, expected a table \[slurm\]"),
        ("[slurm\n", "not TOML"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        cluster_settings.slurm(home(tmp_path, text))


KUBERNETES = """
[kubernetes]
shared_folder = "/shared/lab"
claim = "lab"
namespace = "lab"
context = "kind-lab"
pull_secret = "registry"
runtime_class = "nvidia"
user = 1000
group = 1001
cores = 2.5
memory = "4 GiB"
temporary = "2 GiB"
keep_seconds = 120
minutes = 30
poll_seconds = 3
[kubernetes.images]
"torch-2.13.0-cpu" = "registry.example:5000/torch@sha256:00"
[kubernetes.node_selector]
"example.org/pool" = "cpu"
"""


def test_every_key_of_kubernetes_is_taken(tmp_path: Path) -> None:
    assert cluster_settings.kubernetes(home(tmp_path, KUBERNETES)) == KubernetesSettings(
        shared_folder=Path("/shared/lab"),
        claim="lab",
        namespace="lab",
        context="kind-lab",
        images=(("torch-2.13.0-cpu", "registry.example:5000/torch@sha256:00"),),
        pull_secret="registry",
        node_selector=(("example.org/pool", "cpu"),),
        runtime_class="nvidia",
        user=1000,
        group=1001,
        cores=2.5,
        memory_bytes=4 * 2**30,
        temporary_bytes=2 * 2**30,
        keep_seconds=120,
        minutes=30,
        poll_seconds=3.0,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected either claim or host_path"),
        ('claim = "a"\nhost_path = "/a"', "expected either claim or host_path"),
        ('claim = "A_b"', "kubernetes.claim is 'A_b', expected a name of Kubernetes"),
        (
            'claim = "a"\nshared_folder = "shared"',
            "kubernetes.shared_folder is 'shared', expected an absolute path",
        ),
        ('claim = "a"\nuser = 0', "kubernetes.user is 0, expected a whole number from 1"),
        ('claim = "a"\nmemory = "much"', "kubernetes.memory is 'much', expected a size"),
        ('claim = "a"\nkeep_seconds = 1', "kubernetes.keep_seconds is 1, expected a whole number from 60"),
        ('claim = "a"\nreplicas = 1', "kubernetes.replicas is an unknown key"),
        (
            'claim = "a"\n[kubernetes.images]\nx = "a b"',
            "kubernetes.images.x is 'a b', expected an image's name",
        ),
    ],
)
def test_a_mistake_of_kubernetes_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        cluster_settings.kubernetes(home(tmp_path, f"[kubernetes]\n{text}\n"))

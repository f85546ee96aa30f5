"""Ready settings for the public tables of the two studies: columns, target, and what is no feature."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from stackyard_task.channel import BadInput


def _names(text: str) -> List[str]:
    return text.split()


_NSL_KDD = _names(
    "duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent hot "
    "num_failed_logins logged_in num_compromised root_shell su_attempted num_root num_file_creations "
    "num_shells num_access_files num_outbound_cmds is_host_login is_guest_login count srv_count "
    "serror_rate srv_serror_rate rerror_rate srv_rerror_rate same_srv_rate diff_srv_rate "
    "srv_diff_host_rate dst_host_count dst_host_srv_count dst_host_same_srv_rate dst_host_diff_srv_rate "
    "dst_host_same_src_port_rate dst_host_srv_diff_host_rate dst_host_serror_rate "
    "dst_host_srv_serror_rate dst_host_rerror_rate dst_host_srv_rerror_rate class difficulty"
)
_DIABETES = _names("pregnancies glucose pressure skin insulin bmi pedigree age diabetes")
_RED_WINE = _names(
    "fixed_acidity volatile_acidity citric_acid residual_sugar chlorides free_sulfur_dioxide total_sulfur_dioxide "
    "density ph sulphates alcohol quality"
)


def _csv(
    target: str, task: str = "classification", drop: Tuple[str, ...] = (), **more: Any
) -> Dict[str, Any]:
    return {"format": "csv", "target": target, "task": task, "drop": list(drop), **more}


#: Name -> the keys of a source that it stands for.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "mnist-784": {"format": "idx"},
    "pima-diabetes": _csv("diabetes", header=False, columns=_DIABETES),
    "red-wine": _csv("quality", "regression", header=False, columns=_RED_WINE),
    # sums of 16 converters, whose own columns would tell the answer
    "wave-energy": _csv("Powerall", "regression", tuple(f"P{number}" for number in range(1, 17))),
    "kpi-kqi": _csv("Service"),
    "unac": _csv("output", drop=("file",)),
    "iot-apd": _csv("label", drop=("second",)),
    "nsr": _csv("slice Type"),
    "deepslice": _csv("Slice Type"),
    "nsl-kdd": _csv("class", drop=("difficulty",), header=False, columns=_NSL_KDD, one_against_rest="normal"),
    "nsl-kdd-attacks": _csv("class", drop=("difficulty",), header=False, columns=_NSL_KDD),
    "iot-dnl": _csv("normality"),
}


def settings(name: Any) -> Mapping[str, Any]:
    """The keys that preset ``name`` stands for.

    Raises:
        BadInput: there is no such preset.
    """
    if name not in PRESETS:
        raise BadInput(f"there is no preset {name!r}; there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]

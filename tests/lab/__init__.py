"""The lab for real: systemd hosts in containers, SSH, playbooks. Run by ``make lab-test``, not by ``make test``."""

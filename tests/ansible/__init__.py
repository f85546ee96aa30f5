"""The playbooks and roles of ansible/ without a host; with hosts they are tested in tests/lab."""

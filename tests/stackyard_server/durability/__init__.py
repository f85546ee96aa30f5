"""What the server was given, it keeps: killed processes, full disks, jumping clocks, synced writes."""

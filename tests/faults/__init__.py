"""What happens when things break: the table of faults, played for real."""

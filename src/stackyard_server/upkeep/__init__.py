"""What keeps the server well: the watchdog over silent tasks, the cleaning, backup and restore."""

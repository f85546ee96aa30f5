"""What the embedded server withstands: requests made to stop it, damaged folders, hostile backups, its clients."""

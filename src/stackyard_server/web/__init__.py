"""The pages of the embedded web interface, rendered here; they call endpoints as any client does."""

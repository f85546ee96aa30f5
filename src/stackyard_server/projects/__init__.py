"""Projects: their tree changed, what they hold, what is said about them; shared by services.

Finding them is in ``store.projects``.
"""

"""Tuners side by side on tables that nobody here wrote, replayed under a virtual clock; and live figures."""

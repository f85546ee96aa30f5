"""Simulated sessions: what draws, benign behaviours, attacks, sites, and how sessions are made and written."""

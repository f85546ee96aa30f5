"""Tuning: trials of one workload over a space of parameters, under limits on what they may use.

A study file says what is searched (``space``), what is sought (``objectives``), what a trial may use (``limits``) and
what the whole may cost (``budget``). ``engine`` decides what to run next and what to end; it is pure and knows no
clock, file or process. ``controller`` makes trials happen, through ``matrix``' attempts, and keeps the state in the
study's folder.
"""

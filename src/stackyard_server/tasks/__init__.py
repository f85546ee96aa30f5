"""Tasks: how one is made, changed, queued, run, ended and taken away; shared by every service that touches one.

``changes`` holds the one door through which a status is written, ``creation`` new tasks and copies, ``editing``
their fields, ``contents`` what they hold (parameters, configuration, artifacts, models), ``queueing`` the way into
and out of queues, ``ending`` stop, publish, archive, ``removal`` reset and delete, ``loss`` what became of a lost one;
``models`` what runs leave, ``reports`` the tasks that are texts about others. The machine itself and the form of the
document's parts are pure rules (``rules.task_status``, ``rules.task_document``). Imports rules, the store and
``calls.Call``; no endpoint.
"""

"""The rows of the acceptance checklist (1 to LAST) that no test is named after, and why.

Every other row has a test `test_checklist_NN_what`; test_checklist.py holds the two together.
"""

LAST = 122

WITHOUT_TEST: dict[int, str] = {
    20: "environment: the provider's own SMS to its customer; ours has the token",
    48: "environment: addresses, certificate and machinery of the probed host",
    106: "environment: 99.9 % a year is a property of an installation, not of a run",
    110: "later issue: dashboards and collectors; every service logs JSON lines and masks secrets now",
    117: "operations: where copies are kept; that a killed process loses nothing is invariant 7's test",
    119: "later issue: the score of a market, in the report of a simulated run (resolutions 28)",
    120: "environment: the markets' grades of one quarter; the later issue's score reproduces them",
    121: "environment: the .NET project's own unit tests and report",
    122: "roadmap: only what an issue names",
}

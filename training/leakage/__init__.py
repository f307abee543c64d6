"""The leakage guard: before anything is fitted, did any row know its future?

    folds, recompute        the arithmetic of a history: derived again, bit for bit, nobody can vouch against it
    alone, names, values, encoded, times, panel, accounts, rows
                            one module per doubt; the same for histories and wide tables
    quick                   what the suspects are worth: a quick model with and without them
    findings                what was found, what stops, who overruled it

`examine` looks at a labelled table, `check` at a history's training matrix; `require` stops or returns the record.
"""

from training.leakage.findings import Finding, Findings, Severity, named, require
from training.leakage.histories import check
from training.leakage.roles import Roles
from training.leakage.tables import doubts, examine

__all__ = ["Finding", "Findings", "Roles", "Severity", "check", "doubts", "examine", "named", "require"]

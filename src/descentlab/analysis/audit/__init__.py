"""What a sceptical reviewer would ask about a store of runs, asked first.

from descentlab.analysis import load
from descentlab.analysis.audit import audit
findings = audit(load("store"))  # sorted, the gravest first
"""

from __future__ import annotations

from descentlab.analysis.audit.finding import Finding, Severity
from descentlab.analysis.audit.kit import CHECKS, audit

__all__ = ["CHECKS", "Finding", "Severity", "audit"]

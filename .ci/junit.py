"""Parses a JUnit file as other tools do and wants its counts to be those of its cases."""

import sys

from junitparser import Error, Failure, JUnitXml

doc = JUnitXml.fromfile(sys.argv[1])
wrong = []
sums = [0, 0, 0]
for suite in doc:
    cases = list(suite)
    found = [
        len(cases),
        sum(any(isinstance(r, Failure) for r in c.result) for c in cases),
        sum(any(isinstance(r, Error) for r in c.result) for c in cases),
    ]
    told = [suite.tests, suite.failures, suite.errors]
    if told != found:
        wrong.append(f"{suite.name}: got tests, failures and errors {told}, want {found}")
    verdict = {p.name: p.value for p in suite.properties()}.get("verdict")
    if (verdict == "PASS") != (found[1] + found[2] == 0):
        wrong.append(f"{suite.name}: got {found} with verdict {verdict}")
    sums = [a + b for a, b in zip(sums, found)]
if [doc.tests, doc.failures, doc.errors] != sums or sums[0] == 0:
    wrong.append(f"got {[doc.tests, doc.failures, doc.errors]} in all, want {sums}")
print("\n".join(wrong) or f"{sums[0]} cases, {sums[1]} failures, {sums[2]} errors")
sys.exit(bool(wrong))

"""The numbered checks, one file a family; importing this package registers all of them."""

from kolm.verify.check import TABLE
from kolm.verify.checks import (  # noqa: F401 - importing a file registers its checks
    cases,
    claims,
    compute,
    container,
    kscore,
    on_request,
    policy,
    predictions,
    scope_records,
    scope_roles,
    scope_tensors,
    scores,
    signatures,
    split,
)

ALL_CHECKS = tuple(TABLE[number] for number in sorted(TABLE))

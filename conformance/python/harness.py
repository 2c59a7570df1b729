"""What the scripts have in common: comparisons, and cases that print
"ok NAME" or "FAIL NAME: WHY".
"""

import re
import traceback

from azure.core.exceptions import HttpResponseError

FAST = {"_polling_interval": 0.05}


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def refused(call, status, *texts):
    try:
        call()
    except HttpResponseError as error:
        equal(error.status_code, status)
        for text in texts:
            assert text in error.message, f"got {error.message!r}, want {text!r} in it"
        return error
    raise AssertionError("the call succeeded")


def run(cases):
    for name, case in cases.items():
        try:
            case()
            print(f"ok {name}", flush=True)
        except Exception:  # pylint: disable=broad-except
            print(f"FAIL {name}: " + re.sub(r"\s*\n\s*", " | ", traceback.format_exc().strip()), flush=True)

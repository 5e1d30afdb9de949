from __future__ import annotations

from keyferry.metrics import count_provider_call, provider_calls


def test_calls_are_counted_by_provider_call_and_status():
    before = provider_calls.copy()

    count_provider_call("Test/Store", "GetIt", ok=True)
    count_provider_call("Test/Store", "GetIt", ok=True)
    count_provider_call("Test/Store", "GetIt", ok=False)

    assert provider_calls - before == {
        ("Test/Store", "GetIt", "success"): 2,
        ("Test/Store", "GetIt", "error"): 1,
    }
    provider_calls.subtract(provider_calls - before)
    for key in [key for key in provider_calls if key not in before]:
        del provider_calls[key]

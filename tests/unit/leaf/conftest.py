"""Settings for the tests of the leaf modules."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("keyferry", deadline=None)  # machines that test are often busy
hypothesis.settings.load_profile("keyferry")

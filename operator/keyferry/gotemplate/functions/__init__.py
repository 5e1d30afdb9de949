"""What templates can call: one module per subject, each with its `group`; `table` has all of them."""

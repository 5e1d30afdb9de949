"""Go's package time: moments, durations, layouts, zones."""

"""Texts: Go's fmt, its regular expressions, and semantic versions."""

"""Texts: Go's characters, its fmt and regular expressions, and semantic versions."""

"""The language: text to tokens (`lexer`), to nodes (`parser`), to closures that run (`calls`, `compiler`)."""

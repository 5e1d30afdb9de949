module keyferry.io/tests/unit/core/oracle

go 1.24

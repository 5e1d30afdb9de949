module keyferry.io/tests/oracle/re2

go 1.22

module keyferry.io/tests/oracle/jsonpath

go 1.21

require (
	github.com/PaesslerAG/gval v1.2.4
	github.com/PaesslerAG/jsonpath v0.1.1
)

require github.com/shopspring/decimal v1.3.1 // indirect

package main

import (
	"bytes"
	"text/template"
	"time"
)

// timing is what one render takes, in nanoseconds; the best of several rounds.
type timing struct {
	Render  int64 `json:"render"`  // as the reference operator renders: parsed anew each time
	Execute int64 `json:"execute"` // parsed once
}

const rounds = 5

func measure(q question, functions template.FuncMap) timing {
	decoded, err := decode(q.Data)
	if err != nil {
		panic(err)
	}
	values := make(map[string][]byte)
	for key, value := range decoded.(map[string]string) {
		values[key] = []byte(value)
	}
	once, err := parse(q, functions)
	if err != nil {
		panic(err)
	}
	return timing{
		Render: best(q.Times, func() {
			t, err := parse(q, functions)
			if err != nil {
				panic(err)
			}
			execute(t, values)
		}),
		Execute: best(q.Times, func() { execute(once, values) }),
	}
}

// execute turns the values into strings first: that is how the reference operator gets them.
func execute(t *template.Template, values map[string][]byte) {
	data := make(map[string]string, len(values))
	for key, value := range values {
		data[key] = string(value)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		panic(err)
	}
}

func best(times int, do func()) int64 {
	least := int64(1<<63 - 1)
	for range rounds {
		begin := time.Now()
		for range times {
			do()
		}
		least = min(least, int64(time.Since(begin))/int64(times))
	}
	return least
}

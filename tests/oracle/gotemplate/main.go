// Command gotemplate-oracle answers what Go's text/template makes of a template, with the functions that the
// reference operator offers.
//
//	oracle render      one case a line on stdin, one answer a line on stdout
//	oracle signatures  the type of every function, as one JSON object
//	oracle bench       one case a line, with "times"; nanoseconds of one render, with parsing and without
//
// Strings travel in base64, since they are bytes. Run it with TZ=UTC.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"text/template"
	"time"
)

const patience = 10 * time.Second

type question struct {
	Name  []byte          `json:"name"`
	Text  []byte          `json:"text"`
	Left  []byte          `json:"left"`
	Right []byte          `json:"right"`
	Data  json.RawMessage `json:"data"`
	Times int             `json:"times"`
}

type answer struct {
	Output []byte `json:"output,omitempty"`
	Error  []byte `json:"error,omitempty"`
	Stage  string `json:"stage"` // parse, execute, done, or timeout
}

// parse makes the template as the reference operator makes it, anew for each render.
func parse(q question, functions template.FuncMap) (*template.Template, error) {
	return template.New(string(q.Name)).
		Option("missingkey=error").
		Funcs(functions).
		Delims(string(q.Left), string(q.Right)).
		Parse(string(q.Text))
}

func render(q question, functions template.FuncMap) (a answer) {
	stage := "parse"
	defer func() {
		if r := recover(); r != nil {
			a = answer{Stage: stage, Error: fmt.Appendf(nil, "panic: %v", r)}
		}
	}()
	data, err := decode(q.Data)
	if err != nil {
		panic(err)
	}
	t, err := parse(q, functions)
	if err != nil {
		return answer{Stage: stage, Error: []byte(err.Error())}
	}
	stage = "execute"
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return answer{Stage: stage, Error: []byte(err.Error())}
	}
	return answer{Stage: "done", Output: out.Bytes()}
}

// inTime gives up on a template that does not end, and leaves it running: nothing can stop it.
func inTime(q question, functions template.FuncMap) answer {
	done := make(chan answer, 1)
	go func() { done <- render(q, functions) }()
	select {
	case a := <-done:
		return a
	case <-time.After(patience):
		return answer{Stage: "timeout"}
	}
}

// each answers every question on stdin, in order.
func each[A any](answerTo func(question) A) error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	questions := json.NewDecoder(in)
	answers := json.NewEncoder(out)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			return err
		}
		if err := answers.Encode(answerTo(q)); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

func run(command string) error {
	functions := functionMap()
	switch command {
	case "render":
		return each(func(q question) answer { return inTime(q, functions) })
	case "bench":
		return each(func(q question) timing { return measure(q, functions) })
	case "signatures":
		return json.NewEncoder(os.Stdout).Encode(signatures(functions))
	}
	return fmt.Errorf("no command %q", command)
}

func main() {
	command := ""
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	if err := run(command); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

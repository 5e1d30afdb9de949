// Command gjson-oracle answers what tidwall/gjson makes of a document and a path.
//
// It reads one case a line on stdin, {"json": base64, "path": base64}, and writes one answer a line:
// {"exists", "type", "string": base64, "raw": base64}, or {"panic": true} where gjson panics.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/tidwall/gjson"
)

type question struct {
	JSON []byte `json:"json"`
	Path []byte `json:"path"`
}

type answer struct {
	Exists bool   `json:"exists"`
	Type   string `json:"type"`
	String []byte `json:"string"`
	Raw    []byte `json:"raw"`
	Panic  bool   `json:"panic,omitempty"`
}

func ask(q question) (a answer) {
	defer func() {
		if recover() != nil {
			a = answer{Panic: true}
		}
	}()
	r := gjson.Get(string(q.JSON), string(q.Path))
	return answer{Exists: r.Exists(), Type: r.Type.String(), String: []byte(r.String()), Raw: []byte(r.Raw)}
}

func run() error {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	questions := json.NewDecoder(in)
	answers := json.NewEncoder(out)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			return err
		}
		if err := answers.Encode(ask(q)); err != nil {
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

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

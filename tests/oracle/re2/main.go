// Command re2-oracle answers what Go's package regexp makes of a pattern, a text and a replacement.
//
// It reads one case a line on stdin, {"pattern", "text", "replacement"}, and writes one answer a line:
// {"error"} where the pattern is none, else {"matches", "replaced"}.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

type question struct {
	Pattern     string `json:"pattern"`
	Text        string `json:"text"`
	Replacement string `json:"replacement"`
}

type answer struct {
	Error    string `json:"error"`
	Matches  bool   `json:"matches"`
	Replaced string `json:"replaced"`
}

func ask(q question) answer {
	pattern, err := regexp.Compile(q.Pattern)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Matches: pattern.MatchString(q.Text), Replaced: pattern.ReplaceAllString(q.Text, q.Replacement)}
}

func run() error {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	questions := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	answers := json.NewEncoder(out)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			return err
		}
		if err := answers.Encode(ask(q)); err != nil {
			return err
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

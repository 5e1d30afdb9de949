// Command jsonpath-oracle answers what PaesslerAG/jsonpath finds in a document, as the webhook of the reference
// operator reads it.
//
// It reads one case a line on stdin, {"path": …, "document": …}, and writes one answer a line:
// {"parses", "exists", "unstable", "value": base64 or null, "members": {key: base64} or null}. "value" is what stands
// for the result as one value, "members" what its members become; "unstable" says that the order of a map in Go
// decides about the result.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/PaesslerAG/gval"
	"github.com/PaesslerAG/jsonpath"
)

// Go's maps are ranged over in random order: so often a case is asked to learn whether that matters.
const tries = 40

var _ = gval.Full // pins the version of the language under jsonpath

type question struct {
	Path     string `json:"path"`
	Document string `json:"document"`
}

type answer struct {
	Parses   bool               `json:"parses"`
	Exists   bool               `json:"exists"`
	Unstable bool               `json:"unstable"`
	Value    *[]byte            `json:"value"`
	Members  *map[string][]byte `json:"members"`
}

func valueOf(found any) *[]byte {
	var text []byte
	switch typed := found.(type) {
	case nil:
		text = []byte{}
	case bool:
		text = strconv.AppendBool(nil, typed)
	case float64:
		text = strconv.AppendFloat(nil, typed, 'f', 0, 64)
	case string:
		text = []byte(typed)
	case []any:
		if len(typed) == 0 {
			return nil
		}
		return valueOf(typed[0])
	default:
		text, _ = json.Marshal(typed)
	}
	return &text
}

func member(found any) []byte {
	switch typed := found.(type) {
	case nil:
		return []byte{}
	case string:
		return []byte(typed)
	case float64:
		return strconv.AppendFloat(nil, typed, 'f', -1, 64)
	default:
		text, _ := json.Marshal(typed)
		return text
	}
}

func membersOf(found any) *map[string][]byte {
	if text, is := found.(string); is {
		if json.Unmarshal([]byte(text), &found) != nil {
			return nil
		}
	}
	object, is := found.(map[string]any)
	if !is {
		return nil
	}
	members := map[string][]byte{}
	for key, inner := range object {
		members[key] = member(inner)
	}
	return &members
}

func ask(q question) (a answer) {
	defer func() {
		if recover() != nil {
			a = answer{Unstable: true} // a panic of the library: nothing to compare with
		}
	}()
	evaluable, err := jsonpath.New(q.Path)
	if err != nil {
		return answer{}
	}
	_ = evaluable
	var document any
	if json.Unmarshal([]byte(q.Document), &document) != nil {
		return answer{Parses: true}
	}
	found, err := jsonpath.Get(q.Path, document)
	a = answer{Parses: true, Exists: err == nil}
	first := fmt.Sprintf("%#v %v", found, err == nil)
	for i := 0; i < tries; i++ {
		again, err := jsonpath.Get(q.Path, document)
		if fmt.Sprintf("%#v %v", again, err == nil) != first {
			return answer{Unstable: true}
		}
	}
	if err == nil {
		a.Value, a.Members = valueOf(found), membersOf(found)
	}
	return a
}

func run() error {
	questions := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
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

package main

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// decode makes a Go value of its description: null, or an object with one member whose name tells the type.
// Numbers are texts, so that none of their bits gets lost on the way.
func decode(raw json.RawMessage) (any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	for kind, inside := range object {
		return decodeKind(kind, inside)
	}
	return nil, fmt.Errorf("no type in %s", raw)
}

func decodeKind(kind string, raw json.RawMessage) (any, error) {
	switch kind {
	case "string":
		text, err := as[[]byte](raw)
		return string(text), err
	case "bytes":
		return as[[]byte](raw)
	case "bool":
		return as[bool](raw)
	case "strings":
		parts, err := as[[][]byte](raw)
		texts := make([]string, len(parts))
		for i, part := range parts {
			texts[i] = string(part)
		}
		return texts, err
	case "ints":
		return as[[]int](raw)
	case "list":
		return decodeList(raw)
	case "map":
		return decodeMap(raw)
	case "stringMap":
		return decodeStringMap(raw)
	}
	return decodeNumber(kind, raw)
}

func decodeNumber(kind string, raw json.RawMessage) (any, error) {
	text, err := as[string](raw)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "int":
		return strconv.Atoi(text)
	case "int64":
		return strconv.ParseInt(text, 10, 64)
	case "int32":
		n, err := strconv.ParseInt(text, 10, 32)
		return int32(n), err
	case "uint8":
		n, err := strconv.ParseUint(text, 10, 8)
		return uint8(n), err
	case "uint32":
		n, err := strconv.ParseUint(text, 10, 32)
		return uint32(n), err
	case "uint64":
		return strconv.ParseUint(text, 10, 64)
	case "uint":
		n, err := strconv.ParseUint(text, 10, 64)
		return uint(n), err
	case "float64":
		return strconv.ParseFloat(text, 64)
	}
	return nil, fmt.Errorf("no type %q", kind)
}

func decodeList(raw json.RawMessage) (any, error) {
	parts, err := as[[]json.RawMessage](raw)
	list := make([]any, len(parts))
	for i, part := range parts {
		if err == nil {
			list[i], err = decode(part)
		}
	}
	return list, err
}

type member struct {
	Key   []byte          `json:"key"`
	Value json.RawMessage `json:"value"`
}

func decodeMap(raw json.RawMessage) (any, error) {
	members, err := as[[]member](raw)
	values := make(map[string]any, len(members))
	for _, m := range members {
		if err == nil {
			values[string(m.Key)], err = decode(m.Value)
		}
	}
	return values, err
}

func decodeStringMap(raw json.RawMessage) (any, error) {
	members, err := as[[]member](raw)
	values := make(map[string]string, len(members))
	for _, m := range members {
		var text []byte
		if err == nil {
			text, err = as[[]byte](m.Value)
			values[string(m.Key)] = string(text)
		}
	}
	return values, err
}

func as[T any](raw json.RawMessage) (value T, err error) {
	err = json.Unmarshal(raw, &value)
	return value, err
}

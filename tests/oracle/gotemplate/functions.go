package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

// functionMap is Sprig without what reaches the environment and the network, and with the reference operator's
// own functions, written anew here by their documented behaviour.
func functionMap() template.FuncMap {
	functions := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name)
	}
	maps.Copy(functions, template.FuncMap{
		"hexdec":   hexDecode,
		"toYaml":   toYAML,
		"fromYaml": fromYAML,

		"filterPEM":       filterPEM,
		"filterCertChain": filterCertChain,
		"certSANs":        certSANs,

		"pkcs12key":                 pkcs12Key,
		"pkcs12keyPass":             pkcs12KeyPass,
		"pkcs12cert":                pkcs12Cert,
		"pkcs12certPass":            pkcs12CertPass,
		"pemToPkcs12":               pemToPKCS12,
		"pemToPkcs12Pass":           pemToPKCS12Pass,
		"fullPemToPkcs12":           fullPEMToPKCS12,
		"fullPemToPkcs12Pass":       fullPEMToPKCS12Pass,
		"pemTruststoreToPKCS12":     trustStoreToPKCS12,
		"pemTruststoreToPKCS12Pass": trustStoreToPKCS12Pass,

		"jwkPublicKeyPem":  jwkPublicKeyPEM,
		"jwkPrivateKeyPem": jwkPrivateKeyPEM,
		"rsaDecrypt":       rsaDecrypt,

		// Sprig's give Go's random order of a map; a comparison needs the one that we promise.
		"keys":   sortedKeys,
		"values": sortedValues,
	})
	return functions
}

func sortedKeys(dicts ...map[string]interface{}) []string {
	all := []string{}
	for _, dict := range dicts {
		all = slices.AppendSeq(all, slices.Values(slices.Sorted(maps.Keys(dict))))
	}
	return all
}

func sortedValues(dict map[string]interface{}) []interface{} {
	all := []interface{}{}
	for _, key := range sortedKeys(dict) {
		all = append(all, dict[key])
	}
	return all
}

// hexDecode gives the error's text in place of a value, as Sprig's b64dec does.
func hexDecode(text string) string {
	decoded, err := hex.DecodeString(text)
	if err != nil {
		return err.Error()
	}
	return string(decoded)
}

// toYAML gives nothing for what cannot be written.
func toYAML(value interface{}) string {
	text, _ := yaml.Marshal(value)
	return strings.TrimSuffix(string(text), "\n")
}

// fromYAML tells what is wrong with the text in the member Error.
func fromYAML(text string) map[string]interface{} {
	object := make(map[string]interface{})
	err := yaml.Unmarshal([]byte(text), &object)
	if err != nil {
		object["Error"] = err.Error()
	}
	return object
}

// signature is a function's type, and what the engine says of its arity.
type signature struct {
	Type  string `json:"type"`
	Arity string `json:"arity"`
}

// builtins has the types of Go's own functions. Those of package template are hidden from reflection, hence
// functions of the same type in their place; the arity says whether it is.
func builtins() map[string]interface{} {
	var one func(reflect.Value, ...reflect.Value) reflect.Value
	var equal func(reflect.Value, ...reflect.Value) (bool, error)
	var compare func(reflect.Value, reflect.Value) (bool, error)
	return map[string]interface{}{
		"and": one, "or": one, "call": one,
		"not":      (func(reflect.Value) bool)(nil),
		"len":      (func(reflect.Value) (int, error))(nil),
		"index":    (func(reflect.Value, ...reflect.Value) (reflect.Value, error))(nil),
		"eq":       equal,
		"ne":       compare,
		"lt":       compare,
		"le":       compare,
		"gt":       compare,
		"ge":       compare,
		"print":    fmt.Sprint,
		"printf":   fmt.Sprintf,
		"println":  fmt.Sprintln,
		"html":     template.HTMLEscaper,
		"js":       template.JSEscaper,
		"urlquery": template.URLQueryEscaper,
	}
}

func signatures(functions template.FuncMap) map[string]signature {
	table := make(map[string]signature)
	for name, function := range builtins() {
		table[name] = signature{Type: reflect.TypeOf(function).String(), Arity: arity(name, functions)}
	}
	for name, function := range functions {
		table[name] = signature{Type: reflect.TypeOf(function).String(), Arity: arity(name, functions)}
	}
	return table
}

// arity calls the function without arguments, then with very many: the engine tells how many it wants before it
// calls. It is empty for a function that takes any number.
func arity(name string, functions template.FuncMap) string {
	for _, text := range []string{"{{" + name + "}}", "{{" + name + strings.Repeat(" nil", 30) + "}}"} {
		t, err := template.New("t").Funcs(functions).Parse(text)
		if err != nil {
			return err.Error()
		}
		err = t.Execute(new(bytes.Buffer), nil)
		if err == nil {
			continue
		}
		if _, wanted, found := strings.Cut(err.Error(), "wrong number of args for "+name+": want "); found {
			wanted, _, _ = strings.Cut(wanted, " got")
			return wanted
		}
	}
	return ""
}

// Command oracle writes what Go's standard library makes of inputs whose treatment is part of the API:
// hashes of fmt's %+v, base64, JSON objects, JSON texts written anew, letters and numbers, durations.
//
// Run it in this folder: go run . ; it writes ../vectors/*.json and ../../leaf/vectors/*.json, which the
// tests read. Its output is the same at each run of one Go release.
package main

import (
	"bytes"
	"crypto/sha3"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
)

type list = []any
type object = map[string]any

func main() {
	write("../vectors/hashes.json", hashes())
	write("../vectors/base64.json", decodings())
	write("../vectors/objects.json", objects())
	write("../vectors/marshalled.json", marshalled())
	write("../vectors/letters.json", letters())
	write("../../leaf/vectors/durations.json", durations())
}

func write(path string, value any) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		log.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	encoder := json.NewEncoder(file)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(value); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

// hash is the contract's: the hex SHA3-224 of a value's %+v text.
func hash(value any) string {
	return fmt.Sprintf("%x", sha3.Sum224([]byte(fmt.Sprintf("%+v", value))))
}

// -- hashes

type meta struct {
	annotations map[string]string
	labels      map[string]string
}

func hashes() object {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	many := map[string][]byte{}
	source := rand.New(rand.NewSource(1))
	for i := 0; i < 120; i++ {
		value := make([]byte, source.Intn(12))
		source.Read(value)
		many[fmt.Sprintf("%c-%d.%x", 'a'+rune(source.Intn(26)), i, source.Intn(1000))] = value
	}
	datas := []map[string][]byte{
		{},
		{"foo": []byte("value1"), "bar": []byte("value2")},
		{"empty": {}},
		{"nil": nil},
		{"": []byte("no name")},
		{"bytes": everyByte},
		{"a": []byte("1"), "A": []byte("2"), "_": []byte("3"), "-": []byte("4"), ".": []byte("5"), "0": []byte("6"), "10": nil, "9": nil},
		// UTF-16 would sort these two the other way round.
		{"\ufffd": []byte("x"), "\U00010000": []byte("y"), "é": []byte("z"), "e\u0301": nil, "日本": []byte("語")},
		{"a b": []byte("c"), "a:[1]": []byte("d"), "map[x:y]": []byte("e"), "%+v": []byte("f"), "new\nline": nil},
		many,
	}
	cases := object{}
	var data list
	for _, d := range datas {
		data = append(data, object{"data": d, "hash": hash(d)})
	}
	cases["data"] = data

	odd := map[string]string{"k": "v w", "with:colon": "a:b", "brace}": "{annotations:map[]", "é": "ü\n", "empty": "", "\U00010000": "1", "\ufffd": "2", "app.kubernetes.io/name": "x"}
	var versions list
	for _, m := range []struct {
		generation int64
		meta       meta
	}{
		{1, meta{nil, nil}},
		{1, meta{map[string]string{}, map[string]string{}}},
		{7, meta{map[string]string{"b": "2", "a": "1"}, nil}},
		{7, meta{nil, map[string]string{"b": "2", "a": "1"}}},
		{9223372036854775807, meta{odd, odd}},
	} {
		versions = append(versions, object{
			"generation": m.generation, "annotations": m.meta.annotations, "labels": m.meta.labels,
			"version": fmt.Sprintf("%d-%s", m.generation, hash(m.meta)),
		})
	}
	cases["versions"] = versions

	var owners list
	for _, o := range [][2]string{{"default", "db"}, {"a", "b-c"}, {"a-b", "c"}, {strings.Repeat("n", 63), strings.Repeat("m", 253)}} {
		owners = append(owners, object{"namespace": o[0], "name": o[1], "hash": hash(fmt.Sprintf("%v/%v", o[0], o[1]))})
	}
	cases["created_by"] = owners

	var managers list
	for _, name := range []string{"a", strings.Repeat("b", 26), strings.Repeat("b", 27), strings.Repeat("b", 28), strings.Repeat("b", 63), strings.Repeat("b", 64), strings.Repeat("x.", 126) + "y"} {
		manager := "externalsecrets.external-secrets.io/" + name
		if len(manager) > 63 {
			manager = fmt.Sprintf("externalsecrets.external-secrets.io/sha3/%x", sha3.Sum224([]byte(name)))
		}
		managers = append(managers, object{"name": name, "manager": manager})
	}
	cases["field_managers"] = managers
	return cases
}

// -- base64

func decodings() list {
	inputs := []string{
		"", "\n", "\r\n\r\n", " ", "A", "AA", "AAA", "AAAA", "AA==", "AAA=", "AA=", "AA", "A===", "====", "=", "==", "AA==\n", "\nAA==",
		"A\nA\r=\n=", "AA==AA==", "AA==A", "AA= =", "AAAA=", "AAAA==", "AAAA====", "Zm9v", "Zm9v\nYmFy\n", "Zm9vYg==", "Zm9vYg", "Zm9vYh==",
		"Zm9vYi==", "Zm9vY/==", "Zm9vYmF=", "Zm9vYmE=", "test1234", "password", "passw0rd", "pass word", "+/+/", "-_-_", "+_+_", "+/-_", "-_==", "+/==",
		"a-b=", "a+b=", "a\tbc", "a\x00bc", "Zm9v\v", "Zm9v ", " Zm9v", "é", "éé", "Zm9v\xff", "{\"a\":1}", "-----BEGIN-----", "AAAA\r", "AAAA\rBBBB", "////", "____",
		"AA\n==\n\n", "AA=\n=", "AAA\n=", "AA==\x00", "AA==\r\nBB", "2024-01-01", "a_b_", "ab__cd==", "ab//cd==", "ab/_cd==",
	}
	source := rand.New(rand.NewSource(2))
	alphabet := "ABab01+/-_==\n\r Z"
	for i := 0; i < 400; i++ {
		text := make([]byte, source.Intn(13))
		for at := range text {
			text[at] = alphabet[source.Intn(len(alphabet))]
		}
		inputs = append(inputs, string(text))
	}
	for i := 0; i < 60; i++ {
		value := make([]byte, source.Intn(40))
		source.Read(value)
		inputs = append(inputs, base64.StdEncoding.EncodeToString(value), base64.URLEncoding.EncodeToString(value), base64.RawStdEncoding.EncodeToString(value))
	}
	var cases list
	for _, input := range inputs {
		standard, errStandard := base64.StdEncoding.DecodeString(input)
		url, errURL := base64.URLEncoding.DecodeString(input)
		auto := []byte(input)
		if errStandard == nil {
			auto = standard
		} else if errURL == nil {
			auto = url
		}
		// nil becomes null: not decodable.
		if errStandard != nil {
			standard = nil
		} else if standard == nil {
			standard = []byte{}
		}
		if errURL != nil {
			url = nil
		} else if url == nil {
			url = []byte{}
		}
		cases = append(cases, object{"input": []byte(input), "Base64": standard, "Base64URL": url, "Auto": auto})
	}
	return cases
}

// -- JSON objects

// entries is what extract takes of a JSON object: strings as text, null as nothing, all else as it stands.
func entries(text string) (map[string][]byte, bool) {
	raw := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(text), &raw) != nil {
		return nil, false
	}
	values := map[string][]byte{}
	for key, value := range raw {
		var s string
		if json.Unmarshal(value, &s) == nil {
			values[key] = []byte(s)
		} else {
			values[key] = value
		}
	}
	return values, true
}

func objects() list {
	inputs := []string{
		`{}`, ` {} `, "\t\r\n{\"a\" : 1 , \"b\":\"x\"}\n", `null`, ` null `, ``, ` `, `[]`, `"a"`, `1`, `true`, `nul`, `nullx`, `{`, `}`, `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1}}`,
		`{"a":1}x`, `{"a":1} {"b":2}`, `{"a":1},`, `{"a":1,}`, `{,"a":1}`, `{"a":1,"a":"two"}`, `{"a":"one","b":2,"a":null}`, `{"a":null}`, `{"a": null }`, `{"a":"null"}`,
		`{"a":"","":"b"}`, `{"a":{ "b" : [ 1 ,  2 ] }}`, `{"a":[1.50, 1e6, -0, "x"]}`, `{"a":1.50}`, `{"a":1e6}`, `{"a":1E+6}`, `{"a":-0}`, `{"a":-0.0}`, `{"a":0.10}`,
		`{"a":123456789012345678901234567890}`, `{"a":1e400}`, `{"a":-1e-400}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":-}`, `{"a":1e}`, `{"a":0x10}`, `{"a":NaN}`, `{"a":Infinity}`,
		`{"a":true,"b":false}`, `{"a":True}`, `{"a":tru}`, `{'a':1}`, `{a:1}`, `{1:2}`, "{\"a\":\"\x01\"}", "{\"a\":\"b\nc\"}", "{\"a\":\"\x7f\"}", "{\"a\x00\":1}", `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`,
		`{"a":"\u00e9\u65e5\ud83d\ude00"}`, `{"\u0061":"\/\b\f\n\r\t\"\\"}`, `{"a":"\u0000"}`, `{"a":"\ud800"}`, `{"a":"\ud800x"}`, `{"a":"\udc00"}`, `{"a":"\ud800\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":"\udc00\ud800"}`,
		`{"a":"\ud83d\ud83d\ude00"}`, `{"\ud800":1,"\udc00":2}`, `{"a":{"b":"\ud800"}}`, `{"a":["\ud800"],"b":"\ud800"}`,
		"{\"a\":\"\xff\"}", "{\"a\":\"x\xe2\x82y\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf0\x9f\x98\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xf5\x80\x80\x80\"}", "{\"\xff\":1}", "{\"\xff\":1,\"\xfe\":2}", "{\"a\":{\"b\":\"\xff\"}}", "{\"a\":\xff}", "\xff{}", "{}\xff",
		"{\"a\":\"\xff\\ud83d\\ude00\xe9\"}", "{\"a\":\"\\ud83d\xed\xb8\x80\"}", "\ufeff{}", "{\u00a0\"a\":1}", "{\u2028}", "{\"a\u2028\":\"\u2029\"}", "\v{}", "{}\f", "/* */{}", "{\"a\":1 // x\n}",
		`{"a":"<&>"}`, `{"a":{"b":"<&>"}}`, `{"a":"{\"b\":1}"}`, `{"a":{"b":1,"b":2}}`, `{"a":{"b":1,}}`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":{"b":01}}`, `{"a":{"b":tru}}`, `{"a":{"b" 1}}`, `{"a":[}`, `{"a":{]}`, `{"a":[1}`, `{"a":"b}`,
		`{"a":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`, `{"a":` + strings.Repeat(`{"b":`, 3000) + `1` + strings.Repeat("}", 3000) + `}`, `{"a":` + strings.Repeat("[", 3000) + `}`,
		`{"é":"ü","日本":"語","a b":"c"}`, `{"a.b":1,"a":{"b":2}}`,
	}
	source := rand.New(rand.NewSource(3))
	tokens := []string{`{`, `}`, `[`, `]`, `,`, `:`, `"a"`, `"b"`, `"\ud800"`, `"\ud83d\ude00"`, "\"\xff\"", `1`, `-0`, `1.5`, `null`, `true`, ` `, "\n", `"a":`, `"b":1`, `"c":"d",`, `x`, `"`, `\`}
	for i := 0; i < 900; i++ {
		text := `{"k":`
		for n := source.Intn(9); n > 0; n-- {
			text += tokens[source.Intn(len(tokens))]
		}
		if source.Intn(4) > 0 {
			text += `}`
		}
		inputs = append(inputs, text)
	}
	var cases list
	for _, input := range inputs {
		values, ok := entries(input)
		if !ok {
			values = nil
		}
		cases = append(cases, object{"input": []byte(input), "entries": values})
	}
	return cases
}

// -- JSON texts, decoded and written anew

// marshalled gives what encoding/json makes of a text that it has read: as it does by default, and without
// escapes for HTML; for a number also its text without an exponent.
func marshalled() list {
	inputs := []string{
		`null`, `true`, `false`, `""`, `"a"`, `{}`, `[]`, ` [ 1 , 2 ] `, "{\n\t\"b\" : 1,\r\n\"a\":[ ] }", `{"b":1,"a":2,"b":3}`, `{"a":{"x":1},"a":{"y":2}}`, `{"":1,"a":{"":[]}}`,
		`"<&>"`, `{"<&>":"</a>"}`, `["<",{"b":">","a":"&"}]`, `"\u003c\u2028\u2029"`, "\"\u2028\u2029\"", `"\/\b\f\n\r\t\"\\"`, `"\u0000\u0001\u001f\u007f"`, "\"\x7f\"", `"\u00e9\ud83d\ude00"`, `"é日😀"`,
		`"\ud800"`, `"\udc00x"`, `{"\ud800":1}`, `{"\ud800":1,"\udc00":2}`, "\"\xff\"", "{\"\xff\":\"x\xe2\x82y\"}", `{"\uffff":1,"\ud800\udc00":2,"é":3,"e":4,"A":5,"a":6,"_":7,"0":8,"10":9,"9":10}`,
		`[{"b":[{"d":1,"c":null}],"a":true},false]`, `{"a":{"b":{"c":{"d":[1.50,1e6,-0]}}}}`, `[[[[]]]]`, `[1.0,"1.0"]`, `{"a":"{\"b\":1}"}`, `{"n":9007199254740992}`, `"\u0061"`,
		`0`, `-0`, `-0.0`, `0.0`, `0e5`, `1`, `-1`, `1.0`, `1.50`, `1e6`, `1E+6`, `1e-2`, `100e-2`, `123456789`, `9007199254740991`, `9007199254740992`, `0.1`, `0.10`, `3.14159`, `1e20`, `1e21`, `1e22`, `123e20`,
		`999999999999999900000`, `1e-5`, `1e-6`, `1e-7`, `1.5e-7`, `0.000001`, `0.0000001`, `0.00000123`, `1.7976931348623157e308`, `5e-324`, `2.2250738585072014e-308`, `1e100`, `-1e-100`, `1e-10`, `1.25e+30`, `4.35`, `0.30000000000000004`,
	}
	source := rand.New(rand.NewSource(4))
	for i := 0; i < 400; i++ {
		number := (source.Float64() - 0.5) * math.Pow(10, float64(source.Intn(60)-30))
		inputs = append(inputs, strconv.FormatFloat(number, []byte("fge")[source.Intn(3)], -1, 64))
	}
	tokens := []string{`"a"`, `"b"`, `"<"`, `"\u2028"`, `"é"`, `1`, `-0`, `1.50`, `1e21`, `null`, `true`, `[]`, `{}`}
	for i := 0; i < 300; i++ {
		text := tokens[source.Intn(len(tokens))]
		for n := source.Intn(5); n > 0; n-- {
			key, other := tokens[source.Intn(5)], tokens[source.Intn(len(tokens))]
			text = []string{`[` + text + `]`, `{` + key + `:` + text + `}`, `[` + text + `, ` + other + `]`, `{` + key + ` : ` + text + `,"a":` + other + `}`}[source.Intn(4)]
		}
		inputs = append(inputs, text)
	}
	var cases list
	for _, input := range inputs {
		var value any
		if err := json.Unmarshal([]byte(input), &value); err != nil {
			log.Fatal(input, err)
		}
		html, err := json.Marshal(value)
		if err != nil {
			log.Fatal(err)
		}
		var plain bytes.Buffer
		encoder := json.NewEncoder(&plain)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			log.Fatal(err)
		}
		found := object{"input": []byte(input), "html": html, "plain": bytes.TrimRight(plain.Bytes(), "\n")}
		if number, ok := value.(float64); ok {
			found["fixed"] = strconv.FormatFloat(number, 'f', -1, 64)
		}
		cases = append(cases, found)
	}
	return cases
}

// -- letters and numbers

// letters gives the code points that are letters or numbers, and those that are assigned at all, as ranges.
func letters() object {
	return object{
		"unicode": unicode.Version,
		"allowed": ranges(func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }),
		"assigned": ranges(func(r rune) bool {
			return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)
		}),
	}
}

func ranges(belongs func(rune) bool) string {
	var found [][2]rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !belongs(r) {
			continue
		}
		if last := len(found) - 1; last >= 0 && found[last][1] == r-1 {
			found[last][1] = r
		} else {
			found = append(found, [2]rune{r, r})
		}
	}
	texts := make([]string, len(found))
	for i, r := range found {
		texts[i] = fmt.Sprintf("%x-%x", r[0], r[1])
	}
	return strings.Join(texts, " ")
}

// -- durations

func durations() object {
	inputs := []string{
		"", "0", "+0", "-0", "00", "0s", "5", "5.", "5s", "+5s", "-5s", "--5s", "+-5s", "5 s", " 5s", "5s ", "5s\n", "\n5s", "1h", "1.5h", ".5s", "-.5s", "5.s", ".s", ".", "+", "-", "+.5s",
		"1h-2m", "1h+2m", "1h2m3s", "3s2m1h", "1h1h", "1h30m0s", "1h0m0s", "1h 2m", "1h,2m", "1H", "1M", "1d", "1w", "1y", "often", "h", "1hh", "1mh", "1msh", "1ms1h", "1µs", "1μs", "1us", "1ns", "1 µs", "1ms", "100ms", "1.000000001s",
		"9223372036854775807ns", "9223372036854775808ns", "-9223372036854775807ns", "-9223372036854775808ns", "-9223372036854775809ns", "9223372036854775.807us", "-9223372036854775.808us", "9223372036854775.808us", "9223372036s854ms775us807ns", "9223372036s854ms775us808ns", "-9223372036s854ms775us808ns",
		"9223372036854775807s", "2562047h47m16.854775807s", "2562047h47m16.854775808s", "-2562047h47m16.854775808s", "2562048h", "106751d", "3000000h", "9999999999999999999999h", "00000000000000000000000000000000000001h",
		"0.3333333333333333333h", "0.100000000000000000000h", "0.9223372036854775807h", "0.9223372036854775808h", "0.00000000000000000000000000000000000000000000000001h", "0.830103483285477580700h", "39h9m14.425s", "52763797000ns", "0.5ns", "0.9ns", "1.9ns", "0.0000000001s", "0.1ns1.9ns",
		"1h0", "0h", "0h0m0s", "01h", "0x1h", "1e3s", "1_000s", "١h", "１h", "1ｈ", "1.2.3s", "1..2s", "1h.", "1h.5", "1h.5m", ".5h.5m", "Inf", "NaN", "1\x00s", "1s\x00", strings.Repeat("1h", 100), strings.Repeat("1ns", 50), strings.Repeat("9", 5000) + "h", "0." + strings.Repeat("3", 5000) + "h", strings.Repeat("0", 5000) + "1h",
	}
	source := rand.New(rand.NewSource(4))
	parts := []string{"1", "0", "9", "59", "60", "90", ".", "0.5", "1.25", ".75", "3.1415926535", "123456789", "h", "m", "s", "ms", "us", "µs", "ns", "-", "+", " "}
	for i := 0; i < 700; i++ {
		text := ""
		for n := 1 + source.Intn(6); n > 0; n-- {
			text += parts[source.Intn(len(parts))]
		}
		inputs = append(inputs, text)
	}
	units := []string{"h", "m", "s", "ms", "us", "µs", "ns"}
	for i := 0; i < 300; i++ {
		text := ""
		for n := 1 + source.Intn(3); n > 0; n-- {
			text += fmt.Sprintf("%d.%0*d%s", source.Intn(3000), 1+source.Intn(22), source.Intn(1000000000), units[source.Intn(len(units))])
		}
		inputs = append(inputs, text)
	}
	var parsed list
	for _, input := range inputs {
		// Nanoseconds as text, for readers whose numbers are floats; null where it is no duration.
		var nanos any
		if d, err := time.ParseDuration(input); err == nil {
			nanos = fmt.Sprint(int64(d))
		}
		parsed = append(parsed, object{"text": []byte(input), "nanos": nanos})
	}
	micros := []int64{0, 1, -1, 999, 1000, 1001, 1500, 999999, 1000000, 1000001, 1500000, 59999999, 60000000, 60000001, 3599999999, 3600000000, 3600000001, 5400000000, 86400000000, 9223372036854775, -9223372036854775, -1500, -60000000, 10000000, 100000000, 600000000}
	for i := 0; i < 200; i++ {
		micros = append(micros, source.Int63n(1<<uint(1+source.Intn(52)))-source.Int63n(1000))
	}
	var printed list
	for _, m := range micros {
		printed = append(printed, object{"micros": m, "text": (time.Duration(m) * time.Microsecond).String()})
	}
	return object{"parsed": parsed, "printed": printed}
}

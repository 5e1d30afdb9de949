"""Where our engine differs from Go on purpose: the whole list, each with its reason.

Most differ in an error's text only: Go's quotes a value, and ours must not, since the values are secrets. Both
texts are then brought to one form, without the value, and must be equal in it: the place, the function and what is
wrong are compared all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keyferry.gotemplate.values import StringMap

from .cases import Answer, Case


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference that is meant.

    Args:
        name: a few words for lists.
        holds: whether it explains that Go says one thing and ours the other, which are not equal.
        example: a case of which it is true.
    """

    name: str
    reason: str
    holds: Callable[[Case, Answer, Answer], bool]
    example: Case


Form = tuple[str, str]
"""A pattern, and what stands for it in the common form."""


def both_fail(theirs: Answer, mine: Answer) -> bool:
    return theirs.stage == mine.stage != "done"


def without_value(
    name: str, example: str, theirs: Sequence[Form], mine: Sequence[Form] = (), reason: str = ""
) -> Difference:
    """Go's text has a value, or a piece of one.

    Args:
        name: a few words.
        example: a template of which it is true.
        theirs: forms in Go's text.
        mine: forms in ours, where these need a change too.
        reason: where it is another than that the value must not be shown.
    """

    def holds(_: Case, go: Answer, our: Answer) -> bool:
        return both_fail(go, our) and legible(formed(go.error, theirs)) == legible(formed(our.error, mine))

    return Difference(
        name, reason or "Go's text quotes a value; ours does not.", holds, Case(example.encode(), DATA)
    )


def place(error: bytes) -> list[bytes]:
    """Line and column of the failure; of a broken template the line."""
    found = re.findall(rb":(\d+:\d+): executing", error) or re.findall(rb":(\d+): ", error)
    return found[-1:]


def formed(error: bytes, forms: Sequence[Form]) -> bytes:
    for pattern, replacement in forms:
        error = re.sub(pattern.encode(), replacement.encode(), error, flags=re.DOTALL)
    return error


def legible(error: bytes) -> str:
    """The text with one U+FFFD for each run of bytes that are no UTF-8."""
    return re.sub("\ufffd+", "\ufffd", error.decode(errors="replace"))


NAMES_INTERFACE = [
    (r"in type interface \{\}$", "in its type"),
    (r"nil pointer evaluating interface \{\}\.(.*)$", r"no \1 in nil"),
    (r"wrong type for value; expected (.*); got interface \{\}$", r"expected \1"),
]
NAMES_TYPE = [
    (r"in type \S+( \{\})?$", "in its type"),
    (r'nil data; no entry for key "(.*)"$', r"no \1 in nil"),
    (r"invalid value; expected (.*)$", r"expected \1"),
]
YAML_ERROR = rb"yaml: [^\]]*"
ADDRESS = re.compile(rb"0*824633794560|(0[xX])?[cC]000012000|0?o?14000000220000|110{21}10010{13}")
"""The one that ours prints, in the bases that there are."""
TYPE = r"[\w.*\[\]]+(?: \{\})?"
DATA = StringMap({b"x": b"a value"})

INSIDE = (
    "pkcs12key pkcs12keyPass pkcs12cert pkcs12certPass pemToPkcs12 pemToPkcs12Pass fullPemToPkcs12 fullPemToPkcs12Pass "
    "pemTruststoreToPKCS12 pemTruststoreToPKCS12Pass jwkPublicKeyPem jwkPrivateKeyPem filterCertChain certSANs "
    "buildCustomCert genCAWithKey genSelfSignedCertWithKey genSignedCertWithKey rsaDecrypt decryptAES"
).replace(" ", "|")
"""Functions whose errors come from inside Go's cryptography packages."""

DIFFERENCES = [
    Difference(
        "bytes that are no UTF-8 in a template",
        "Go's error text quotes the template with them, and Kubernetes shows U+FFFD in their place; ours has that at once.",
        lambda case, theirs, mine: both_fail(theirs, mine) and legible(theirs.error) == legible(mine.error),
        Case(b"{{ index 1 `a\xff` }}", DATA),
    ),
    Difference(
        "percent in a name",
        "Go takes a percent sign in a template's name for a verb of its own error text, and prints "
        "%!d(MISSING) and the like. Ours prints the name.",
        lambda case, theirs, mine: (
            "%" in case.name
            and both_fail(theirs, mine)
            and b"%!" in theirs.error
            and place(theirs.error) == place(mine.error)
        ),
        Case(b"{{ .y }}", DATA, name="%d"),
    ),
    Difference(
        "complex numbers",
        "Go's templates have complex constants. No function takes or gives one, and nobody needs them: "
        "ours says that it has none.",
        lambda case, theirs, mine: (
            mine.stage == "parse" and b"complex constants are not supported" in mine.error
        ),
        Case(b"{{ 1i }}", DATA),
    ),
    Difference(
        "type of a value in a map",
        "Of a value in a map or list Go sometimes names the type of all its entries, interface {}. Ours names the "
        "value's own, and says of nil that it is no data.",
        lambda case, theirs, mine: (
            both_fail(theirs, mine)
            and formed(theirs.error, NAMES_INTERFACE) == formed(mine.error, NAMES_TYPE) != mine.error
        ),
        Case(b"{{ $m := dict `a` 1 }}{{ $m.a.b }}", DATA),
    ),
    without_value(
        "length of nil",
        "{{ len nil }}",
        [("reflect: call of reflect.Value.Type on zero Value", "len of nil pointer")],
        reason="Go says it in two ways, depending on where the nil comes from.",
    ),
    without_value(
        "version with a huge number",
        '{{ semver "99999999999999999999.0.0" }}',
        [(r'strconv.ParseUint: parsing ".*": ', "strconv.ParseUint: ")],
    ),
    without_value(
        "range over what has no elements",
        "{{ range .x }}{{ end }}",
        [(r"range can't iterate over .*", "range can't iterate over it")],
        [(r"range can't iterate over .*", "range can't iterate over it")],
    ),
    without_value(
        "range over a number with two variables",
        "{{ range $i, $e := 3 }}{{ end }}",
        [(r"can't use \S+ to iterate", "can't use it to iterate")],
        [(r"can't use \S+ to iterate", "can't use it to iterate")],
    ),
    without_value(
        "comparison of what has no order",
        "{{ eq (list .x) (list .x) }}",
        [
            (rf"non-comparable type .*: ({TYPE})$", r"non-comparable type \1"),
            (rf"non-comparable types .*: ({TYPE}), ({TYPE}): .*$", r"non-comparable types \1, \2"),
        ],
    ),
    without_value(
        "cut outside a text",
        "{{ substr 9 12 .x }}",
        [(r"slice bounds out of range \[.*", "slice bounds out of range")],
    ),
    without_value(
        "fail",
        "{{ fail .x }}",
        [(r"calling fail: .*", "calling fail")],
        [(r"calling fail: the template has called it, with a message that is not shown$", "calling fail")],
    ),
    without_value(
        "index outside a list",
        "{{ index .x 99 }}",
        [(r"index out of range: -?\d+|reflect: (slice|string) index out of range", "index out of range")],
        [(r"index out of range: the length is \d+", "index out of range")],
    ),
    without_value(
        "call of what is no function",
        "{{ call .x }}",
        [(r"non-function .* of type", "non-function of type")],
    ),
    without_value(
        "broken pattern",
        "{{ mustRegexMatch .x (regexFind `(` .x) }}",
        [
            (r"Compile\(.*\): error parsing", "Compile: error parsing"),
            (r"(error parsing regexp: [^`]*): `.*", r"\1"),
        ],
    ),
    Difference(
        "pattern with a single byte",
        "Go refuses a single byte in a pattern where it stands; ours once RE2 has read the rest, which may be broken too.",
        lambda case, theirs, mine: (
            both_fail(theirs, mine)
            and rb"invalid escape sequence: `\C`" in theirs.error
            and b"error parsing regexp" in mine.error
        ),
        Case(rb"{{ mustRegexFind `\C(` .x }}", DATA),
    ),
    without_value(
        "depth of templates",
        '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
        [(r"depth \(\d+\)", "depth")],
        [(r"depth \(\d+\)", "depth")],
        reason="Templates within templates: 100,000 in Go, and 100 here, since a tenant's must not take the memory of all.",
    ),
    without_value(
        "broken time",
        '{{ mustToDate "2006" .x }}',
        [
            (
                r'parsing time ".*" as ".*": cannot parse ".*" as ("[^"]*")$',
                r"parsing time: cannot parse as \1",
            ),
            (r'parsing time ".*": extra text: ".*"$', r"parsing time: extra text"),
            (r'parsing time ".*": ([^"]*)$', r"parsing time: \1"),
        ],
    ),
    without_value(
        "time unlike its layout",
        '{{ mustToDate "at 2006" .x }}',
        [(r'parsing time ".*" as ".*": cannot parse ".*" as ".*"$', "parsing time: unlike its layout")],
        [(r"parsing time: the value differs from the layout .*", "parsing time: unlike its layout")],
        reason="Go's text quotes the value and a piece of the layout that is no element of a date; either may be secret.",
    ),
    without_value(
        "broken duration",
        '{{ mustDateModify .x (toDate "2006" "2024") }}',
        [(r'(time: unknown unit) ".*" (in duration) ".*"$', r"\1 \2"), (r'(time: [^"]*) ".*"$', r"\1")],
    ),
    without_value(
        "broken URL",
        '{{ urlParse (print "http://" .x) }}',
        [
            (r': parse "(?:[^"\\]|\\.)*": ', ": "),
            (r'(invalid character) ".*" (in host name)', r"\1 \2"),
            (r'(invalid URL escape) ".*"', r"\1"),
            (r'(invalid port) ".*" (after host)', r"\1 \2"),
            ("(invalid host): .*", r"\1"),
        ],
        [("(invalid host): .*", r"\1")],
    ),
    without_value(
        "broken constraint",
        '{{ semverCompare .x "1.0.0" }}',
        [(r"improper constraint: .*", "improper constraint")],
        [("constraint Parser Error", "improper constraint")],
    ),
    without_value(
        "broken JSON",
        "{{ mustFromJson .x }}",
        [
            (r"invalid character '.*' .*", "invalid JSON"),
            (r"unexpected end of JSON input", "invalid JSON"),
            (r"unmarshal number \S+ into", "unmarshal number into"),
            (r"invalid character .*", "invalid JSON"),
        ],
        [(r"invalid character .*", "invalid JSON"), (r"unexpected end of JSON input.*", "invalid JSON")],
        reason="Go's text quotes a character; ours tells the line and column.",
    ),
    without_value(
        "number that is none",
        '{{ addf "inf" }}',
        [(r"(json: unsupported value|Cannot create a Decimal from):? (NaN|[+-]Inf)$", r"\1: no number")],
        [
            (
                r"(json: unsupported value|Cannot create a Decimal from):? a float64 that is infinite or no number$",
                r"\1: no number",
            )
        ],
    ),
    Difference(
        "words for broken YAML",
        "What fromYaml tells in the member Error has the line and the column, and the words of another reader.",
        lambda case, theirs, mine: (
            b"fromYaml" in case.text
            and re.sub(YAML_ERROR, b"", theirs.output) == re.sub(YAML_ERROR, b"", mine.output) != b""
        ),
        Case(b"{{ fromYaml `a: [` }}", DATA),
    ),
    Difference(
        "address in memory",
        "Printed as a number, what Go has a pointer to is its address. Ours is always the same.",
        lambda case, theirs, mine: (
            theirs.stage == mine.stage == "done"
            and re.fullmatch(ADDRESS.sub(rb"[0-9a-fA-FxX]+", re.escape(mine.output)), theirs.output)
            is not None
        ),
        Case(b'{{ printf "%d" (list (semver "1.0.0")) }}', DATA),
    ),
    Difference(
        "change of nil",
        "What unset and merge give for nil is nil again in Go, which JSON has as null and set refuses. Ours is an empty map.",
        lambda case, theirs, mine: (
            re.search(rb"(unset|[mM]erge|[mM]ergeOverwrite) nil", case.text) is not None
            and mine.stage == "done"
            and (b"nil map" in theirs.error or theirs.output == mine.output.replace(b"{}", b"null"))
        ),
        Case(b"{{ unset nil `a` | toJson }}", DATA),
    ),
    without_value(
        "inside of cryptography",
        "{{ pkcs12key .x }}",
        [(rf"(error calling ({INSIDE})): .*", r"\1")],
        [(rf"(error calling ({INSIDE})): .*", r"\1")],
        reason="What Go's packages for keys, certificates and archives say of broken ones is theirs, changes with "
        "Go's release, and quotes pieces. Ours says it in our own words; that it fails is compared.",
    ),
]


def explained(case: Case, theirs: Answer, mine: Answer) -> str:
    """The name of the difference that explains it; nothing where none does."""
    return next((one.name for one in DIFFERENCES if one.holds(case, theirs, mine)), "")

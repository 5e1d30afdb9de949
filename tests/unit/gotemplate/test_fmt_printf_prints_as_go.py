"""printf: formats and arguments, with what Go prints for them."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.functions.certificates import Certificate
from keyferry.gotemplate.text.fmt import print_value, sprintf
from keyferry.gotemplate.text.goversion import Version
from keyferry.gotemplate.times.goduration import Duration
from keyferry.gotemplate.times.gotime import Month, Weekday
from keyferry.gotemplate.values import (
    MAX_INT64,
    MIN_INT64,
    ByteSlice,
    Int32,
    Int64,
    Ints,
    Lists,
    StringMap,
    Strings,
    Uint8,
    Uint64,
)

CASES = [
    # Texts
    (b"%s", [b"hi"], b"hi"),
    (b"%5s|%-5s|%05s", [b"hi"] * 3, b"   hi|hi   |000hi"),
    (b"%.1s|%.10s|%.s", [b"\xc3\xa9a"] * 3, b"\xc3\xa9|\xc3\xa9a|"),
    (
        b"%6s|%-6s|",
        [b"\xe6\x97\xa5\xe6\x9c\xac"] * 2,
        b"    \xe6\x97\xa5\xe6\x9c\xac|\xe6\x97\xa5\xe6\x9c\xac    |",
    ),
    (
        b"%q %+q %#q",
        [b"\xc3\xa9\n", b"\xc3\xa9\xf0\x9f\x98\x80", b"a`b"],
        b'"\xc3\xa9\\n" "\\u00e9\\U0001f600" "a`b"',
    ),
    (b"%#q", [b'a"b'], b'`a"b`'),
    (b"%q", [b'\xff\x00\x7f"\\'], b'"\\xff\\x00\\x7f\\"\\\\"'),
    (b"%q", [b"\xc2\xad\xcc\x81"], b'"\\u00ad\xcc\x81"'),
    (b"%x %X % x %#x % #X", [b"hi?"] * 5, b"68693f 68693F 68 69 3f 0x68693f 0X68 0X69 0X3F"),
    (b"%.2x|%6.1x|%-6.1x|%06.1x", [b"hi"] * 4, b"6869|    68|68    |000068"),
    (b"%x|%4x|", [b""] * 2, b"|    |"),
    (b"%v %+v %#v", [b"hi"] * 3, b'hi hi "hi"'),
    (b"%T %.2T %8T", [b"hi"] * 3, b"string st   string"),
    (b"%d %t %c", [b"hi"] * 3, b"%!d(string=hi) %!t(string=hi) %!c(string=hi)"),
    (b"%5d", [b"hi"], b"%!d(string=   hi)"),
    # Integers
    (b"%d %+d % d %5d %-5d| %05d %+05d", [7] * 7, b"7 +7  7     7 7    | 00007 +0007"),
    (b"%d %5d %05d %-05d|", [-7] * 4, b"-7    -7 -0007 -7   |"),
    (b"%.3d %6.3d %06.3d %.0d|%5.0d|", [7, 7, 7, 0, 0], b"007    007    007 |     |"),
    (b"%b %#b %o %#o %O %x %X %#x %#X", [10] * 9, b"1010 0b1010 12 012 0o12 a A 0xa 0XA"),
    (b"%#o %#x", [0] * 2, b"0 0x0"),
    (b"%x %o %b", [-255, -8, -2], b"-ff -10 -10"),
    (b"%c %q %U %#U %+q", [128512, 10, 45, 45, 233], b"\xf0\x9f\x98\x80 '\\n' U+002D U+002D '-' '\\u00e9'"),
    (b"%c %q %U", [-1, 1114112, -1], b"\xef\xbf\xbd '\xef\xbf\xbd' U+FFFFFFFFFFFFFFFF"),
    (b"%5c|%-5q|%12U|%.6U", [65] * 4, b"    A|'A'  |      U+0041|U+000041"),
    (b"%d %d", [MIN_INT64, MAX_INT64], b"-9223372036854775808 9223372036854775807"),
    (b"%x", [MIN_INT64], b"-8000000000000000"),
    (
        b"%v %#v %d %#v",
        [Uint8(7), Uint8(7), Uint64(18446744073709551615), Int64(-7)],
        b"7 0x7 18446744073709551615 -7",
    ),
    (b"%T %T %T %T", [1, Int64(1), Uint8(1), Int32(1)], b"int int64 uint8 int32"),
    (b"%s %t %e %f", [1] * 4, b"%!s(int=1) %!t(int=1) %!e(int=1) %!f(int=1)"),
    (b"%T %v %t %5t %d", [True, False, True, False, True], b"bool false true false %!d(bool=true)"),
    # Floats
    (b"%v %v %v %v %v", [1.0, 999999.0, 1000000.0, 1e20, 1e21], b"1 999999 1e+06 1e+20 1e+21"),
    (b"%v %v %v %v", [0.0001, 1e-05, 123456789.0, 0.1], b"0.0001 1e-05 1.23456789e+08 0.1"),
    (b"%v %v %v %v %v", [0.0, -0.0, float("inf"), float("-inf"), float("nan")], b"0 -0 +Inf -Inf NaN"),
    (
        b"%e %E %f %F %g %G",
        [1234.5678] * 6,
        b"1.234568e+03 1.234568E+03 1234.567800 1234.567800 1234.5678 1234.5678",
    ),
    (b"%g %G %g", [1e-07, 1e-07, 1e300], b"1e-07 1E-07 1e+300"),
    (
        b"%.2f %8.2f|%-8.2f|%08.2f %+.1f % .0f",
        [3.14159, 3.14159, 3.14159, -3.14159, 2.25, 2.5],
        b"3.14     3.14|3.14    |-0003.14 +2.2  2",
    ),
    (b"%.3g %.3g %.10g %.0g", [1234.5, 0.00012345, 100.0, 15.0], b"1.23e+03 0.000123 100 2e+01"),
    (b"%.3e %.0e", [12345.6789, 25000.0], b"1.235e+04 2e+04"),
    (b"%#g %#.3g %#.0f %#x %#e", [1.0] * 5, b"1.00000 1.00 1. 0x1.0000p+00 1.000000e+00"),
    (
        b"%x %X %.2x %.0x %x",
        [1.0, -0.1, 3.99, 1.5, 0.0],
        b"0x1p+00 -0X1.999999999999AP-04 0x1.ffp+01 0x1p+01 0x0p+00",
    ),
    (b"%b %b", [1.0, -5e-324], b"4503599627370496p-52 -1p-1074"),
    (
        b"%08v|%08v|%-8v|%+v",
        [float("inf"), float("-inf"), float("nan"), float("nan")],
        b"    +Inf|    -Inf|NaN     |NaN",
    ),
    (b"%+v % v %010v", [1.5, 1.5, -1.5], b"1.5  1.5 -0000001.5"),
    (
        b"%.25f %.30g %.17g",
        [0.1] * 3,
        b"0.1000000000000000055511151 0.100000000000000005551115123126 0.10000000000000001",
    ),
    (b"%d %s %T", [1.5] * 3, b"%!d(float64=1.5) %!s(float64=1.5) float64"),
    (
        b"%v %f",
        [5e-324, 1.7976931348623157e308],
        b"5e-324 179769313486231570814527423731704356798070567525844996598917476803157260780028538760589558632766878171540458953514382464234321326889464182768467546703537516986049910576551282076245490090389328944075868508455133942304583236903222948165808559332123348274797826204144723168738177180919299881250404026184124858368.000000",
    ),
    (b"%#g %#.3g %.3g %g %e %x", [0.0] * 6, b"0.00000 0.00 0 0 0.000000e+00 0x0p+00"),
    (
        b"%.1x %.0x %.3x %.20x",
        [1.999, 1.999, 1.0001, 1.5],
        b"0x1.0p+01 0x1p+01 0x1.000p+00 0x1.80000000000000000000p+00",
    ),
    (b"%.2q %.1q|%8.1q", [b"\xc3\xa9ab"] * 3, b'"\xc3\xa9a" "\xc3\xa9"|     "\xc3\xa9"'),
    (b"%q %+q %q", [39, 39, 34], b"'\\'' '\\'' '\"'"),
    # Nil, lists and maps
    (b"%v %d %s %T %5v|%t", [None] * 6, b"<nil> %!d(<nil>) %!s(<nil>) <nil> <nil>|%!t(<nil>)"),
    (
        b"%v %d %s",
        [[1, b"a", None, 2.5, True]] * 3,
        b"[1 a <nil> 2.5 true] [1 %!d(string=a) <nil> %!d(float64=2.5) %!d(bool=true)] [%!s(int=1) a <nil> %!s(float64=2.5) %!s(bool=true)]",
    ),
    (b"%q %x %5v|%05d", [[b"a", 1]] * 4, b"[\"a\" '\\x01'] [61 1] [    a     1]|[%!d(string=0000a) 00001]"),
    (
        b"%v %+v %#v %T",
        [[1, b"a", None]] * 4,
        b'[1 a <nil>] [1 a <nil>] []interface {}{1, "a", interface {}(nil)} []interface {}',
    ),
    (
        b"%v %#v %s %d",
        [Strings([b"a", b"b c"])] * 4,
        b'[a b c] []string{"a", "b c"} [a b c] [%!d(string=a) %!d(string=b c)]',
    ),
    (b"%v %#v %T", [Ints([1, 2])] * 3, b"[1 2] []int{1, 2} []int"),
    (
        b"%v %#v",
        [Lists([[1], [b"a"]])] * 2,
        b'[[1] [a]] [][]interface {}{[]interface {}{1}, []interface {}{"a"}}',
    ),
    (
        b"%v %#v %T %s",
        [{b"b": 1, b"a": [b"x"], b"\xff": None}] * 4,
        b'map[a:[x] b:1 \xff:<nil>] map[string]interface {}{"a":[]interface {}{"x"}, "b":1, "\\xff":interface {}(nil)} map[string]interface {} map[a:[x] b:%!s(int=1) \xff:<nil>]',
    ),
    (
        b"%v %#v %d",
        [StringMap({b"k": b"v"})] * 3,
        b'map[k:v] map[string]string{"k":"v"} map[%!d(string=k):%!d(string=v)]',
    ),
    (b"%v %v %#v %#v", [[], {}, [], {}], b"[] map[] []interface {}{} map[string]interface {}{}"),
    (
        b"%v %d %s %x %X %q % #x",
        [ByteSlice(b"hi!")] * 7,
        b'[104 105 33] [104 105 33] hi! 686921 686921 "hi!" 0x68 0x69 0x21',
    ),
    (
        b"%#v %T %5d|%t",
        [ByteSlice(b"hi")] * 4,
        b"[]byte{0x68, 0x69} []uint8 [  104   105]|[%!t(uint8=104) %!t(uint8=105)]",
    ),
    (
        b"%v %#v %x %t",
        [[ByteSlice(b"hi")]] * 4,
        b"[[104 105]] []interface {}{[]uint8{0x68, 0x69}} [6869] [[%!t(uint8=104) %!t(uint8=105)]]",
    ),
    (b"%v", [{b"a": {b"b": {b"c": [[]]}}}], b"map[a:map[b:map[c:[[]]]]]"),
    # Objects
    (
        b"%v %s %d %q %x %T %#v",
        [Duration(90000000000)] * 7,
        b'1m30s 1m30s 90000000000 "1m30s" 316d333073 time.Duration 90000000000',
    ),
    (b"%v %d %T %t", [Month(5)] * 4, b"May 5 time.Month %!t(time.Month=5)"),
    (b"%8v|%-8s|%.3s", [Weekday(2)] * 3, b" Tuesday|Tuesday |Tue"),
    (
        b"%v %+v %#v %s %T",
        [Certificate(b"c", b"k")] * 5,
        b'{c k} {Cert:c Key:k} sprig.certificate{Cert:"c", Key:"k"} {c k} sprig.certificate',
    ),
    (
        b"%v %s %q %d %T %+d",
        [Version((1, 2, 3), b"rc.1", b"", b"v1.2.3-rc.1")] * 6,
        b'1.2.3-rc.1 1.2.3-rc.1 "1.2.3-rc.1" &{1 2 3 %!d(string=rc.1) %!d(string=) %!d(string=v1.2.3-rc.1)} *semver.Version &{+1 +2 +3 %!d(string=rc.1) %!d(string=) %!d(string=v1.2.3-rc.1)}',
    ),
    (b"%v %s", [[Version((1, 2, 3), b"", b"", b"1.2.3"), Month(1)]] * 2, b"[1.2.3 January] [1.2.3 January]"),
    # Widths and indexes
    (b"%*d|%-*d|%*d|", [5, 1, 5, 1, -5, 1], b"    1|1    |1    |"),
    (b"%.*f %*.*f|", [2, 3.14159, 8, 1, 3.14159], b"3.14      3.1|"),
    (b"%[2]d %[1]d", [1, 2], b"2 1"),
    (b"%[2]*[1]d|%6.2f", [12, 5, 1.5], b"   12|%!f(int=    05)"),
    (b"%[1]d %d %[1]q", [65, 66], b"65 66 'A'"),
    (b"%[3]*.[2]*[1]f", [12.0, 2, 6], b" 12.00"),
    (b"%*d %.*d", [b"x", 1, -1, 2], b"%!(BADWIDTH)1 %!(BADPREC)2"),
    (b"%*d", [1000001, 1], b"%!(BADWIDTH)1"),
    (b"%-010d|%+ d|%- 5d|", [1, 2, 3], b"1         |+2| 3   |"),
    # Formats that are wrong
    (b"%!", [], b"%!!(MISSING)"),
    (b"%", [], b"%!(NOVERB)"),
    (b"%d", [], b"%!d(MISSING)"),
    (b"%d %d", [1], b"1 %!d(MISSING)"),
    (b"a", [1, b"x", None, [1]], b"a%!(EXTRA int=1, string=x, <nil>, []interface {}=[1])"),
    (b"%z %\xc3\xa9", [1, b"a"], b"%!z(int=1) %!\xc3\xa9(string=a)"),
    (
        b"%[5]d %[0]d %[x]d %[]d %[1",
        [1],
        b"%!d(BADINDEX) %!d(BADINDEX) %!d(BADINDEX) %!d(BADINDEX) %!(NOVERB)",
    ),
    (b"%[2]d %[1]3d %[1].2d", [1, 2], b"2 %!d(BADINDEX) %!d(BADINDEX)"),
    (b"%5", [1], b"%!(NOVERB)%!(EXTRA int=1)"),
    (b"%.", [1], b"%!.(int=1)"),
    (b"%-", [1], b"%!(NOVERB)%!(EXTRA int=1)"),
    (b"%999999999d", [1], b"%!(NOVERB)%!(EXTRA int=1)"),
    (b"%[99999999]d", [1], b"%!d(BADINDEX)"),
    (b"%%|%5%|%-.3%", [], b"%|%|%"),
    (b"%w", [b"x"], b"%!w(string=x)"),
    (b"%w %w", [[1], None], b"%!w([]interface {}=[1]) %!w(<nil>)"),
    (b"%\xff", [1], b"%!\xef\xbf\xbd(int=1)"),
    (b"100%", [], b"100%!(NOVERB)"),
    (b"%s%", [b"a"], b"a%!(NOVERB)"),
]


def run():
    return Run(Limits(), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


@pytest.mark.parametrize(
    ("text", "args", "expected"), [pytest.param(*case, id=ascii(case[0])[2:-1]) for case in CASES]
)
def test_printf_prints_what_go_does(text, args, expected):
    assert expected == sprintf(run(), text, args)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"<no value>"),
        (b"\xff", b"\xff"),
        (Uint8(7), b"7"),
        (-1, b"-1"),
        (True, b"true"),
        (1e6, b"1e+06"),
        (float("nan"), b"NaN"),
        (Month(3), b"March"),
        ([None, {b"b": None, b"a": 1.0}], b"[<nil> map[a:1 b:<nil>]]"),
    ],
)
def test_an_action_prints_what_go_does(value, expected):
    assert expected == print_value(run(), value)

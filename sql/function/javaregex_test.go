package function

import (
	"strings"
	"testing"
)

func TestJavaRegexMatches(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{`\p{Alpha}+`, "12ab3", "ab"},
		{`[\p{Upper}\d]+`, "abC9d", "C9"},
		{`\P{Digit}+`, "12ab3", "ab"},
		{`\p{IsLatin}+`, "жab", "ab"},
		{`\u0041.`, "xAB", "AB"},
		{`\Qa.b\E+`, "a.bbb", "a.bbb"},
		{`x\s`, "ax\vb", "x\v"},
		{`[^\s]+`, " ab ", "ab"},
		{`(?<y>\d{4})`, "in 2001", "2001"},
		{`a\Z`, "ba\n", "a\n"},
		{`[a\]]+`, "b]a]", "]a]"},
		{`a{2}`, "aaa", "aa"},
		{`a+(?=b)`, "aa aab", "aa"},
		{`(?<!x)y\w*`, "xy yz", "yz"},
		{`(\w)\1`, "abccd", "cc"},
		{`(?<c>\w)-\k<c>`, "a-b c-c", "c-c"},
		{`(?:ab)++c`, "ababc", "ababc"},
		{`[a-c]*+c`, "abc", ""},
		{`a?+b`, "ab", "ab"},
		{`(?>a|ab)c`, "abc", ""},
		{`[a-z&&[^aeiou]]+`, "aebcd", "bcd"},
		{`é(?=\d)`, "éé1", "é"},
	} {
		re, err := compileJavaRegex(c.pattern)
		if err != nil {
			t.Error(err)
			continue
		}
		got := ""
		if m, err := re.first([]byte(c.text)); err == nil && m != nil {
			got = c.text[m[0]:m[1]]
		}
		if got != c.want {
			t.Errorf("%s in %q is %q, want %q", c.pattern, c.text, got, c.want)
		}
	}
}

func TestJavaRegexRefuses(t *testing.T) {
	for pattern, want := range map[string]string{`[a-z&&b]`: "intersections", `[a[b]]`: "within character classes", `(`: "missing", `\`: "end", `\u12`: "hexadecimal", `\X`: "not supported",
		`\k<x>`: "a group that there is not", `(?<n`: "not closed"} {
		if _, err := compileJavaRegex(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

func TestJavaReplacement(t *testing.T) {
	for _, c := range []struct{ pattern, text, with, want string }{
		{`(\w)(\w)`, "abcd", "$2$1", "badc"},
		{`(a)`, "ab", "$11", "a1b"},
		{`(?<k>a)`, "ab", "<${k}>", "<a>b"},
		{`a`, "ab", `\$\\`, `$\b`},
		{`x*`, "ab", "-", "-a-b-"},
		{`b*`, "abc", "-", "-a--c-"},
		{`(?<=a)(b)`, "ab b", "<$1>", "a<b> b"},
		{`(x)(?<n>y)(z)`, "xyz", "${n}$3$1", "yzx"},
		{`(a)|b`, "ab", "[$1]", "[a][]"},
	} {
		re, err := compileJavaRegex(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got, err := replaceAllJava(re, []byte(c.text), []byte(c.with))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q with %q is %q, want %q (%v)", c.pattern, c.text, c.with, got, c.want, err)
		}
	}
	re, _ := compileJavaRegex("a")
	for _, with := range []string{"$1", "$", `\`, "${x}"} {
		if got, err := replaceAllJava(re, []byte("a"), []byte(with)); err == nil {
			t.Errorf("%q gives %q", with, got)
		}
	}
}

func FuzzJavaRegex(f *testing.F) {
	f.Add(`[\p{Alpha}\Q[`, "a", "$1")
	f.Fuzz(func(t *testing.T, pattern, text, with string) {
		if re, err := compileJavaRegex(pattern); err == nil {
			_, _ = replaceAllJava(re, []byte(text), []byte(with))
		}
	})
}

// TestRegexTimeout holds that an expression that explodes is given up.
func TestRegexTimeout(t *testing.T) {
	re, err := compileJavaRegex(`(?=a)(a+)+$`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := re.first([]byte(strings.Repeat("a", 60) + "b")); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("found %v", err)
	}
}

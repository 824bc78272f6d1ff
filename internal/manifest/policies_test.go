// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy/rules"
)

const head = "apiVersion: noderestriction.plus/v1alpha1\nkind: NodeRestrictionPolicy\nmetadata: {name: a}\n"

// problemsOf returns the errors of all policies of a text, each on a line.
func problemsOf(data string) string {
	var b strings.Builder
	file := manifest.Read(strings.NewReader(data), rules.NewCompiler())
	for _, p := range file.Errors {
		fmt.Fprintf(&b, "%d:%d %s\n", p.Line, p.Column, p.String())
	}
	for _, policy := range file.Policies {
		for _, p := range policy.Errors {
			fmt.Fprintf(&b, "%d:%d %s\n", p.Line, p.Column, p.String())
		}
	}
	return b.String()
}

func TestReadReportsWithPositionAndHint(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"a valid policy": {"spec: {nodes: {labels: {}}}", ""},
		"a rule without a value": {
			"spec:\n  nodes:\n    labels:\n    taints: {}",
			"6:5 spec.nodes.labels: has no value, so the rule is off; write {} to turn it on\n",
		},
		"a rule at the top without a value": {
			"spec: {events: }", "4:8 spec.events: has no value, so the rule is off; write {} to turn it on\n",
		},
		"a group of rules without a value": {
			"spec: {nodes: , events: {}}", "4:8 spec.nodes: has no value; remove it, or give it one\n",
		},
		"a value that is missing in a list": {
			"spec: {match: {nodeNames: [a, ]}, nodes: {labels: {update: {allowed: [~]}}}}",
			"4:71 spec.nodes.labels.update.allowed[0]: has no value; remove it, or give it one\n",
		},
		"a field of another section": {
			"spec: {nodes: {labels: {denied: [a]}}}",
			"4:25 spec.nodes.labels.denied: unknown field; did you mean spec.nodes.labels.registration.denied?\n",
		},
		"a field of match": {
			"spec: {excludeNodeNames: [a]}", "4:8 spec.excludeNodeNames: unknown field; did you mean spec.match.excludeNodeNames?\n",
		},
		"an action in another case that is no list": {
			"spec: {validationActions: deny}", "4:8 spec.validationActions: must be a list, not a string; write [\"Deny\"]\n",
		},
		"a label in a selector": {
			"spec: {match: {nodeSelector: {pool: a}}}", "4:31 spec.match.nodeSelector.pool: unknown field; write it under matchLabels\n",
		},
		"a taint that is a string": {
			"spec: {nodes: {taints: {allowed: [a]}}}", "4:35 spec.nodes.taints.allowed[0]: must be an object, not a string; write {key: \"a\"}\n",
		},
		"a field in another case": {"spec: {mirrorpods: {}}", "4:8 spec.mirrorpods: unknown field; did you mean mirrorPods?\n"},
		"a field of Gatekeeper": {
			"spec: {enforcementAction: deny}", "4:8 spec.enforcementAction: unknown field; did you mean validationActions?\n",
		},
		"a field of Kyverno": {
			"spec: {validationFailureAction: Audit}", "4:8 spec.validationFailureAction: unknown field; did you mean validationActions?\n",
		},
		"a field that nothing resembles": {"spec: {xyzzy: {}}", "4:8 spec.xyzzy: unknown field\n"},
		"a list in place of an object": {
			"spec: {mirrorPods: {namespaces: [kube-system]}}",
			"4:21 spec.mirrorPods.namespaces: must be an object, not a list; write {allowed: [\"kube-system\"]}\n",
		},
		"a string in place of a list": {
			"spec: {validationActions: Audit}", "4:8 spec.validationActions: must be a list, not a string; write [\"Audit\"]\n",
		},
		"a boolean of YAML 1.1 in place of a string": {
			"spec: {nodes: {names: {allowed: [yes]}}}", "4:34 spec.nodes.names.allowed[0]: must be a string, not a boolean\n",
		},
		"every wrong type": {
			"spec: {validationActions: 1, nodes: {labels: [], taints: {allowed: [x]}}}",
			"4:8 spec.validationActions: must be a list, not a number\n" +
				"4:38 spec.nodes.labels: must be an object, not a list\n" +
				"4:69 spec.nodes.taints.allowed[0]: must be an object, not a string; write {key: \"x\"}\n",
		},
		"a bad quantity beside another error": {
			"spec:\n  nodes:\n    capacity:\n      max:\n        cpu: lots\n    images: {maxCount: 0}",
			"8:9 spec.nodes.capacity.max[cpu]: Invalid value: \"lots\": must be a quantity such as 16 or 64Gi, of at most 20 " +
				"characters and without an exponent\n9:14 spec.nodes.images.maxCount: must be at least 1, not 0\n",
		},
		"a map key with dots": {
			"spec: {nodes: {capacity: {max: {nvidia.com/gpu: [1]}}}}",
			"4:33 spec.nodes.capacity.max[nvidia.com/gpu]: must be a string or a whole number, not a list\n",
		},
		"a field twice": {
			"spec:\n  nodes: {labels: {}}\n  nodes: {}", "6:3 spec.nodes: duplicate field\n",
		},
		"an item twice": {
			"spec: {nodes: {labels: {update: {allowed: [a, b, a]}}}}",
			"4:50 spec.nodes.labels.update.allowed[2]: duplicate of [0]\n",
		},
		"a required field": {
			"spec: {nodes: {taints: {allowed: [{value: a}]}}}", "4:35 spec.nodes.taints.allowed[0].key: must be set\n",
		},
		"a selector": {
			"spec: {match: {nodeSelector: {matchLabels: {a: -}}}, nodes: {labels: {}}}",
			"4:31 spec.match.nodeSelector.matchLabels: Invalid value: \"-\": a valid label must be an empty string or consist of " +
				"alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or " +
				"'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')\n",
		},
		"an anchor and its alias": {
			"spec: {match: {nodeNames: &n [a], excludeNodeNames: *n}, nodes: {labels: {update: {allowed: [1]}}}}",
			"4:94 spec.nodes.labels.update.allowed[0]: must be a string, not a number\n",
		},
		"an unfinished list": {"spec: [", "4:0 did not find expected node content\n"},
		"a tab":              {"spec:\n\tnodes: {}", "5:0 found character that cannot start any token\n"},
		"status is ignored":  {"spec: {nodes: {labels: {}}}\nstatus: {later: 1}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			spec := withActions(test.spec)
			if got := problemsOf(head + spec + "\n"); got != test.want {
				t.Errorf("got:\n%swant:\n%s", got, test.want)
			}
		})
	}
}

// withActions adds validationActions behind the fields of a spec, where they move no position, unless the spec has them.
func withActions(spec string) string {
	first, rest, more := strings.Cut(spec, "\n")
	switch {
	case strings.Contains(spec, "validationActions"):
		return spec
	case first == "spec:":
		return spec + "\n  validationActions: [Deny]"
	case strings.HasPrefix(first, "spec: {") && strings.HasSuffix(first, "}"):
		first = strings.TrimSuffix(first, "}") + ", validationActions: [Deny]}"
	}
	if more {
		return first + "\n" + rest
	}
	return first
}

func TestActionsAreRequired(t *testing.T) {
	const want = "4:1 spec.validationActions: must be set; write [Deny], [Warn] or [Audit]\n"
	if got := problemsOf(head + "spec: {nodes: {labels: {}}}\n"); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestReadTakesEveryEncoding(t *testing.T) {
	text := head + "spec: {nodes: {lables: {}}}\n"
	want := problemsOf(text)
	if want == "" {
		t.Fatal("there is no problem to find")
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		little, big = append(little, byte(unit), byte(unit>>8)), append(big, byte(unit>>8), byte(unit))
	}
	for name, encoded := range map[string]string{
		"CRLF":                              strings.ReplaceAll(text, "\n", "\r\n"),
		"a byte order mark":                 "\ufeff" + text,
		"gzip":                              zipped.String(),
		"UTF-16, little endian":             "\xff\xfe" + string(little),
		"UTF-16, big endian":                "\xfe\xff" + string(big),
		"UTF-16, little endian, not marked": string(little),
		"UTF-16, big endian, not marked":    string(big),
	} {
		t.Run(name, func(t *testing.T) {
			if got := problemsOf(encoded); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

// TestReadStopsAtItsBounds: what costs much is refused, or cut, before it costs.
func TestReadStopsAtItsBounds(t *testing.T) {
	item := "- " + strings.Repeat("a", 28) + "\n"
	for name, test := range map[string]struct{ text, want string }{
		"a policy larger than a YAML document may be": {
			head + "spec:\n  validationActions: [Deny]\n  match:\n    nodeNames:\n" + strings.Repeat("    "+item, 400_000),
			"0:0 document 1 (line 1, byte 0): larger than 8 MiB\n",
		},
		"a list of more items than the schema allows": {
			head + "spec:\n  validationActions: [Deny]\n  match:\n    nodeNames:\n" + strings.Repeat("    "+item, 20_000),
			"7:5 spec.match.nodeNames: must have at most 256 items, not 20000\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := problemsOf(test.text); got != test.want {
				t.Errorf("got:\n%.1000swant:\n%s", got, test.want)
			}
		})
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, ", x%d: 1", i)
	}
	if n := strings.Count(problemsOf(head+"spec: {nodes: {}"+many.String()+"}"), "\n"); n != 256 {
		t.Errorf("%d errors are reported, want 256", n)
	}
}

// FuzzRead reads anything. Each problem must be printable and in the text.
func FuzzRead(f *testing.F) {
	f.Add([]byte(head + "spec: {nodes: {labels: , taints: {allowed: [&a x, *a]}}}\n---\n{\"kind\": \"List\", \"apiVersion\": \"v1\"}"))
	f.Add([]byte("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"noderestriction.plus/v1alpha1\"," +
		"\"kind\":\"NodeRestrictionPolicy\",\"metadata\":{\"name\":1},\"spec\":{\"a\":1,\"a\":[2]}}]}"))
	compiler := rules.NewCompiler()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			data = data[:1<<14]
		}
		file := manifest.Read(bytes.NewReader(data), compiler)
		problems := file.Errors
		for _, p := range file.Policies {
			problems = append(append(problems, p.Errors...), p.Warnings...)
			if len(p.Errors) == 0 && p.Compiled == nil {
				t.Error("a policy without errors is not compiled")
			}
		}
		for _, p := range problems {
			if strings.ContainsFunc(p.String(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("does not print: %q", p.String())
			}
		}
	})
}

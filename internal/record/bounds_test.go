// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	stdjson "encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	admissionv1 "k8s.io/api/admission/v1"
	"pgregory.net/rapid"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/policy"
)

// hostile generates text that somebody would choose who wants to break a log.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.Custom(func(t *rapid.T) string {
			part := rapid.SampledFrom([]string{
				"a", `"`, `\`, "<", "&", "\n", "\r", "\t", "\x00", "\x1b[2J", "\u2028", "\u2029", "\u202e", "\ufeff",
				"\u009b", "\xff", "\xf0\x9f", "😀", "e\u0301", "\u007f", `","seq":1}`, "\n{\"level\":\"info\"}",
				`\u2028`, "\U0010ffff",
			}).Draw(t, "part")
			return strings.Repeat(part, rapid.IntRange(0, 2000).Draw(t, "times"))
		}),
	)
}

func TestEveryRecordIsOneBoundedLine(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"encoding/json": stdjson.Marshal,
		"json v2":       func(v any) ([]byte, error) { return json.Marshal(v) },
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := func(name string) string { return hostile().Draw(rt, name) }
		d := policy.Decision{NodeName: text("node")}
		for range rapid.IntRange(1, 40).Draw(rt, "violations") {
			d.Violations = append(d.Violations, policy.PolicyViolation{
				Policy:     text("policy"),
				Generation: rapid.Int64().Draw(rt, "generation"),
				Rule:       policy.RuleID(text("rule")),
				Violation:  policy.Violation{Field: text("field"), Detail: text("detail")},
				Action:     v1alpha1.ValidationAction(text("action")),
			})
		}
		rec := New(
			Origin{
				UID: text("uid"), User: text("user"),
				ClientAuth: ClientAuth(text("clientAuth")), Version: text("version"),
			},
			&policy.Request{
				NodeName: d.NodeName, Write: policy.Write{
					Operation: admissionv1.Operation(text("operation")), Resource: text("resource"),
					Subresource: text("subresource"), Namespace: text("namespace"), Name: text("name"),
					DryRun: rapid.Bool().Draw(rt, "dryRun"),
				},
			}, d)
		rec.Boot, rec.Seq = strings.Repeat("b", 16), math.MaxUint64
		if len(rec.Violations) == 0 || len(rec.Violations)+rec.OmittedViolations != len(d.Violations) {
			rt.Fatalf("%d of %d violations, %d omitted", len(rec.Violations), len(d.Violations), rec.OmittedViolations)
		}
		for name, marshal := range encoders {
			checkLine(rt, name, marshal, rec, MaxLine)
			checkLine(rt, name, marshal, rec.Compact(), MaxCompactLine)
		}
	})
}

func checkLine(t *rapid.T, name string, marshal func(any) ([]byte, error), value any, limit int) {
	line, err := marshal(value)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(line)+1 > limit {
		t.Fatalf("%s: a line of %d bytes, want at most %d: %s", name, len(line)+1, limit, line)
	}
	if !utf8.Valid(line) || bytes.ContainsAny(line, "\n\r\t\x00\x1b\x7f\u009b\u2028\u2029\u202e") {
		t.Fatalf("%s: not one clean line: %q", name, line)
	}
	decoded := map[string]any{}
	if err := json.Unmarshal(line, &decoded); err != nil { // it refuses duplicate names
		t.Fatalf("%s: %v", name, err)
	}
	checkValues(t, name, decoded)
}

// checkValues looks at what a reader gets who decodes the line.
func checkValues(t *rapid.T, name string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			checkValues(t, name, member)
		}
	case []any:
		for _, element := range v {
			checkValues(t, name, element)
		}
	case string:
		if len(v) > MaxValue || strings.ContainsAny(v, "\n\r\t\x00\x1b\x7f\u009b\u2028\u2029\u202e") {
			t.Fatalf("%s: a value of %d bytes: %q", name, len(v), v)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	r := &policy.Request{NodeName: "worker-1", Write: policy.Write{Operation: admissionv1.Update, Resource: "nodes", Name: "worker-1"}}
	d := policy.Decision{NodeName: "worker-1", Violations: []policy.PolicyViolation{{
		Policy: "recommended", Generation: 3, Rule: "node-finalizers", Action: v1alpha1.Deny,
		Violation: policy.Violation{Field: "metadata.finalizers", Detail: `must not add "x"`},
	}}}
	b.ReportAllocs()
	for b.Loop() {
		New(Origin{UID: "705ab4f5", User: "system:node:worker-1"}, r, d)
	}
}

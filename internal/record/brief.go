// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package record

import (
	"strconv"
	"strings"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// MaxBriefLine is the maximum length of the line of a [Brief] record, in bytes, with its newline.
const MaxBriefLine = 512

// Brief is the medium form of a record, for records beyond the budget of full ones: it has the write and the violated policies
// and rules, without the user, fields and details. Its line has at most 512 bytes.
type Brief struct {
	Time   Time           `json:"ts"`
	Level  string         `json:"level"`
	Logger string         `json:"logger"`
	Msg    policy.Outcome `json:"msg"`
	Boot   string         `json:"boot"`
	Seq    uint64         `json:"seq"`
	UID    string         `json:"uid"`
	Node   string         `json:"node"`
	// Subject and Account are those of a node agent.
	Subject     policy.SubjectKind `json:"subject,omitzero"`
	Account     string             `json:"account,omitzero"`
	Operation   string             `json:"operation"`
	Resource    string             `json:"resource"`
	Subresource string             `json:"subresource,omitzero"`
	Namespace   string             `json:"namespace,omitzero"`
	Name        string             `json:"name,omitzero"`
	DryRun      bool               `json:"dryRun,omitzero"`
	Late        bool               `json:"late,omitzero"`
	ClientAuth  ClientAuth         `json:"clientAuth"`
	// Rules are the violated rules, one string per policy: its name, a colon, and the rules separated by spaces.
	Rules []string `json:"rules"`
	// OmittedViolations is how many violations are of rules that are not named.
	OmittedViolations int    `json:"omittedViolations,omitzero"`
	Fingerprint       string `json:"fingerprint"`
}

// briefFrame is longer than what a brief line has besides its values.
const briefFrame = `{"ts":"2006-01-02T15:04:05.000Z","level":"","logger":"","msg":"","boot":"","seq":,"uid":"","node":"",` +
	`"subject":"","account":"","operation":"","resource":"","subresource":"","namespace":"","name":"","dryRun":true,"late":true,` +
	`"clientAuth":"","rules":[],"omittedViolations":123,"fingerprint":""}` + "\n"

// Brief returns the medium form of the record. The more there is to say, the shorter names are cut.
func (r *Record) Brief() Brief {
	var b Brief
	for _, limit := range []int{64, 48, 32, 24, 16, 8} {
		var fits bool
		if b, fits = r.briefWithin(limit); fits {
			break
		}
	}
	return b
}

// briefWithin cuts each name to limit bytes. It reports whether there is room for at least one rule.
func (r *Record) briefWithin(limit int) (b Brief, fits bool) {
	room := MaxBriefLine - len(briefFrame)
	value := func(s string, limit int) string {
		s, size, _ := text.BoundSize(s, limit)
		room -= size
		return s
	}
	b = Brief{
		Time: r.Time, Level: value(r.Level, 8), Logger: value(r.Logger, 8), Msg: policy.Outcome(value(string(r.Msg), 8)),
		Boot: value(r.Boot, 16), Seq: r.Seq, UID: value(r.UID, 36), Node: value(r.Node, limit),
		Subject: policy.SubjectKind(value(string(r.Subject), 16)), Account: value(r.Account, limit),
		Operation: value(r.Operation, 8), Resource: value(r.Resource, limit),
		Subresource: value(r.Subresource, limit),
		Namespace:   value(r.Namespace, limit), Name: value(r.Name, limit),
		DryRun: r.DryRun, Late: r.Late, ClientAuth: ClientAuth(value(string(r.ClientAuth), 8)), Rules: []string{},
		Fingerprint: value(r.Fingerprint, 16),
	}
	room -= len(strconv.FormatUint(r.Seq, 10))
	b.Rules, b.OmittedViolations = r.briefRules(room, limit)
	return b, len(b.Rules) > 0 || len(r.Violations) == 0
}

// briefRules returns the violated rules, as many as fit, and how many violations are of others.
func (r *Record) briefRules(room, limit int) (rules []string, omitted int) {
	const maxRule, frame = 48, len(`"",`)
	rules, omitted = []string{}, r.OmittedViolations
	last := "" // policy of the last text
	for _, v := range r.Violations {
		name := text.Bound(v.Policy, limit)
		rule, size, _ := text.BoundSize(v.Rule, maxRule)
		n := len(rules)
		switch {
		case n > 0 && last == v.Policy && namesRule(rules[n-1], rule):
		case n > 0 && last == v.Policy && room >= size+1:
			room -= size + 1
			rules[n-1] += " " + rule
		case (n == 0 || last != v.Policy) && room >= frame+len(name)+2+size:
			room -= frame + len(name) + 2 + size
			rules, last = append(rules, name+": "+rule), v.Policy
		default:
			omitted++
		}
	}
	return rules, omitted
}

// namesRule reports whether an element of Rules names a rule.
func namesRule(entry, rule string) bool {
	_, rules, _ := strings.Cut(entry, ": ")
	for named := range strings.SplitSeq(rules, " ") {
		if named == rule {
			return true
		}
	}
	return false
}

// ViolationsOf returns the violations that [Brief.Rules] names, with policy, rule and reason only.
func ViolationsOf(rules []string) []Violation {
	violations := []Violation{}
	for _, entry := range rules {
		name, rest, _ := strings.Cut(entry, ": ")
		for rule := range strings.SplitSeq(rest, " ") {
			violations = append(violations, Violation{Policy: name, Rule: rule, Reason: policy.RuleID(rule).Reason()})
		}
	}
	return violations
}

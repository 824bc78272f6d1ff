// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

// jsonRow is a record as it is printed. What the log does not have is omitted.
type jsonRow struct {
	Time        record.Time        `json:"ts"`
	Action      string             `json:"action"`
	Enforcer    recordlog.Enforcer `json:"enforcer"`
	Boot        string             `json:"boot,omitempty"` // empty: there is no record
	Seq         uint64             `json:"seq,omitempty"`
	UID         string             `json:"uid"`
	Node        string             `json:"node,omitempty"` // empty: no kubelet wrote
	User        string             `json:"user,omitempty"`
	Subject     policy.SubjectKind `json:"subject,omitempty"` // empty: a kubelet
	Account     string             `json:"account,omitempty"` // of a node agent
	Operation   string             `json:"operation,omitempty"`
	Resource    string             `json:"resource,omitempty"`
	Subresource string             `json:"subresource,omitempty"`
	Namespace   string             `json:"namespace,omitempty"`
	Name        string             `json:"name,omitempty"`
	DryRun      bool               `json:"dryRun,omitempty"`
	Late        bool               `json:"late,omitempty"`
	ClientAuth  record.ClientAuth  `json:"clientAuth,omitempty"`
	Version     string             `json:"version,omitempty"`
	Violations  []jsonViolation    `json:"violations,omitempty"`
	Fingerprint string             `json:"fingerprint,omitempty"`
	Truncated   bool               `json:"truncated,omitempty"`
	Omitted     int                `json:"omittedViolations,omitempty"`
	Brief       bool               `json:"brief,omitempty"`
	Compact     bool               `json:"compact,omitempty"`
	Like        uint64             `json:"likeSeq,omitempty"` // from which record the rest of a shorter one is known
	Source      string             `json:"source,omitempty"`
}

type jsonViolation struct {
	Policy     string `json:"policy"`
	Generation int64  `json:"generation,omitempty"`
	Rule       string `json:"rule"`
	Field      string `json:"field,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Detail     string `json:"detail,omitempty"`
	Action     string `json:"action,omitempty"`
}

func newJSONRow(row *recordlog.Row) jsonRow {
	known := func(s string) string {
		if (row.Compact || row.Brief) && s == recordlog.Unknown {
			return ""
		}
		return s
	}
	j := jsonRow{
		Time: row.Time, Action: string(row.Msg), Enforcer: row.Enforcer, Boot: row.Boot, Seq: row.Seq, UID: row.UID, Node: row.Node,
		User: known(row.User), Subject: row.Subject, Account: row.Account, Operation: known(row.Operation), Resource: known(row.Resource),
		Subresource: row.Subresource, Namespace: known(row.Namespace), Name: known(row.Name), DryRun: row.DryRun, Late: row.Late,
		ClientAuth: row.ClientAuth, Version: row.Version, Fingerprint: row.Fingerprint, Truncated: row.Truncated,
		Omitted: row.OmittedViolations, Brief: row.Brief, Compact: row.Compact, Like: row.Like, Source: row.Source,
	}
	if row.Compact && row.Like == 0 {
		return j
	}
	for _, v := range row.Violations {
		j.Violations = append(j.Violations, jsonViolation{
			Policy: v.Policy, Generation: v.Generation, Rule: v.Rule, Field: known(v.Field), Reason: v.Reason,
			Detail: v.Detail, Action: v.Action,
		})
	}
	return j
}

// listKind is the kind of the list of records.
const listKind = "DenialRecordList"

// jsonRows shows records as a list in JSON.
type jsonRows struct {
	w     io.Writer
	begun bool
}

func (v *jsonRows) begin() string {
	v.begun = true
	return fmt.Sprintf("{\n  \"apiVersion\": %q,\n  \"kind\": %q,\n  \"items\": [", command.APIVersion, listKind)
}

func (v *jsonRows) add(row *recordlog.Row) error {
	var b bytes.Buffer
	if v.begun {
		b.WriteString(",")
	} else {
		b.WriteString(v.begin())
	}
	b.WriteString("\n    ")
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("    ", "  ")
	if err := encoder.Encode(newJSONRow(row)); err != nil {
		return err
	}
	_, err := v.w.Write(bytes.TrimRight(b.Bytes(), "\n"))
	return err
}

func (v *jsonRows) finish() error {
	end := "\n  ]\n}\n"
	if !v.begun {
		end = v.begin() + "]\n}\n"
	}
	_, err := io.WriteString(v.w, end)
	return err
}

// yamlRows shows records as a list in YAML.
type yamlRows struct {
	w     io.Writer
	begun bool
}

func (v *yamlRows) begin() string {
	v.begun = true
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nitems:", command.APIVersion, listKind)
}

func (v *yamlRows) add(row *recordlog.Row) error {
	var b bytes.Buffer
	if !v.begun {
		b.WriteString(v.begin() + "\n")
	}
	out, err := yaml.Marshal([]jsonRow{newJSONRow(row)})
	if err != nil {
		return err
	}
	b.Write(out)
	_, err = v.w.Write(b.Bytes())
	return err
}

func (v *yamlRows) finish() error {
	if v.begun {
		return nil
	}
	_, err := io.WriteString(v.w, v.begin()+" []\n")
	return err
}

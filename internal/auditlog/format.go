// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"fmt"
	"slices"
	"strings"
)

// Format is how an audit log is stored. It implements pflag.Value.
type Format string

// Formats.
const (
	Auto       Format = "auto"       // any of the others, decided for each record
	Events     Format = "events"     // events and lists of events, as API servers and OpenShift write them
	CloudWatch Format = "cloudwatch" // EKS
	GKE        Format = "gke"        // LogEntry of Cloud Logging
	AKS        Format = "aks"        // resource logs of Azure Monitor
)

// FormatUsage is the description of the flag --format, which a command has beside --audit-log.
const FormatUsage = "`format` of the audit logs: auto, events, cloudwatch, gke or aks"

// Formats returns all formats, the default first.
func Formats() []string {
	return []string{string(Auto), string(Events), string(CloudWatch), string(GKE), string(AKS)}
}

// String returns the format.
func (f *Format) String() string { return string(*f) }

// Type returns all formats.
func (f *Format) Type() string { return strings.Join(Formats(), "|") }

// Set sets the format.
func (f *Format) Set(s string) error {
	if !slices.Contains(Formats(), s) {
		return fmt.Errorf("must be one of %s", strings.Join(Formats(), ", "))
	}
	*f = Format(s)
	return nil
}

// reads reports whether entries of another format are read. CloudWatch exports events to S3 as they are.
func (f Format) reads(other Format) bool {
	return f == Auto || f == other || f == CloudWatch && other == Events
}

// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package replays

import (
	"fmt"
	"strings"
	"time"

	"noderestriction.plus/internal/command"
)

// Report is what the command prints. Its texts are printable and bounded.
type Report struct {
	command.Envelope
	Policies     []string   `json:"policies"`
	Inputs       int        `json:"inputs"`
	From         *time.Time `json:"from,omitempty"` // of the first and the last event, of whomever
	To           *time.Time `json:"to,omitempty"`
	Events       int        `json:"events"`               // read
	Unreadable   int        `json:"unreadable,omitempty"` // entries
	Cut          int        `json:"cut,omitempty"`        // of the unreadable ones; what is left of them is used
	Repeated     int        `json:"repeated,omitempty"`   // events that were read before
	Writes       int        `json:"writes"`               // of kubelets and of the node agents that policies name, and selected
	Kubelets     int        `json:"kubelets"`
	Agents       int        `json:"agents,omitempty"` // accounts of node agents
	Impersonated int        `json:"impersonated"`     // of the writes
	DryRuns      int        `json:"dryRuns"`          // of the writes
	Refused      int        `json:"refused"`          // by others; of the writes only with --attempts

	// Each write is in one of these.
	Stored   int `json:"allowedFromStored"`
	Whatever int `json:"allowedWhateverStood"`
	Denied   int `json:"denied"`
	Unknown  int `json:"unknown"`

	DeniedNodes int           `json:"deniedNodes"`
	Log         LogState      `json:"log"`
	Rules       []RuleCount   `json:"rules"`
	Because     []ReasonCount `json:"unknownBecause"`
	Coverage    *Coverage     `json:"coverage,omitempty"` // not with --failed-open
	By          []string      `json:"by,omitempty"`
	Groups      []Group       `json:"groups,omitempty"`
	MoreGroups  int           `json:"moreGroups,omitempty"`
	Items       []Item        `json:"items,omitempty"` // with --list and --unknown
	MoreItems   int           `json:"moreItems,omitempty"`

	// Accounts are the clients that are no kubelets, with --subjects.
	Accounts     []AccountCount `json:"accounts,omitempty"`
	MoreAccounts int            `json:"moreAccounts,omitempty"` // writes of further ones

	listed, attempts, acceptUnknown bool
	asksAccounts, namesAgents       bool
	limit                           int
}

// LogState says whether the log lacks writes: whether successive answers show the same object.
type LogState struct {
	Complete bool `json:"complete"`
	Links    int  `json:"links"`
	Breaks   int  `json:"breaks"`
}

// RuleCount is a rule of a policy that would have denied writes.
type RuleCount struct {
	Policy  string    `json:"policy"`
	Rule    string    `json:"rule"`
	Nodes   int       `json:"nodes"`
	Writes  int       `json:"writes"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Example string    `json:"example"`
	Allow   string    `json:"allow"` // the section of the policy
}

// ReasonCount is a reason for which rules have no verdict. A write may have several.
type ReasonCount struct {
	Reason string   `json:"reason"`
	Writes int      `json:"writes"`
	Rules  []string `json:"rules"`
	Parts  []string `json:"parts,omitempty"`
	Remedy string   `json:"remedy,omitempty"`
}

// Coverage counts the kubelets whose writes of nodes/status are in the log. Each sends one at least every few minutes.
type Coverage struct {
	Kubelets  int      `json:"kubelets"`
	Covered   int      `json:"covered"`
	Without   []string `json:"without,omitempty"` // that have none at all
	Holes     []Hole   `json:"holes"`             // the longest first
	MoreHoles int      `json:"moreHoles,omitempty"`
}

// Hole is a time without a write of nodes/status.
type Hole struct {
	Node    string    `json:"node"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Seconds int       `json:"seconds"`
}

// Group counts denied writes by --by.
type Group struct {
	Values map[string]string `json:"values"`
	Writes int               `json:"writes"`
	First  time.Time         `json:"first"`
	Last   time.Time         `json:"last"`

	ordered []string
}

// Item is a write that would have been denied, or that is unknown.
type Item struct {
	Time         time.Time       `json:"time"`
	Node         string          `json:"node"`
	Account      string          `json:"account,omitempty"` // of a node agent
	Operation    string          `json:"operation"`
	Resource     string          `json:"resource"`
	Namespace    string          `json:"namespace,omitempty"`
	Name         string          `json:"name,omitempty"`
	UserAgent    string          `json:"userAgent,omitempty"`
	DryRun       bool            `json:"dryRun,omitempty"`
	Impersonated bool            `json:"impersonated,omitempty"`
	FailedOpen   bool            `json:"failedOpen,omitempty"`
	Code         int32           `json:"code,omitempty"` // of HTTP
	Level        string          `json:"level,omitempty"`
	Violations   []ItemViolation `json:"violations,omitempty"`
	Unknown      []ItemUnknown   `json:"unknown,omitempty"`
}

// ItemViolation is a violation of a write.
type ItemViolation struct {
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

// ItemUnknown is a rule without a verdict.
type ItemUnknown struct {
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	Part   string `json:"part,omitempty"`
	Reason string `json:"reason"`
}

const kind = "Replay"

func newReport(policies []string, inputs int) *Report {
	r := &Report{Envelope: command.Envelope{APIVersion: command.APIVersion, Kind: kind}, Policies: []string{}, Inputs: inputs}
	for _, name := range policies {
		r.Policies = append(r.Policies, value(name))
	}
	return r
}

// sentence says what a write must not do.
func (i *Item) sentence() string {
	var all []string
	for _, v := range i.Violations {
		all = append(all, v.Detail)
	}
	return i.client() + " " + strings.Join(all, "; ")
}

// client names who wrote.
func (i *Item) client() string {
	switch {
	case i.Account == "":
		return i.Node
	case i.Node == "":
		return i.Account
	}
	return i.Account + " on " + i.Node
}

// clients says how many kubelets and node agents there are.
func (r *Report) clients() string {
	if r.Agents == 0 {
		return count(r.Kubelets, "kubelet")
	}
	if r.Kubelets == 0 {
		return count(r.Agents, "node agent")
	}
	return count(r.Kubelets, "kubelet") + " and " + count(r.Agents, "node agent")
}

// object names the object of a write.
func (i *Item) object() string {
	name := i.Name
	if i.Namespace != "" {
		name = i.Namespace + "/" + name
	}
	return strings.TrimSpace(i.Resource + " " + name)
}

// Err is the error of the command.
func (r *Report) Err() error {
	switch {
	case r.Denied > 0:
		return command.No("%s would be denied", count(r.Denied, "write"))
	case r.asksAccounts && len(r.Policies) == 0:
		if len(r.Accounts) == 0 {
			return fmt.Errorf("among %s there is no write of a client that is no kubelet: does the audit policy log those of all clients? "+
				"See docs/replay.md", count(r.Events, "event"))
		}
		return nil
	case r.asksAccounts && len(r.Accounts) > 0 && r.Unknown == 0:
		return nil
	case r.Writes == 0 && r.Refused == 0:
		return fmt.Errorf("there is no write of a kubelet%s among %s", r.orAgent(), count(r.Events, "event"))
	case r.Unknown > 0 && !r.acceptUnknown:
		return fmt.Errorf("of %s nothing can be said; see --unknown and --accept-unknown", count(r.Unknown, "write"))
	case r.Writes == 0:
		return fmt.Errorf("all writes of kubelets%s were refused by others; see --attempts", r.orAgent())
	}
	return nil
}

// orAgent adds node agents, if a policy names some.
func (r *Report) orAgent() string {
	if r.namesAgents {
		return " or a node agent that a policy names"
	}
	return ""
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return digits(n) + " " + noun
}

// digits is a number with commas between thousands.
func digits(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

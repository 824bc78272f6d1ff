// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package decisionlog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/internal/auditlog"
	"noderestriction.plus/internal/decisionlog"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/policy"
)

const floor = "node-restriction-plus-recommended"

// event returns an event of a denial by the floor, with these members instead of its own.
func event(more ...string) string {
	if !strings.Contains(strings.Join(more, ","), `"annotations":{`) {
		more = append(more, `"annotations":{`+annotations(floor, "denied", "recommended", "node-labels")+`}`)
	}
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","auditID":"a",` +
		`"requestURI":"/api/v1/nodes","verb":"create",` +
		`"user":{"username":"system:node:worker-1"},"objectRef":{"resource":"nodes","name":"worker-1"},"responseStatus":{"code":403},` +
		`"requestReceivedTimestamp":"2026-11-24T08:00:03.000123Z",` + strings.Join(more, ",") + "}\n"
}

func annotations(by, decision, policies, rules string) string {
	return fmt.Sprintf(`"%[1]s/decision":%[2]q,"%[1]s/policy":%[3]q,"%[1]s/rule":%[4]q`, by, decision, policies, rules)
}

// read returns what an input says, a line for each decision.
func read(t *testing.T, input string) ([]string, *decisionlog.Log) {
	t.Helper()
	log := decisionlog.NewLog(auditlog.Auto)
	var decisions []string
	err := log.Read(strings.NewReader(input), func(e *decisionlog.Event) error {
		for _, entry := range []*recordlog.Entry{e.Webhook, e.Server} {
			if entry == nil {
				continue
			}
			text := fmt.Sprintf("%s: %s %s %s %s", entry.Enforcer, entry.Msg, entry.Node, entry.Operation, entry.Target())
			for _, v := range entry.Violations {
				text += fmt.Sprintf(" %s/%s", v.Policy, v.Rule)
			}
			decisions = append(decisions, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return decisions, log
}

// TestReadOfNodeAgents reads who a node agent is from what the floor of node agents and a compiled policy have denied.
func TestReadOfNodeAgents(t *testing.T) {
	type identity struct {
		node, account string
		kind          policy.SubjectKind
	}
	const account, bound = "system:serviceaccount:kube-system:aws-node", `"authentication.kubernetes.io/node-name":["worker-1"]`
	for name, test := range map[string]struct {
		by, username, extra string
		want                identity
	}{
		"the floor": {"node-restriction-plus.agents", account, bound, identity{"worker-1", "kube-system/aws-node", policy.ServiceAccount}},
		"the floor, of a token without a node": {
			"node-restriction-plus.agents", account, "", identity{"", "kube-system/aws-node", policy.ServiceAccount},
		},
		"a compiled policy": {
			"node-restriction-plus-network", "system:ovn-node:worker-2", "", identity{"worker-2", "system:ovn-node:worker-2", policy.UsernamePrefix},
		},
		"the webhook": {"agents.noderestriction.plus", account, bound, identity{"worker-1", "kube-system/aws-node", policy.ServiceAccount}},
		"a user":      {"node-restriction-plus.agents", "admin", "", identity{}},
	} {
		t.Run(name, func(t *testing.T) {
			input := event(`"user":{"username":"`+test.username+`","extra":{`+test.extra+`}}`,
				`"annotations":{`+annotations(test.by, "denied", "subjects.floor", "node-self")+`}`)
			var got []identity
			err := decisionlog.NewLog(auditlog.Auto).Read(strings.NewReader(input), func(e *decisionlog.Event) error {
				for _, entry := range []*recordlog.Entry{e.Webhook, e.Server} {
					if entry != nil {
						got = append(got, identity{entry.Node, entry.Account, entry.Subject})
					}
				}
				return nil
			})
			if err != nil || !slices.Equal(got, []identity{test.want}) {
				t.Errorf("got %+v (%v), want %+v", got, err, test.want)
			}
		})
	}
}

func TestRead(t *testing.T) {
	const denied = "API server: denied worker-1 CREATE nodes recommended/node-labels"
	many := strings.TrimSuffix(strings.Repeat("node-labels,", 1000), ",")
	for name, test := range map[string]struct {
		input string
		want  string // empty: no decision
	}{
		"a denial":                {event(), denied},
		"without a line end":      {strings.TrimSuffix(event(), "\n"), denied},
		"a line end of Windows":   {strings.Replace(event(), "\n", "\r\n", 1), denied},
		"after a panic":           {event(`"stage":"Panic","responseStatus":{"code":500}`), denied},
		"before the response":     {event(`"stage":"RequestReceived"`), ""},
		"the write passed":        {event(`"responseStatus":{"code":201}`), strings.Replace(denied, "denied", "audited", 1)},
		"of an impersonated user": {event(`"user":{"username":"admin"},"impersonatedUser":{"username":"system:node:worker-1"}`), denied},
		"of no kubelet":           {event(`"user":{"username":"admin"}`), "API server: denied  CREATE nodes recommended/node-labels"},
		"of a group and its status": {
			event(`"verb":"patch","objectRef":{"resource":"csinodes","apiGroup":"storage.k8s.io","subresource":"status"}`),
			"API server: denied worker-1 UPDATE csinodes.storage.k8s.io/status recommended/node-labels",
		},
		"of another policy":   {event(`"annotations":{` + annotations("example.com", "denied", "p", "r") + `}`), ""},
		"of a similar name":   {event(`"annotations":{` + annotations("node-restriction-plusx", "denied", "p", "r") + `}`), ""},
		"an unknown decision": {event(`"annotations":{` + annotations(floor, "allowed", "p", "r") + `}`), ""},
		"two policies of the API server": {
			event(`"annotations":{` + annotations(floor, "audited", "a", "x") + "," +
				annotations("node-restriction-plus.b", "denied", "b", "y") + `}`),
			"API server: denied worker-1 CREATE nodes a/x b/y",
		},
		"the webhook": {
			event(`"annotations":{` + annotations("gate.noderestriction.plus", "denied", "a,b,...", "x") + `}`),
			"webhook: denied worker-1 CREATE nodes a,b/x",
		},
		"the probe": {
			event(`"user":{"username":"system:node:node-restriction-plus-probe"},"requestURI":"/x?dryRun=All","annotations":{` +
				annotations("gate.noderestriction.plus", "denied", "a", "x") + `}`),
			"webhook: probed node-restriction-plus-probe CREATE nodes a/x",
		},
		"an object that quotes": {
			`{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete","requestObject":{"annotations":{` +
				annotations(floor, "denied", "p", "r") + `}}}`, "",
		},
		"an object with a key twice": {event(`"requestObject":{"a":1,"a":2}`), denied},
		"control characters": {
			event(`"objectRef":{"resource":"nodes\u001b[2J"}`), `API server: denied worker-1 CREATE nodes\x1b[2J recommended/node-labels`,
		},
		"very many rules": {
			event(`"annotations":{` + annotations(floor, "denied", "p", many) + `}`),
			"API server: denied worker-1 CREATE nodes" + strings.Repeat(" p/node-labels", 100),
		},
	} {
		t.Run(name, func(t *testing.T) {
			decisions, log := read(t, test.input)
			if got := strings.Join(decisions, "; "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if log.Unreadable > 0 {
				t.Errorf("%d lines are unreadable", log.Unreadable)
			}
		})
	}
}

func TestReadCountsWhatItLeavesOut(t *testing.T) {
	long := event(`"requestObject":"` + strings.Repeat("x", 17<<20) + `"`)
	big := event(`"requestObject":"` + strings.Repeat("x", 4<<20) + `"`)
	decisions, log := read(t, event()+"\n"+event()+event()[:200]+"/decision\"\n"+"text\n"+long+big)
	if len(decisions) != 2 || log.Repeated != 1 || log.Unreadable != 3 || log.Events != 3 || log.Entries != 6 {
		t.Errorf("%d decisions, log %+v", len(decisions), log.Log)
	}
}

func TestReadStopsAtAnError(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := decisionlog.NewLog(auditlog.Auto).Read(strings.NewReader(event()+event(`"auditID":"b"`)), func(*decisionlog.Event) error {
		calls++
		return stop
	})
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(event())
	f.Add(event(`"annotations":{"node-restriction-plus./decision":"denied"}`))
	f.Fuzz(func(t *testing.T, input string) {
		_ = decisionlog.NewLog(auditlog.Auto).Read(strings.NewReader(input), func(e *decisionlog.Event) error {
			for _, entry := range []*recordlog.Entry{e.Webhook, e.Server} {
				if entry != nil && strings.ContainsAny(entry.User+entry.Name+entry.Resource+entry.UID, "\x00\x1b\n") {
					t.Errorf("an entry does not print: %+v", entry)
				}
			}
			return nil
		})
	})
}

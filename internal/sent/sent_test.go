// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package sent

import (
	"errors"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/wiring"
)

// policyOf returns a policy, of generation 2, for a service account.
func policyOf(account string, status *v1alpha1.NodeRestrictionPolicyStatus) *v1alpha1.NodeRestrictionPolicy {
	return &v1alpha1.NodeRestrictionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "agents", Generation: 2},
		Spec: v1alpha1.NodeRestrictionPolicySpec{Subjects: &v1alpha1.Subjects{
			ServiceAccounts: []v1alpha1.ServiceAccount{{Namespace: "kube-system", Name: account}},
		}},
		Status: status,
	}
}

// sendingOf returns what is sent if the account aws-node is installed, and these differences were found.
func sendingOf(differences ...wiring.Difference) *wiring.Sending {
	return wiring.SendingOf(
		&wiring.Installed{Agents: &wiring.Agents{Accounts: []string{"system:serviceaccount:kube-system:aws-node"}}},
		[]admissionregistrationv1.ValidatingWebhook{{Name: "agents.noderestriction.plus"}}, differences)
}

func TestFindingOf(t *testing.T) {
	now := time.Now()
	inForce := func(days int, generation int64, writes ...string) *v1alpha1.NodeRestrictionPolicyStatus {
		s := &v1alpha1.NodeRestrictionPolicyStatus{
			ObservedGeneration: 2, Since: &metav1.Time{Time: now.Add(-time.Duration(days) * 24 * time.Hour)},
			Evaluated: &v1alpha1.Evaluated{Generation: generation},
		}
		for _, w := range writes {
			s.Evaluated.Writes = append(s.Evaluated.Writes, v1alpha1.EvaluatedWrites{Write: w, Count: 1})
		}
		return s
	}
	unreported := inForce(30, 2)
	unreported.Evaluated = nil
	superseded := inForce(30, 2)
	superseded.ObservedGeneration = 1
	for name, test := range map[string]struct {
		account string
		status  *v1alpha1.NodeRestrictionPolicyStatus
		sending *wiring.Sending
		unknown error
		want    metav1.ConditionStatus
		reason  string
		text    string
	}{
		"its writes are sent": {"aws-node", nil, sendingOf(), nil, metav1.ConditionTrue, "Complete", "are sent"},
		"no webhook sends its writes": {
			"kured", nil, sendingOf(), nil, metav1.ConditionFalse, "NoWebhook", `the writes of: service account "kube-system/kured"; set`,
		},
		"the webhook sends less than was installed": {
			"aws-node", nil, sendingOf(wiring.Difference{Part: "agents", Weaker: true, Text: "it was narrowed"}), nil,
			metav1.ConditionFalse, "WiringChanged", "it was narrowed",
		},
		"another webhook sends less": {
			"aws-node", nil, sendingOf(wiring.Difference{Part: "gate", Weaker: true, Text: "it was narrowed"}), nil,
			metav1.ConditionTrue, "Complete", "",
		},
		"the configuration cannot be read": {
			"aws-node", nil, nil, errors.New("forbidden"), metav1.ConditionUnknown, "WiringUnknown", "forbidden",
		},
		"a week without a write": {
			"aws-node", inForce(8, 2), sendingOf(), nil, metav1.ConditionFalse, "NeverEvaluated", "no write of these users",
		},
		"less than a week without a write":         {"aws-node", inForce(6, 2), sendingOf(), nil, metav1.ConditionTrue, "Complete", ""},
		"a week with a write":                      {"aws-node", inForce(8, 2, "UPDATE nodes"), sendingOf(), nil, metav1.ConditionTrue, "Complete", ""},
		"only an older generation reported":        {"aws-node", inForce(8, 1), sendingOf(), nil, metav1.ConditionTrue, "Complete", ""},
		"no replica has reported":                  {"aws-node", unreported, sendingOf(), nil, metav1.ConditionTrue, "Complete", ""},
		"the generation is not in force yet":       {"aws-node", superseded, sendingOf(), nil, metav1.ConditionTrue, "Complete", ""},
		"never evaluated because nobody sends any": {"kured", inForce(8, 2), sendingOf(), nil, metav1.ConditionFalse, "NoWebhook", ""},
	} {
		c := findingOf(policyOf(test.account, test.status), test.sending, test.unknown, now)
		if c.Status != test.want || c.Reason != test.reason || !strings.Contains(c.Message, test.text) || c.ObservedGeneration != 2 {
			t.Errorf("%s: the condition is %+v", name, c)
		}
	}
}

func TestDue(t *testing.T) {
	now := time.Now()
	of := func(status metav1.ConditionStatus, reason string, generation int64, age time.Duration) metav1.Condition {
		return metav1.Condition{
			Type: conditionType, Status: status, Reason: reason, ObservedGeneration: generation,
			LastTransitionTime: metav1.NewTime(now.Add(-age)),
		}
	}
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for name, test := range map[string]struct {
		have, want metav1.Condition
		due        bool
	}{
		"the status says it":                            {of(yes, complete, 2, time.Hour), of(yes, complete, 2, 0), false},
		"it is about an older generation":               {of(yes, complete, 1, 0), of(yes, complete, 2, 0), true},
		"another replica knows a newer generation":      {of(no, noWebhook, 3, time.Hour), of(yes, complete, 2, 0), false},
		"it is not sent any more":                       {of(yes, complete, 2, time.Hour), of(no, noWebhook, 2, 0), true},
		"another replica has just written another":      {of(yes, complete, 2, time.Second), of(no, noWebhook, 2, 0), false},
		"each replica has an error of its own":          {of(unknown, wiringUnknown, 2, time.Hour), of(unknown, wiringUnknown, 2, 0), false},
		"the reason is another":                         {of(no, noWebhook, 2, time.Hour), of(no, neverEvaluated, 2, 0), true},
		"the configuration cannot be read any more":     {of(yes, complete, 2, time.Hour), of(unknown, wiringUnknown, 2, 0), true},
		"the configuration can be read again, at once":  {of(unknown, wiringUnknown, 2, time.Second), of(yes, complete, 2, 0), false},
		"the configuration can be read again, for long": {of(unknown, wiringUnknown, 2, time.Hour), of(yes, complete, 2, 0), true},
	} {
		if got := due(&test.have, test.want, now); got != test.due {
			t.Errorf("%s: due is %t", name, got)
		}
	}
}

func TestSettled(t *testing.T) {
	first, second := version{"a", 1}, version{"a", 2}
	of := func(status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: message}
	}
	missing := of(metav1.ConditionFalse, noWebhook, "kured")
	c := &Conditions{}
	for _, step := range []struct {
		name    string
		of      version
		want    metav1.Condition
		settled bool
	}{
		{"the first report finds that all is sent", first, of(metav1.ConditionTrue, complete, ""), true},
		{"an account is missing", first, missing, false},
		{"it is still missing", first, missing, true},
		{"the policy changes, and the account is missing", second, missing, false},
		{"another account is missing", second, of(metav1.ConditionFalse, noWebhook, "aws-node"), false},
		{"the other account is still missing", second, of(metav1.ConditionFalse, noWebhook, "aws-node"), true},
		{"no write was evaluated for long", second, of(metav1.ConditionFalse, neverEvaluated, ""), true},
		{"the other account is missing again", second, of(metav1.ConditionFalse, noWebhook, "aws-node"), false},
	} {
		remember := map[version]string{}
		if settled := c.settled(step.of, step.want, remember); settled != step.settled {
			t.Errorf("%s: settled is %t", step.name, settled)
		}
		c.missing = remember
	}
}

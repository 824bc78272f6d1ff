// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package denials

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/record"
	"noderestriction.plus/internal/recordlog"
	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/pattern"
	"noderestriction.plus/policy/rules"
)

// filterOptions are the flags that say which records are wanted.
type filterOptions struct {
	policies, rules, nodes, namespaces, resources, actions listFlag
	since, until                                           string
}

func (f *filterOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&f.policies, "policy", "only violations of these `policies`")
	flags.Var(&f.rules, "rule", "only violations of these `rules`")
	flags.Var(&f.nodes, "node", "only writes with the credentials of these `nodes`")
	flags.Var(&f.namespaces, "namespace", "only writes in these `namespaces`")
	flags.Var(&f.resources, "resource", "only writes to these `resources`, such as nodes/status or pods*")
	flags.Var(&f.actions, "action", "only what came out like this: "+strings.Join(actionNames(), ", "))
	flags.StringVar(&f.since, "since", "", "only from this `time` on: an age such as 90m, or 2026-11-24T08:00:00Z")
	flags.StringVar(&f.until, "until", "", "only before this `time`, in the same forms")
	command.Complete(cmd, "rule", ruleIDs())
	command.Complete(cmd, "action", actionNames())
}

// listFlag is a flag with values that are separated by commas, and which may be repeated. Unlike with pflag's own, an
// empty value is a value, so that a filter with an empty variable does not let everything through. It implements
// pflag.Value.
type listFlag []string

func (l *listFlag) String() string { return strings.Join(*l, ",") }
func (l *listFlag) Type() string   { return "names" }

func (l *listFlag) Set(s string) error {
	*l = append(*l, strings.Split(s, ",")...)
	return nil
}

func actionNames() []string {
	return []string{string(policy.Denied), string(policy.Warned), string(policy.Audited), string(record.Probed)}
}

// given reports whether there is a filter.
func (f *filterOptions) given() bool { return len(f.describe()) > 0 }

// describe returns the filters as they were given.
func (f *filterOptions) describe() []string {
	var all []string
	for _, flag := range []struct {
		name   string
		values []string
	}{
		{"policy", f.policies},
		{"rule", f.rules},
		{"node", f.nodes},
		{"namespace", f.namespaces},
		{"resource", f.resources},
		{"action", f.actions},
	} {
		if len(flag.values) > 0 {
			all = append(all, "--"+flag.name+" "+strings.Join(flag.values, ","))
		}
	}
	if f.since != "" {
		all = append(all, "--since "+f.since)
	}
	if f.until != "" {
		all = append(all, "--until "+f.until)
	}
	return all
}

func (f *filterOptions) compile() (*recordlog.Filter, error) {
	filter := &recordlog.Filter{}
	for _, flag := range []struct {
		name   string
		values []string
		match  *func(string) bool
	}{
		{"--policy", f.policies, &filter.Policy},
		{"--rule", f.rules, &filter.Rule},
		{"--node", f.nodes, &filter.Node},
		{"--namespace", f.namespaces, &filter.Namespace},
		{"--resource", f.resources, &filter.Resource},
	} {
		var err error
		if *flag.match, err = compileMatch(flag.name, flag.values); err != nil {
			return nil, err
		}
	}
	for _, rule := range f.rules {
		if !strings.Contains(rule, "*") && !slices.Contains(ruleIDs(), rule) {
			return nil, command.Usagef("--rule: no rule is named %q%s", rule, text.DidYouMean(rule, ruleIDs()))
		}
	}
	for _, action := range f.actions {
		action = outcomeOf(action)
		if !slices.Contains(actionNames(), action) {
			return nil, command.Usagef("--action: must be one of %s, not %q", strings.Join(actionNames(), ", "), action)
		}
		filter.Outcomes = append(filter.Outcomes, policy.Outcome(action))
	}
	return filter, f.compileTimes(filter)
}

// outcomeOf returns the outcome for the name of a validation action, such as denied for Deny, and other names as they are.
func outcomeOf(action string) string {
	switch strings.ToLower(action) {
	case "deny":
		return string(policy.Denied)
	case "warn":
		return string(policy.Warned)
	case "audit":
		return string(policy.Audited)
	}
	return action
}

func (f *filterOptions) compileTimes(filter *recordlog.Filter) error {
	now := time.Now()
	for _, flag := range []struct {
		name, text string
		at         *time.Time
	}{
		{"--since", f.since, &filter.Since},
		{"--until", f.until, &filter.Until},
	} {
		if flag.text == "" {
			continue
		}
		at, err := command.ParseTime(flag.text, now)
		if err != nil {
			return command.Usagef("%s: %w", flag.name, err)
		}
		*flag.at = at
	}
	if !filter.Since.IsZero() && !filter.Until.IsZero() && !filter.Since.Before(filter.Until) {
		return command.Usagef("--since must be before --until")
	}
	return nil
}

// compileMatch compiles the patterns of a flag. Without any, everything matches, for which there is no function.
func compileMatch(flag string, values []string) (func(string) bool, error) {
	if len(values) == 0 {
		return nil, nil
	}
	var list []v1alpha1.Pattern
	for _, value := range values {
		if p := v1alpha1.Pattern(value); !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	match, errs := pattern.Matcher(list, field.NewPath(flag))
	if len(errs) > 0 {
		return nil, command.UsageError{Err: errs.ToAggregate()}
	}
	return match, nil
}

func ruleIDs() []string {
	var ids []string
	for _, rule := range rules.All() {
		ids = append(ids, string(rule.ID))
	}
	return append(ids, string(policy.Unverified), string(policy.WithoutNode))
}

// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"noderestriction.plus/api/v1alpha1"
	"noderestriction.plus/internal/fixture"
	"noderestriction.plus/internal/manifest"
	"noderestriction.plus/policy"
	"noderestriction.plus/policy/rules"
)

const (
	agentPolicies = "../../config/policies/agents"
	agentPage     = "../../docs/node-agents-policies.md"
)

// agentNames returns the names of the ready policies for node agents, which are those of their files.
func agentNames(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(agentPolicies + "/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are %d policies: %v", len(paths), err)
	}
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// agentPolicy returns the text of a ready policy, and the policy.
func agentPolicy(t *testing.T, name string) (string, *v1alpha1.NodeRestrictionPolicy) {
	t.Helper()
	data := read(t, filepath.Join(agentPolicies, name+".yaml"))
	policies, err := manifest.Policies(data)
	if err != nil || len(policies) != 1 {
		t.Fatalf("%s: %d policies: %v", name, len(policies), err)
	}
	return string(data), policies[0]
}

// TestAgentPoliciesCompile checks that each ready policy is named like its file, records only, and says nothing that has no effect.
func TestAgentPoliciesCompile(t *testing.T) {
	for _, name := range agentNames(t) {
		_, p := agentPolicy(t, name)
		if p.Name != name {
			t.Errorf("%s: the policy is named %q", name, p.Name)
		}
		if !slices.Equal(p.Spec.ValidationActions, []v1alpha1.ValidationAction{v1alpha1.Audit}) {
			t.Errorf("%s: the policy has the actions %v", name, p.Spec.ValidationActions)
		}
		if p.Spec.Subjects == nil || p.Spec.Subjects.WithoutNode != "" {
			t.Errorf("%s: the policy has the subjects %+v", name, p.Spec.Subjects)
		}
		if _, errs := rules.NewCompiler().Compile(p); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs.ToAggregate())
		}
		if warnings := rules.NewCompiler().Warnings(p); len(warnings) > 0 {
			t.Errorf("%s: %v", name, warnings)
		}
	}
}

// heldTo are the rules that hold a node agent to its node.
func heldTo() []policy.RuleID { return []policy.RuleID{"node-self", "pod-self", "objects"} }

// TestAgentFixtures evaluates the writes of each agent by its policy, which is made to deny. Each agent must have writes that are allowed,
// and for each rule that holds it to its node a write for another node that is denied.
func TestAgentFixtures(t *testing.T) {
	for _, name := range agentNames(t) {
		t.Run(name, func(t *testing.T) {
			_, p := agentPolicy(t, name)
			p.Spec.ValidationActions = []v1alpha1.ValidationAction{v1alpha1.Deny}
			compiled, errs := rules.NewCompiler().Compile(p)
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			set := policy.NewSet(compiled)
			allowed, denied := agentFixtures(t, name, "allow"), agentFixtures(t, name, "deny")
			for path, f := range allowed {
				if !strings.Contains(f.Comment, "\nSource: ") {
					t.Errorf("%s: there is no source", path)
				}
				if d := evaluateFixture(t, path, f, set); len(d.Violations) > 0 {
					t.Errorf("%s: the write violates the policy: %s", path, fixture.Got(d))
				}
			}
			found := map[policy.RuleID]bool{}
			for path, f := range denied {
				if d := evaluateFixture(t, path, f, set); !d.Denied() || !fixture.Want(f.Want).Matches(d) {
					t.Errorf("%s: %s, want %s", path, fixture.Got(d), f.Want)
				}
				for _, rule := range heldTo() {
					found[rule] = found[rule] || strings.HasPrefix(f.Want, "denied by "+string(rule))
				}
			}
			for _, rule := range heldTo() {
				if slices.Contains(compiled.Rules(), rule) && !found[rule] {
					t.Errorf("no fixture is of a write that %s denies", rule)
				}
			}
		})
	}
	directories, err := os.ReadDir(agentPolicies + "/testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range directories {
		if !slices.Contains(agentNames(t), d.Name()) {
			t.Errorf("%s: there are fixtures, but there is no policy", d.Name())
		}
	}
}

// agentFixtures returns the fixtures of an agent with a verdict, allow or deny, by path.
func agentFixtures(t *testing.T, name, verdict string) map[string]*fixture.Fixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(agentPolicies, "testdata", name, verdict, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are %d fixtures to %s: %v", len(paths), verdict, err)
	}
	fixtures := map[string]*fixture.Fixture{}
	for _, path := range paths {
		f, err := fixture.Parse(read(t, path))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if (f.Want == fixture.Allowed) != (verdict == "allow") {
			t.Errorf("%s: wants %q", path, f.Want)
		}
		fixtures[path] = f
	}
	return fixtures
}

func evaluateFixture(t *testing.T, path string, f *fixture.Fixture, set *policy.Set) policy.Decision {
	t.Helper()
	d, err := f.Evaluate(set)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return d
}

// TestAgentPoliciesAllowNoMore checks that an agent has a write for each entry of the lists of its policy: without the entry, it is denied.
func TestAgentPoliciesAllowNoMore(t *testing.T) {
	for _, name := range agentNames(t) {
		t.Run(name, func(t *testing.T) {
			_, source := agentPolicy(t, name)
			writes := agentFixtures(t, name, "allow")
			for list, length := range entriesOf(&source.Spec) {
				for i := range length {
					p := source.DeepCopy()
					entry := removeEntry(&p.Spec, list, i)
					compiled, errs := rules.NewCompiler().Compile(p)
					if len(errs) > 0 {
						t.Fatal(errs.ToAggregate())
					}
					set := policy.NewSet(compiled)
					needed := false
					for path, f := range writes {
						needed = needed || len(evaluateFixture(t, path, f, set).Violations) > 0
					}
					if !needed {
						t.Errorf("no fixture needs %s in %s", entry, list)
					}
				}
			}
		})
	}
}

// entriesOf returns how many entries each list of a ready policy has that allows something.
func entriesOf(spec *v1alpha1.NodeRestrictionPolicySpec) map[string]int {
	lengths := map[string]int{}
	if labels := spec.Nodes.Labels; labels != nil && labels.Update != nil {
		lengths["nodes.labels"] = len(labels.Update.Allowed)
	}
	if annotations := spec.Nodes.Annotations; annotations != nil {
		lengths["nodes.annotations"] = len(annotations.Allowed)
	}
	if conditions := spec.Nodes.Conditions; conditions != nil {
		lengths["nodes.conditions"] = len(conditions.Allowed)
	}
	if taints := spec.Nodes.Taints; taints != nil {
		lengths["nodes.taints"] = len(taints.Removable)
	}
	if metadata := spec.Pods.Metadata; metadata != nil && metadata.Annotations != nil {
		lengths["pods.metadata"] = len(metadata.Annotations.Allowed)
	}
	return lengths
}

// removeEntry removes an entry from a list, and returns it. A list does not become empty: its section then is what {} means.
func removeEntry(spec *v1alpha1.NodeRestrictionPolicySpec, list string, i int) string {
	switch list {
	case "nodes.labels":
		return remove(&spec.Nodes.Labels.Update.Allowed, i)
	case "nodes.annotations":
		return remove(&spec.Nodes.Annotations.Allowed, i)
	case "nodes.conditions":
		return remove(&spec.Nodes.Conditions.Allowed, i)
	case "nodes.taints":
		return remove(&spec.Nodes.Taints.Removable, i)
	}
	return remove(&spec.Pods.Metadata.Annotations.Allowed, i)
}

func remove[E any](list *[]E, i int) string {
	entry := fmt.Sprint((*list)[i])
	*list = slices.Delete(*list, i, i+1)
	if len(*list) == 0 {
		*list = nil
	}
	return entry
}

// TestAgentFixturesPassTheCommand runs the fixtures as docs/node-agents-policies.md says.
func TestAgentFixturesPassTheCommand(t *testing.T) {
	for _, name := range agentNames(t) {
		text, _ := agentPolicy(t, name)
		path := writeFile(t, "policy.yaml", []byte(strings.Replace(text, "[Audit]", "[Deny]", 1)))
		if out, err := run(t, "test", "--policy", path, filepath.Join(agentPolicies, "testdata", name)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// agentRow is a row of the table of ready policies: the name of the file, the accounts, what is written, and the source.
var agentRow = regexp.MustCompile(`(?m)^\| \[([a-z0-9-]+)\]\(\.\./config/policies/agents/([a-z0-9-]+)\.yaml\)[^|]* \| ([^|]*) \| ([^|]*) \| ([^|]*) \| [^|]* ?\|$`)

// TestAgentPage compares the table with the policies: the accounts, the objects and the commits.
func TestAgentPage(t *testing.T) {
	var names []string
	for _, row := range agentRow.FindAllStringSubmatch(string(read(t, agentPage)), -1) {
		name := row[1]
		names = append(names, name)
		if row[2] != name {
			t.Errorf("%s: the link leads to %s", name, row[2])
			continue
		}
		text, p := agentPolicy(t, name)
		var accounts []string
		for _, a := range p.Spec.Subjects.ServiceAccounts {
			accounts = append(accounts, "`"+a.Namespace+"/"+a.Name+"`")
		}
		for _, prefix := range p.Spec.Subjects.UsernamePrefixes {
			accounts = append(accounts, "`"+string(prefix)+"`")
		}
		if want := strings.Join(accounts, ", "); row[3] != want {
			t.Errorf("%s: the page has the accounts %s, and the policy %s", name, row[3], want)
		}
		for _, o := range p.Spec.Objects {
			if !strings.Contains(row[4], "`"+o.Resource+"`") {
				t.Errorf("%s: the page does not say that it writes %s", name, o.Resource)
			}
		}
		commit := regexp.MustCompile(`^([A-Za-z0-9-]+/[a-z0-9-]+)@([0-9a-f]{7})`).FindStringSubmatch(row[5])
		comment, _, _ := strings.Cut(text, "\napiVersion:")
		if commit == nil || !strings.Contains(comment, commit[1]) || !strings.Contains(comment, "@"+commit[2]) {
			t.Errorf("%s: the comment of the policy does not have the source %q", name, row[5])
		}
	}
	if !slices.Equal(names, agentNames(t)) {
		t.Errorf("the page has %v, and there are %v", names, agentNames(t))
	}
}

// TestAgentFixturesNameTheirAccounts checks that no fixture is of a user that its policy does not name.
func TestAgentFixturesNameTheirAccounts(t *testing.T) {
	for _, name := range agentNames(t) {
		text, p := agentPolicy(t, name)
		if !strings.HasPrefix(text, "# ") {
			t.Errorf("%s: there is no comment", name)
		}
		var users []string
		for _, a := range p.Spec.Subjects.ServiceAccounts {
			users = append(users, "system:serviceaccount:"+a.Namespace+":"+a.Name)
		}
		for _, verdict := range []string{"allow", "deny"} {
			for path, f := range agentFixtures(t, name, verdict) {
				user := f.Request.User.Username
				isPrefixed := func(prefix v1alpha1.UsernamePrefix) bool { return strings.HasPrefix(user, string(prefix)) }
				if !slices.Contains(users, user) && !slices.ContainsFunc(p.Spec.Subjects.UsernamePrefixes, isPrefixed) {
					t.Errorf("%s: %s is not among the subjects of the policy", path, user)
				}
			}
		}
	}
}
